"""Curation of a slot without an expert: choices that are never the better one go, each with the reason.

    k        a choice of the slot; 0 keeps it as it is, and stays
    d[k]     milliseconds that k alone changes, estimated
    b        milliseconds of the slot's block as it is (of the network for a slot of the network)
    t[k]     b + d[k], what the block takes with k; at 90 % it is between l t[k] and h t[k]
    l, h     ends of the interval of the network's estimate, over the estimate
    p, m, a  parameters, multiply-accumulates, bytes of feature maps alive at most
    e        loss, as measured; none where it was not

What lies outside the block is the same for two choices of a slot, and so is its error: the interval is that of the
block alone. k is slower than j for certain where l t[k] > h t[j]. A choice k is pruned where some j that is kept is

1.  faster for certain, has no more parameters, no more bytes alive, and loses no more (e[j] <= e[k], both measured); or
2.  faster for certain, where k takes all of j's steps and more, and p[k] = p[j], m[k] <= m[j]: steps that neither gain
    nor add anything; or
3.  as fast or faster, where k's layers are j's, none wider (nested): j can compute whatever k computes. Such a k saves
    bytes all the same; whoever must save them takes the next narrower choice that is faster, too.

Where losses were measured 2 and 3 need e[j] <= e[k], too; parameters and arithmetic never stand in for a loss. As costs
and losses of slots add up, a candidate that takes k is beaten by the same candidate with j. Choices that make the same
network are one: the least loss measured names it, else the first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..estimators import WeightValues, delta_ms, estimate
from ..estimators.edit_window import cut
from ..graph import Graph, Op
from ..hardware import Target
from ..transforms import Transform
from .catalogue import Option
from .judgement import Judgement
from .slots import Choice

__all__ = ["Cost", "Measure", "beaten_by", "curated_choices", "measure_of_block", "measure_of_network"]


@dataclass(frozen=True)
class Cost:
    """What a choice costs.

    ms: the block's latency with it (t). latency_ms, params, macs: what it changes. activation_bytes: alive at most.
    steps: its transforms. layers, extents: operators of the block, and the sizes of all they make and hold. cpu_ops:
    operators it brings that the accelerator leaves to the CPU. loss: None where it was not measured.
    """

    ms: float
    latency_ms: float
    params: int
    macs: int
    activation_bytes: int
    steps: frozenset[Transform] = frozenset()
    layers: tuple[tuple[str, str], ...] = ()
    extents: tuple[int, ...] = ()
    cpu_ops: tuple[str, ...] = ()
    loss: float | None = None


    def holds(self, other: "Cost") -> bool:
        """Whether the other's layers are these, none wider."""
        alike = bool(self.layers) and self.layers == other.layers and len(self.extents) == len(other.extents)
        return alike and all(a >= b for a, b in zip(self.extents, other.extents, strict=True))


Measure = Callable[[Option], Cost]


def measure_of_block(
    graph: Graph, target: Target, block: str, losses: Mapping[tuple[str, str], float], values: WeightValues
) -> Measure:
    """What options of one block cost. losses: (block, label) -> loss; nothing is lost as it is."""
    names = next(b.ops for b in graph.blocks if b.name == block)
    places = [i for i, op in enumerate(graph.ops) if op.name in set(names)]
    start, behind = min(places), len(graph.ops) - max(places) - 1
    whole = estimate(graph, target, values)
    table = whole.blocks
    own = float(table.latency_ms[table["name"] == block].sum())
    alone = estimate(cut(graph, start, len(graph.ops) - behind), target)

    def measure(option: Option) -> Cost:
        after = option.graph
        end = len(after.ops) - behind
        part = estimate(cut(after, start, end), target) if end > start else None
        change = delta_ms(graph, after, target, values) if option.steps else 0.0
        cpu = () if part is None else part.cpu_ops[len(alone.cpu_ops) :]
        peak = 0 if part is None else part.peak_activation_bytes
        loss = losses.get(option.key) if option.steps else 0.0
        params, macs, steps = after.params - graph.params, after.macs - graph.macs, frozenset(option.transforms)
        ms = max(own + change, 0.0)
        return Cost(ms, change, params, macs, peak, steps, *_extents(after.ops[start:end]), cpu, loss)

    return measure


def measure_of_network(
    graph: Graph, target: Target, losses: Mapping[tuple[str, str], float], values: WeightValues
) -> Measure:
    """What options of the whole network cost. losses: ("", label) -> loss."""
    base = estimate(graph, target, values)

    def measure(option: Option) -> Cost:
        after = estimate(option.graph, target, values)
        change = after.latency_ms - base.latency_ms
        cpu = after.cpu_ops[len(base.cpu_ops) :]
        params, macs, steps = after.params - base.params, after.macs - base.macs, frozenset(option.transforms)
        loss = losses.get(option.key) if option.steps else 0.0
        peak, ops = after.peak_activation_bytes, option.graph.ops
        return Cost(after.latency_ms, change, params, macs, peak, steps, *_extents(ops), cpu, loss)

    return measure


