"""A linter for networks: what costs a target more than it should, with the numbers and the step that mends it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from ..errors import NotApplicable
from ..estimators import Estimate
from ..graph import Block, Graph, Op
from ..graph.kinds import PLAIN_LAYERS, SEPARATE_ACTIVATIONS
from ..hardware import Target
from ..state import State
from ..transforms import (
    DenseDepthwise,
    DepthMultiplier,
    EvenChannels,
    ExpandRatio,
    FuseIBN,
    RemoveSE,
    ReplaceActivation,
    Transform,
)
from .live_bytes import live_bytes

__all__ = ["findings"]

_SEVERE = 0.1  # of the latency, or of the peak above the next block's
_NOTABLE = 0.02
_LOW_UTILISATION = 0.15
_SMALL = 0.01  # of the multiply-accumulates
_LITTLE = 0.002  # of the latency


@dataclass(frozen=True)
class _Finding:
    """share: of the latency (of the peak for memory), which makes the severity."""

    rule: str
    block: str
    share: float
    text: str
    mends: tuple[Transform, ...] = ()


def findings(state: State) -> pd.DataFrame:
    """One row per finding, the most severe first: severity, rule, block, share, finding, mend.

    severity: "high" from 10 % of the latency (of the memory peak) on, "medium" from 2 %, else "low". share: of the
    latency, between 0 and 1. finding: the numbers in words. mend: the step (a Transform) that applies, or None.
    """
    graph, target, estimate = state.graph, state.target, state.estimate
    spent = dict(zip(estimate.blocks["name"], estimate.blocks["latency_ms"], strict=True))
    raised = [
        *_unaligned(graph, target, spent, estimate.latency_ms),
        *_idle(graph, target, estimate),
        *_gates(graph, estimate),
        *_activations(graph, estimate),
        *_peak(graph, estimate),
        *_outside(estimate),
    ]
    rows = []
    for item in sorted(raised, key=lambda finding: -finding.share):
        severity = "high" if item.share >= _SEVERE else "medium" if item.share >= _NOTABLE else "low"
        mend = next((step for step in item.mends if _applies(step, graph, target)), None)
        rows.append((severity, item.rule, item.block, item.share, item.text, mend))
    return pd.DataFrame(rows, columns=["severity", "rule", "block", "share", "finding", "mend"])


def _applies(step: Transform, graph: Graph, target: Target) -> bool:
    try:
        step.plan(graph, target)
    except NotApplicable:
        return False
    return True


def _unaligned(graph: Graph, target: Target, spent: Mapping[str, float], total: float) -> Iterator[_Finding]:
    """Widths that leave part of the array idle."""
    multiple = target.channel_multiple
    if multiple == 1:
        return
    for block in graph.blocks:
        odd = {
            (op.module, op.shape[1]): -(-op.shape[1] // multiple) * multiple
            for op in _layers(graph, block)
            if op.shape[1] % multiple and max(op.shape[2:]) > 1
        }
        if odd:
            (layer, width), up = max(odd.items(), key=lambda item: item[1] / item[0][1])
            idle = 1 - width / up
            yield _Finding(
                "uneven width",
                block.name,
                idle * spent.get(block.name, 0.0) / total,
                f"{layer} makes {width} channels, the array works in {multiple}s: {idle:.0%} of it idles",
                (EvenChannels("nearest", blocks=block.name), EvenChannels("up", blocks=block.name)),
            )


def _idle(graph: Graph, target: Target, estimate: Estimate) -> Iterator[_Finding]:
    """Depthwise convolutions that take far longer than their arithmetic."""
    array = target.mac_array
    if array is None:
        return
    by_op = estimate.ops.set_index("name")["latency_ms"].to_dict()
    for block in graph.blocks:
        layers = [op for op in _layers(graph, block) if op.is_depthwise]
        took = sum(by_op.get(op.name, 0.0) for op in layers)
        macs = sum(op.macs for op in layers)
        if not layers or not took:
            continue
        used = macs / (took * array.macs_per_ms)
        if used < _LOW_UTILISATION:
            yield _Finding(
                "idle array",
                block.name,
                took / estimate.latency_ms,
                f"its depthwise convolution takes {took:.3f} ms and uses {used:.1%} of the array",
                (FuseIBN(block.name), DenseDepthwise(block.name)),
            )


def _gates(graph: Graph, estimate: Estimate) -> Iterator[_Finding]:
    """Squeeze-excite whose layers hardly compute and still take time."""
    by_op = estimate.ops.set_index("name")["latency_ms"].to_dict()
    for block in graph.blocks:
        if not block.se:
            continue
        ops = [graph.by_name[name] for name in block.ops]
        tiny = [op for op in ops if op.kind in PLAIN_LAYERS and op.elements == max(op.shape)]
        around = [op for op in ops if op.kind in ("mean", "mul", "sigmoid", "hard_sigmoid")]
        took = sum(by_op.get(op.name, 0.0) for op in (*tiny, *around))
        macs = sum(op.macs for op in tiny) / max(1, graph.macs)
        if tiny and macs < _SMALL and took > 0:
            yield _Finding(
                "gate",
                block.name,
                took / estimate.latency_ms,
                f"its squeeze-excite takes {took:.3f} ms for {macs:.2%} of the arithmetic",
                (RemoveSE(block.name),),
            )


def _activations(graph: Graph, estimate: Estimate) -> Iterator[_Finding]:
    """Activations that are not folded into the layer before them: a pass over the map, or several."""
    by_op = estimate.ops.set_index("name")["latency_ms"].to_dict()
    for block in graph.blocks:
        ops = [graph.by_name[name] for name in block.ops if by_op.get(name)]
        ops = [op for op in ops if op.kind in SEPARATE_ACTIVATIONS]
        took = sum(by_op[op.name] for op in ops)
        if took > _LITTLE * estimate.latency_ms:
            kind = ops[0].kind
            yield _Finding(
                "activation",
                block.name,
                took / estimate.latency_ms,
                f"its {kind} is not folded into a layer and takes {took:.3f} ms",
                (ReplaceActivation("relu6", (kind,), block.name), ReplaceActivation("relu", (kind,), block.name)),
            )


def _peak(graph: Graph, estimate: Estimate) -> Iterator[_Finding]:
    """A memory peak one block owns: mending it alone lowers what the network needs."""
    top = live_bytes(graph, estimate)
    if len(top) < 2:
        return
    (name, most), (_, second) = sorted(top.items(), key=lambda item: -item[1])[:2]
    above = 1 - second / most
    if above > _NOTABLE:
        block = next(b for b in graph.blocks if b.name == name)
        narrower = [step for label, step in ExpandRatio.block_options(graph, block).items() if label == "narrow 0.75"]
        yield _Finding(
            "memory peak",
            name,
            above,
            f"it alone needs {most / 1024:.0f} KiB of feature maps, any other block at most {second / 1024:.0f} KiB",
            (FuseIBN(name), *narrower, DepthMultiplier(0.75, name)),
        )


def _outside(estimate: Estimate) -> Iterator[_Finding]:
    """Operators the accelerator leaves to the CPU: what they cost is unknown."""
    blocks = estimate.ops.set_index("name")["block"].to_dict()
    for name in estimate.cpu_ops:
        yield _Finding("left to the CPU", blocks.get(name, ""), 1.0, f"{name} runs on the CPU, its time is not counted")


def _layers(graph: Graph, block: Block) -> list[Op]:
    return [op for op in (graph.by_name[name] for name in block.ops) if op.kind == "conv2d"]
