"""A finer output grid for dense tasks: dilation in place of stride."""

from dataclasses import dataclass, replace

from ..errors import InputError, NotApplicable
from ..graph import Graph, Op, Plan, SetSpatial
from ..targets import Target
from .base import Transform

__all__ = ["OutputStride"]

_WINDOWS = ("conv2d", "max_pool2d", "avg_pool2d")
_PLAIN = frozenset(f"torch.nn.modules.{name}" for name in ("conv.Conv2d", "pooling.MaxPool2d", "pooling.AvgPool2d"))


@dataclass(frozen=True)
class _Grid:
    """Where the values of the network as it was stand in the finer map: value i at rate * i + shift.

    pixels: of the input per pixel of the finer map. shift: (rows, columns).
    """

    pixels: int
    rate: int
    shift: tuple[int, int]


@dataclass(frozen=True)
class OutputStride(Transform):
    """Keep the last feature maps at 1/stride of the input: later strides become dilation (Yu and Koltun 2016).

    Every second value of the finer maps is what the network computed before (borders aside), so weights keep their
    meaning; segmentation and detection get a finer grid, at the price of arithmetic.

    stride: 8 or 16 (2 to 32, a power of two) input pixels per output pixel.

    What a network needs: strides in plain convolutions and pools (those whose maps would shrink at stride 1 come to pad
    as TensorFlow's "SAME" does); branches that meet at one scale and pixel on pixel; no average pool behind a stride
    that goes; no layer behind written for one map size.

    >>> OutputStride(16)
    OutputStride(stride=16)
    """

    stride: int = 16

    def __post_init__(self) -> None:
        if self.stride not in (2, 4, 8, 16, 32) or isinstance(self.stride, bool):
            raise InputError(f"stride is {self.stride!r}; it must be 2, 4, 8, 16 or 32, such as 16")

    def plan(self, graph: Graph, target: Target) -> Plan:
        scale: dict[str, _Grid] = {}
        edits = []
        for op in graph.ops:
            at = self._met(op, [scale[name] for name in op.inputs if name in scale])
            if at is None or len(op.shape) != 4:
                if op.kind == "input" and len(op.shape) == 4:
                    scale[op.name] = _Grid(1, 1, (0, 0))
                continue
            if op.kind in _WINDOWS:
                edit, at = self._window(graph, op, at)
                edits += [edit] if edit else []
            elif at.rate > 1 and _moves_pixels(graph, op):
                raise NotApplicable(f"{op.module or op.name}: a {op.kind} of maps behind a stride that would go")
            if max(op.shape[2:]) > 1 or max(graph.by_name[op.inputs[0]].shape[2:]) == 1:
                scale[op.name] = at
        if not edits:
            finest = max((at.pixels for at in scale.values()), default=1)
            raise NotApplicable(f"the network's output stride is {finest} already, not above {self.stride}")
        return Plan(tuple(edits))

    @staticmethod
    def _met(op: Op, grids: list[_Grid]) -> _Grid | None:
        if len({(at.pixels, at.rate) for at in grids}) > 1:
            raise NotApplicable(f"{op.module or op.name} joins branches of different strides")
        if len(set(grids)) > 1:
            raise NotApplicable(f"{op.module or op.name} joins branches that would no longer stand pixel on pixel")
        return grids[0] if grids else None

    def _window(self, graph: Graph, op: Op, at: _Grid) -> tuple[SetSpatial | None, _Grid]:
        """The edit a convolution or pool needs, if any, and the grid of what it makes."""
        step = max(op["stride"])
        goes = step > 1 and at.pixels * step > self.stride
        if not goes and (at.rate == 1 or max(op["kernel"]) == 1):
            return None, replace(at, pixels=at.pixels * step)
        name = op.module or op.name
        if op.kind == "avg_pool2d" and at.rate > 1:
            raise NotApplicable(f"{name}: an average over pixels that stand apart cannot be run")
        layer = graph.classes.get(op.module, "")
        pads_itself = layer.endswith("Same")
        spans = [d * (k - 1) for d, k in zip(op.get("dilation") or (1, 1), op["kernel"], strict=True)]
        centred = all(2 * p == span for p, span in zip(op["padding"], spans, strict=True)) and not op.get("ceil")
        dilated_pool = op.kind == "max_pool2d" and at.rate > 1  # torch pads a pool by half its kernel at most
        same = not pads_itself and (dilated_pool or (goes and not centred))
        if same and layer not in _PLAIN:
            raise NotApplicable(
                f"{name}: no layer does what {layer.rpartition('.')[2]} does and keeps a map's size at stride 1"
            )
        if dilated_pool and not (goes or centred):
            raise NotApplicable(f"{name}: a {_size(op)} pool that makes its map smaller cannot stand apart")
        before = graph.by_name[op.inputs[0]]
        own = [p[0] for p in before["pads"][2:]] if _pads_for(before, op) else op["padding"]
        fronts = [at.rate * p for p in own]
        now = [at.rate * span // 2 for span in spans] if same or pads_itself else fronts
        shift = tuple(t + new - old for t, new, old in zip(at.shift, now, fronts, strict=True))
        padding = None if same or pads_itself or at.rate == 1 else _times(op["padding"], at.rate)
        edit = SetSpatial(
            op.name,
            stride=(1, 1) if goes else None,
            dilation=_times(op["dilation"], at.rate) if at.rate > 1 else None,
            padding=padding,
            same=same,
        )
        pixels, rate = (at.pixels, at.rate * step) if goes else (at.pixels * step, at.rate)
        return edit, _Grid(pixels, rate, (shift[0], shift[1]))


def _pads_for(op: Op, layer: Op) -> bool:
    """Whether the operator is the padding of a layer that pads as TensorFlow's "SAME" does."""
    return op.kind == "pad" and op.module == layer.module


def _moves_pixels(graph: Graph, op: Op) -> bool:
    """Whether the operator counts pixels that would stand apart; padding a layer does for itself is seen to there."""
    if op.kind in ("pad", "reflect_pad"):
        return any(any(p) for p in op["pads"][2:]) and not any(_pads_for(op, o) for o in graph.consumers[op.name])
    return op.kind == "resize"


def _times(pair: tuple[int, int], by: int) -> tuple[int, int]:
    return pair[0] * by, pair[1] * by


def _size(op: Op) -> str:
    return "x".join(map(str, op["kernel"]))
