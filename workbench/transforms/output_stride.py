"""A finer output grid for dense tasks: dilation in place of stride."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from ..errors import InputError, NotApplicable
from ..graph import Graph, Op, Plan, SetSpatial
from ..graph.kinds import PADS, WINDOWS
from ..graph.layer_padding import is_padding_of, pads_as_needed
from ..hardware import Target
from .base import Transform

__all__ = ["OutputStride"]

_PLAIN = frozenset(f"torch.nn.modules.{name}" for name in ("conv.Conv2d", "pooling.MaxPool2d", "pooling.AvgPool2d"))
_BLUR = "timm.layers.blur_pool.BlurPool2d"


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

    What a network needs: strides in convolutions, pools and blurs (plain ones whose maps would shrink at stride 1 come
    to pad as TensorFlow's "SAME" does, others must keep their size there); branches that meet at one scale and pixel on
    pixel; no average pool behind a stride that goes; no layer behind written for one map size.

    >>> OutputStride(16)
    OutputStride(stride=16)
    """

    stride: int = 16

    def __post_init__(self) -> None:
        if self.stride not in (2, 4, 8, 16, 32) or isinstance(self.stride, bool):
            raise InputError(f"stride is {self.stride!r}; it must be 2, 4, 8, 16 or 32, such as 16")

    def plan(self, graph: Graph, target: Target) -> Plan:
        scale: dict[str, _Grid] = {}
        edits: list[SetSpatial] = []
        unknown: list[NotApplicable] = []  # strides of which no grid is known
        for op in graph.ops:
            at = self._met(op, [scale[name] for name in op.inputs if name in scale])
            if at is None or not _is_map(graph, op, scale):
                if op.kind == "input" and len(op.shape) == 4:
                    scale[op.name] = _Grid(1, 1, (0, 0))
                elif _is_strided(op) or (edits and _is_spatial(graph, op)):
                    unknown.append(_lost(op))
                    if edits:
                        raise unknown[-1]
                continue
            if op.kind in WINDOWS:
                edit, at = self._window(graph, op, at)
                edits += [edit] if edit else []
            elif at.rate > 1 and _moves_pixels(graph, op):
                raise NotApplicable(f"{op.module or op.name}: a {op.kind} of maps behind a stride that would go")
            elif _is_strided(op):
                unknown.append(_lost(op))
            if max(op.shape[-2:]) > 1 or max(graph.by_name[op.inputs[0]].shape[-2:]) == 1:
                scale[op.name] = at
        if not edits and unknown:
            raise unknown[0]
        last = max((at.pixels for at in scale.values()), default=1)
        if not edits:
            raise NotApplicable(f"the network's output stride is {last} already, not above {self.stride}")
        if last != self.stride:
            raise NotApplicable(f"the output stride cannot be {self.stride}: strides go whole, which makes it {last}")
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
        dynamic = pads_as_needed(graph, op)
        before = graph.by_name[op.inputs[0]]
        outside = is_padding_of(before, op)  # done by the layer's code
        pads = before["pads"][2:] if outside else tuple((p, p) for p in op["padding"])
        spans = [d * (k - 1) for d, k in zip(op.get("dilation") or (1, 1), op["kernel"], strict=True)]
        centred = all(2 * a == 2 * b == span for (a, b), span in zip(pads, spans, strict=True)) and not op.get("ceil")
        dilated_pool = op.kind == "max_pool2d" and at.rate > 1  # torch pads a pool by half its kernel at most
        same = not dynamic and (dilated_pool or (goes and not centred))
        if (same and layer not in _PLAIN) or (outside and not dynamic and layer != _BLUR):
            what = f"the {op.kind} of {layer.rpartition('.')[2]}"
            raise NotApplicable(f"{name}: no layer does what {what} does and keeps a map's size at stride 1")
        if dilated_pool and not (goes or centred):
            raise NotApplicable(f"{name}: a {_size(op)} pool that makes its map smaller cannot stand apart")
        fronts = at.rate * pads[0][0], at.rate * pads[1][0]
        new_fronts = [at.rate * span // 2 for span in spans] if same or dynamic else fronts
        shift = tuple(t + new - old for t, new, old in zip(at.shift, new_fronts, fronts, strict=True))
        padding = None if same or dynamic or at.rate == 1 else fronts
        edit = SetSpatial(
            op.name,
            stride=(1, 1) if goes else None,
            dilation=_times(op["dilation"], at.rate) if at.rate > 1 else None,
            padding=padding,
            same=same,
        )
        pixels, rate = (at.pixels, at.rate * step) if goes else (at.pixels * step, at.rate)
        return edit, _Grid(pixels, rate, (shift[0], shift[1]))


def _is_map(graph: Graph, op: Op, maps: Collection[str]) -> bool:
    """Whether it makes a map of the pixels it reads: [N, C, H, W], in groups [N, G, C, H, W], or flat [N, C, H W]."""
    read = [graph.by_name[name].shape for name in op.inputs if name in maps]
    rank, out_rank = len(read[0]), len(op.shape)
    if out_rank == rank == 4:
        return True
    if out_rank < 3 or op.kind == "permute":
        return False
    if op.kind != "reshape":
        pixels = op.shape[-2:] if out_rank > 3 else op.shape[-1:]
        return any(shape[-len(pixels) :] == pixels for shape in read)
    if out_rank == 3:
        return op["dims"][-1] == ((rank - 2, rank - 1) if rank > 3 else (2,))
    if rank == 3:
        return op["dims"][-2:] == (None, None) and op.shape[-2] * op.shape[-1] == read[0][-1]
    return op["dims"][-2:] == ((rank - 2,), (rank - 1,))


def _is_strided(op: Op) -> bool:
    return len(op.shape) == 4 and max(op.get("stride") or (1,)) > 1


def _is_spatial(graph: Graph, op: Op) -> bool:
    """Whether it looks at more than a pixel, which could stand apart."""
    return op.kind in WINDOWS and max(op["kernel"]) > 1 and max(graph.by_name[op.inputs[0]].shape[2:]) > 1


def _lost(op: Op) -> NotApplicable:
    why = "behind a reshape or an operator without a rule it is not known how its map lies on the input"
    return NotApplicable(f"{op.module or op.name} can have no other stride or dilation: {why}")


def _moves_pixels(graph: Graph, op: Op) -> bool:
    """Whether the operator counts pixels that would stand apart; padding a layer does for itself is seen to there."""
    if op.kind in PADS:
        return any(any(p) for p in op["pads"][2:]) and not any(is_padding_of(op, o) for o in graph.consumers[op.name])
    return op.kind == "resize"


def _times(pair: tuple[int, int], by: int) -> tuple[int, int]:
    return pair[0] * by, pair[1] * by


def _size(op: Op) -> str:
    return "x".join(map(str, op["kernel"]))
