"""Why a network, or one of its blocks, takes the time it takes, in words."""

from collections.abc import Sequence
from math import prod

from ..errors import unknown
from ..estimators import Estimate
from ..graph import Block, Graph
from ..graph.kinds import LAYERS
from ..metrics import incomplete_text, metric_text, quantity_text, uncalibrated_text
from ..state import State
from .block_names import block_words
from .finding import WAITS_FOR
from .findings import causes, gain_text, suspected
from .parts import time_parts

__all__ = ["headline", "why"]

_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
_SPREAD = 6  # more blocks than this that take half of the latency are no few
_HALF = 0.45  # of the latency
_IDLE = 0.5
_EXPLAINS = 0.25  # of the time of the blocks: what a cause has to take at least
_NAMED = 0.1  # of the time of a block: the parts that are named
_OTHER_RULES = ("uneven width", "memory peak", "left to the CPU")  # whose shares are no time that something takes


def why(state: State, block: str) -> str:
    """What a block's time goes to, what costs more than it should, and what mends it.

    Raises UnknownName for a block that does not exist, WorkbenchError where the target is not calibrated.
    """
    graph, estimate = state.graph, state.estimate
    member = next((b for b in graph.blocks if b.name == block), None)
    if member is None:
        raise unknown("block", block, [b.name for b in graph.blocks])
    took = sum(estimate.detail.latency_ms.get(name, 0.0) for name in member.ops)
    share = quantity_text(took / estimate.latency_ms, "share") if estimate.latency_ms else "0 %"
    sentences = [
        f"{block} ({block_words(graph, member)}) takes {metric_text('latency_ms', took)}, {share} of the latency"
    ]
    parts = [part for part in time_parts(graph, estimate, member.ops) if part.latency_ms > _NAMED * took]
    if parts:
        named = (
            f"{part.what} {metric_text('latency_ms', part.latency_ms)} (bound by {_waits(part.bound)})"
            for part in parts
        )
        sentences[0] += f": {', '.join(named)}"
    for item in causes(state, block):
        gain, capital = gain_text(state, item), item.text.split()[0].isalpha()  # a path keeps its small letter
        text = f"{item.text[:1].upper()}{item.text[1:]}" if capital else item.text
        sentences.append(f"{text}; {gain}" if gain else text)
    return "".join(f"{sentence}. " for sentence in sentences).rstrip()


def headline(state: State) -> str:
    """What a newcomer reads first: the latency, where half of it goes, and why.

    "2.30 ms. Three early blocks take half of it: their feature maps go through DRAM, and the 1024 multipliers idle 93 %
    of that time."
    """
    estimate = state.try_estimate
    if estimate is None:
        return uncalibrated_text(state.target.name)
    total = f"{metric_text('latency_ms', estimate.latency_ms)}."
    if not estimate.complete:
        total += f" {incomplete_text(estimate.cpu_ops)}"
    slow = _half(state.graph, estimate)
    if not slow or not estimate.latency_ms:
        return total
    reason = _reason(state, slow)
    return f"{total} {_who(state.graph, estimate, slow)}{f': {reason}' if reason else ''}."


def _half(graph: Graph, estimate: Estimate) -> list[Block]:
    """The fewest blocks that take half of the latency, the slowest first."""
    spent = {b.name: sum(estimate.detail.latency_ms.get(name, 0.0) for name in b.ops) for b in graph.blocks}
    total, taken, slow = sum(spent.values()), 0.0, []
    for block in sorted(graph.blocks, key=lambda b: -spent[b.name]):
        if taken >= _HALF * total:
            break
        taken += spent[block.name]
        slow.append(block)
    return slow


def _who(graph: Graph, estimate: Estimate, slow: Sequence[Block]) -> str:
    spent = estimate.detail.latency_ms
    share = sum(spent.get(name, 0.0) for b in slow for name in b.ops) / estimate.latency_ms
    amount = "half of it" if _HALF <= share <= 1 - _HALF else f"{quantity_text(share, 'share')} of it"
    if len(slow) == 1:
        return f"One block, {slow[0].name} ({block_words(graph, slow[0])}), takes {amount}"
    if len(slow) > _SPREAD:
        return f"It is spread over the network, {len(slow)} of {len(graph.blocks)} blocks take {amount}"
    places = [list(graph.blocks).index(block) / len(graph.blocks) for block in slow]
    where = "early " if max(places) < 0.4 else "late " if min(places) > 0.6 else ""
    return f"{_NUMBERS[len(slow)]} {where}blocks take {amount}"


def _reason(state: State, slow: Sequence[Block]) -> str:
    """What takes most of the time of these blocks, in words."""
    graph, estimate, names = state.graph, state.estimate, {block.name for block in slow}
    operators = [name for block in slow for name in block.ops]
    took = sum(estimate.detail.latency_ms.get(name, 0.0) for name in operators)
    shares: dict[str, float] = {}
    for item in suspected(state):
        if item.block in names and item.rule not in _OTHER_RULES:
            shares[item.rule] = shares.get(item.rule, 0.0) + item.share
    rule = max(shares, key=shares.__getitem__, default="")
    part = next(iter(time_parts(graph, estimate, operators)), None)
    if part is None:
        return ""
    if shares.get(rule, 0.0) < _EXPLAINS * took / estimate.latency_ms:
        text = f"{part.what} take most of that"
    elif rule.startswith("bound by "):
        text = f"{_traffic(graph, estimate, operators)} {rule.removeprefix('bound by ')}"
    else:
        text = _RULES_IN_WORDS[rule].format(what=part.what, waits=_waits(part.bound))
    array = state.target.mac_array
    if array is not None:
        idle = 1 - sum(graph.by_name[name].macs for name in operators) / (took * array.macs_per_ms)
        if idle > _IDLE:
            text += f", and the {array.macs} multipliers idle {100 * min(idle, 0.99):.0f} % of that time"
    return text


_RULES_IN_WORDS = {
    "idle array": "depthwise layers cannot use the array",
    "data movement": "{what}, which compute nothing, wait for {waits}",
    "attention": "attention sets every token beside all others, and waits for {waits}",
    "gate": "squeeze-excite takes long for little arithmetic",
    "activation": "activations run as passes of their own",
}


def _traffic(graph: Graph, estimate: Estimate, names: Sequence[str]) -> str:
    """Whether it is weights or feature maps that layers wait for."""
    layers = [graph.by_name[name] for name in names if graph.by_name[name].kind in LAYERS]
    slow = [op for op in layers if estimate.detail.bound.get(op.name) not in (None, "compute", "sram")]
    weights = sum(prod(op.weight_shape) for op in slow)
    maps = sum(op.elements + graph.by_name[op.inputs[0]].elements for op in slow)
    return "their layers wait for weights in" if weights > maps else "their feature maps go through"


def _waits(bound: str) -> str:
    return WAITS_FOR.get(bound, bound)