def _extents(ops: Sequence[Op]) -> tuple[tuple[tuple[str, str], ...], tuple[int, ...]]:
    """(layers, extents) of `Cost`."""
    shapes = [shape for op in ops for shape in (op.shape, *(param.shape for param in op.params))]
    return tuple((op.name, op.kind) for op in ops), tuple(size for shape in shapes for size in shape)


def beaten_by(costs: Sequence[Cost], interval: tuple[float, float]) -> tuple[int | None, ...]:
    """Of every choice the number of a kept one that is better in all, None for those kept; the first is kept.

    interval: (l, h).

    >>> as_it_is, dense = Cost(1.0, 0.0, 0, 0, 100, loss=0.0), Cost(3.0, 2.0, 50, 900, 100, loss=0.1)
    >>> beaten_by([as_it_is, dense], (0.95, 1.05))
    (None, 0)
    """
    beaten: list[int | None] = [None] * len(costs)
    kept = [0] if costs else []
    for k in sorted(range(1, len(costs)), key=lambda k: (costs[k].ms, -costs[k].params)):
        beaten[k] = next((j for j in kept if _rule(costs[j], costs[k], interval)), None)
        if beaten[k] is None:
            kept.append(k)
    return tuple(beaten)


def _rule(better: Cost, worse: Cost, interval: tuple[float, float]) -> str:
    """Why a choice gives way to another, as the end of a sentence; "" where it does not."""
    measured = better.loss is not None and worse.loss is not None
    if better.loss is not None and worse.loss is not None and better.loss > worse.loss:
        return ""
    low, high = interval
    slower = low * worse.ms > high * better.ms
    smaller = better.params <= worse.params and better.activation_bytes <= worse.activation_bytes
    if slower and smaller and measured:
        return "no smaller, and loses no less"
    if slower and better.steps < worse.steps and better.params == worse.params and better.macs >= worse.macs:
        return "for steps beyond its own that make it no smaller"
    if better.ms <= worse.ms and better.holds(worse):
        return "with the same layers, none wider"
    return ""


def curated_choices(
    slot: str, options: Iterable[Option], measure: Measure, interval: tuple[float, float]
) -> tuple[tuple[Choice, ...], tuple[Judgement, ...]]:
    """The choices of a slot that are worth having, in their order, and what was made of each.

    options: the first keeps the slot as it is.
    """
    options = tuple(options)
    costs = {option: measure(option) for option in options}
    by_network: dict[str, list[Option]] = {}
    for option in options:
        by_network.setdefault(option.graph.digest, []).append(option)
    judgements: dict[Option, Judgement] = {}
    distinct: list[Option] = []
    for alike in by_network.values():
        first, *others = sorted(alike, key=lambda option: _rank(option, options[0], costs[option]))
        for option in others:
            judgements[option] = _judged(slot, option, costs[option], "merged", f"makes what {_name(first)} makes")
        if costs[first].cpu_ops and first is not options[0]:
            left = f"the accelerator leaves {costs[first].cpu_ops[0]} to the CPU, whose time no figure holds"
            judgements[first] = _judged(slot, first, costs[first], "pruned", left)
        else:
            distinct.append(first)
    distinct.sort(key=options.index)
    beaten = beaten_by([costs[option] for option in distinct], interval)
    for option, by in zip(distinct, beaten, strict=True):
        if by is None:
            reason = "the network as it is" if option is options[0] else "nothing beats it in all"
            judgements[option] = _judged(slot, option, costs[option], "kept", reason)
        else:
            better = distinct[by]
            why = _why(costs[option], better, costs[better], interval)
            judgements[option] = _judged(slot, option, costs[option], "pruned", why)
    kept = tuple(option.choice for option, by in zip(distinct, beaten, strict=True) if by is None)
    return kept, tuple(judgements[option] for option in options)


def _rank(option: Option, as_it_is: Option, cost: Cost) -> tuple[bool, float]:
    """Of those that make one network: that as it is first, then the least loss measured; sorting keeps the order."""
    return option is not as_it_is, float("inf") if cost.loss is None else cost.loss


def _why(cost: Cost, better: Option, by: Cost, interval: tuple[float, float]) -> str:
    times = f"{cost.ms / by.ms:.2f} times as slow as" if by.ms else "slower than"
    return f"{times} {_name(better)}, {_rule(by, cost, interval)}"


def _name(option: Option) -> str:
    return f"{option.choice.label!r}"


def _judged(slot: str, option: Option, cost: Cost, verdict: str, reason: str) -> Judgement:
    figures = cost.latency_ms, cost.params, cost.macs, cost.activation_bytes, cost.loss
    return Judgement(slot, option.choice.label, verdict, reason, 1, *figures)  # type: ignore[arg-type]
