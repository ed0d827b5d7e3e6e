"""The two tracks of the bench, time and memory, on one axis: blocks, their operators, the tensors alive at each.

A step is a graph operator that costs time or during which feature maps are alive; the axis counts steps in execution
order, and a block is as wide as its steps. Where one operator runs as several passes, its step holds the most bytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..estimators import Estimate
from ..graph import Graph, Op
from ..hardware import Target
from ..metrics import change_text, metric_text, shape_text
from ..report.palette import heat, scale_top

__all__ = ["block_label", "live_by_block", "stage_names", "tracks"]

Live = tuple[int, tuple[str, ...]]  # bytes, names of the tensors
_CHANGES = (0.005, 0.1, 0.3)  # of the latency: a change is drawn in the colour of the last one that it reaches
_FEW = 12  # tensors alive that are named


@dataclass(frozen=True)
class _Colours:
    """What a step or block is coloured by: share of the latency, what it waits for, how far the array idles."""

    top: float
    array_macs_per_ms: float | None

    def busy(self, macs: int, latency_ms: float) -> float | None:
        """The share of the array that is used."""
        if self.array_macs_per_ms is None or latency_ms <= 0:
            return None
        return round(min(1.0, macs / (latency_ms * self.array_macs_per_ms)), 4)

    def idle(self, macs: int, latency_ms: float) -> int | None:
        busy = self.busy(macs, latency_ms)
        return None if busy is None else heat(1 - busy, 1.0)


def tracks(graph: Graph, estimate: Estimate, before: Estimate, target: Target) -> dict[str, Any]:
    """blocks, steps and tensors of a network, with the latency of each block as it was `before`.

    blocks: one dict each, see `_block`. steps: one list each, in execution order: number of its block, label, kind,
    shape, latency_ms, its text, cycles (text, "" where the target has no clock), bound, heat, idle (a heat, None where
    unknown), bytes alive, their text, numbers of the tensors alive. tensors: their texts. top: where colours end.
    """
    old = dict(zip(before.blocks["name"], before.blocks["latency_ms"], strict=True))
    array = target.mac_array
    shares = [*estimate.blocks["share"], *before.blocks["share"]]
    colours = _Colours(scale_top(*shares), None if array is None else array.macs_per_ms)
    live = _live_by_operator(estimate)
    latency, bound = estimate.detail.latency_ms, estimate.detail.bound
    outside = set(estimate.cpu_ops)
    tensors: dict[str, int] = {}
    blocks, steps = [], []
    stages = stage_names([block.name for block in graph.blocks])
    rows = estimate.blocks.to_dict("records")
    for number, (block, row, stage) in enumerate(zip(graph.blocks, rows, stages, strict=True)):
        ops = [graph.by_name[name] for name in block.ops]
        used = [op for op in ops if latency.get(op.name) or op.name in live]
        for op in used:
            alive, names = live.get(op.name, (0, ()))
            numbers = [tensors.setdefault(name, len(tensors)) for name in names[:_FEW]]
            ms = float(latency.get(op.name, 0.0))
            steps.append([
                number, _within(op, block.name), _kind_text(op), shape_text(op.shape), round(ms, 6),
                metric_text("latency_ms", ms), "" if array is None else f"{ms * array.clock_hz / 1e3:,.0f}",
                bound.get(op.name, "compute"), heat(ms / max(estimate.latency_ms, 1e-12), colours.top),
                colours.idle(op.macs, ms), alive, metric_text("peak_activation_bytes", alive), numbers,
            ])  # fmt: skip
        blocks.append(
            {
                **_block(block.name, stage, block.kind, block.cls, row, old.get(block.name), colours),
                "bound": _most([(bound.get(op.name, "compute"), latency.get(op.name, 0.0)) for op in used]),
                "steps": len(used),
                "outside": sorted(op.name for op in ops if any(op.name in name.split() for name in outside)),
                "use": _use_text(sum(op.macs for op in ops), float(row["latency_ms"]), colours.array_macs_per_ms),
                "busy": colours.busy(sum(op.macs for op in ops), float(row["latency_ms"])),
                "idle": colours.idle(sum(op.macs for op in ops), float(row["latency_ms"])),
            }
        )
    return {
        "blocks": blocks,
        "steps": steps,
        "tensors": [_tensor_text(graph, name) for name in tensors],
        "top": f"{100 * colours.top:.0f} %",
        "highest_ms": max([*estimate.blocks["latency_ms"], *old.values()], default=0.0),
        "peak": _peak_step(steps),
    }


def live_by_block(graph: Graph, estimate: Estimate) -> dict[str, list[int]]:
    """Block -> bytes of feature maps alive at each of its steps, in execution order."""
    live = _live_by_operator(estimate)
    latency = estimate.detail.latency_ms
    return {
        block.name: [live[name][0] if name in live else 0 for name in block.ops if latency.get(name) or name in live]
        for block in graph.blocks
    }


def stage_names(names: Sequence[str]) -> list[str]:
    """The stage of each block: the path that neighbours share, the block's own name where it shares none.

    >>> stage_names(["conv_stem", "blocks.0.0", "blocks.1.0", "blocks.1.1", "conv_head"])
    ['conv_stem', 'blocks.0', 'blocks.1', 'blocks.1', 'conv_head']
    """
    return [name.rpartition(".")[0] or name for name in names]


def block_label(name: str, stage: str) -> str:
    """The block's name without that of its stage.

    >>> block_label("blocks.1.0", "blocks.1"), block_label("conv_stem", "conv_stem")
    ('.0', 'conv_stem')
    """
    return name if name == stage else name.removeprefix(stage)


def _block(
    name: str, stage: str, kind: str, cls: str, row: Mapping[Any, Any], before: float | None, colours: _Colours
) -> dict[str, Any]:
    latency, share = float(row["latency_ms"]), float(row["share"])
    return {
        "name": name,
        "stage": stage,
        "label": block_label(name, stage),
        "kind": kind,
        "what": _words(cls) if kind == "other" and cls else kind,
        "shape": shape_text(row["shape"]),
        "latency_ms": latency,
        "before_ms": before,
        "share": share,
        "heat": heat(share, colours.top),
        "latency_text": metric_text("latency_ms", latency),
        "share_text": f"{100 * share:.1f} %",
        "change": "" if before is None or before == latency else change_text(before, latency),
        "changed": _change_step(before, latency),
    }


def _change_step(before: float | None, latency: float) -> int:
    """From -3 (far less) to 3 (far more); 0: about as before."""
    if before is None or not before:
        return 0
    ratio = latency / before - 1
    size = sum(abs(ratio) >= threshold for threshold in _CHANGES)
    return size if ratio > 0 else -size


def _live_by_operator(estimate: Estimate) -> dict[str, Live]:
    live: dict[str, Live] = {}
    for name, alive, tensors in estimate.detail.timeline():
        if name not in live or alive > live[name][0]:
            live[name] = int(alive), tuple(tensor for tensor, _ in tensors)
    return live


def _peak_step(steps: Sequence[Sequence[Any]]) -> int | None:
    """The step at which most bytes are alive."""
    return max(range(len(steps)), key=lambda i: steps[i][10], default=None) if steps else None


def _most(bounds: Sequence[tuple[str, float]]) -> str:
    spent: dict[str, float] = {}
    for name, ms in bounds:
        spent[name] = spent.get(name, 0.0) + ms
    return max(spent, key=spent.__getitem__, default="compute")


def _use_text(macs: int, latency_ms: float, macs_per_ms: float | None) -> str:
    """The share of the array that a block uses."""
    if macs_per_ms is None or latency_ms <= 0:
        return ""
    return f"{100 * macs / (latency_ms * macs_per_ms):.1f} %"


def _within(op: Op, block: str) -> str:
    """The operator's path inside its block, its own name where it has none."""
    path = op.module.removeprefix(block).lstrip(".") if op.module else ""
    return path or op.name


def _kind_text(op: Op) -> str:
    return "depthwise conv2d" if op.kind == "conv2d" and op.is_depthwise else op.kind.replace("_", " ")


def _tensor_text(graph: Graph, name: str) -> str:
    """A tensor in words: what makes it, its shape, its bytes at one byte a value."""
    op = graph.by_name.get(name)
    if op is None:
        return name
    source = op.module or op.name
    size = metric_text("peak_activation_bytes", prod(op.shape))
    return f"{source}  {shape_text(op.shape)}  {size}"


def _words(name: str) -> str:
    """MobileVitBlock -> MobileVit block."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).split()
    return " ".join([words[0], *(word.lower() for word in words[1:])]) if words else name
