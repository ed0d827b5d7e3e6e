"""A finer output grid for dense tasks: dilation in place of stride."""

from dataclasses import dataclass

from ..errors import InputError, NotApplicable
from ..graph import Graph, Op, Plan, SetSpatial
from ..targets import Target
from .base import Transform

__all__ = ["OutputStride"]

_WINDOWS = ("conv2d", "max_pool2d", "avg_pool2d")


@dataclass(frozen=True)
class OutputStride(Transform):
    """Keep the last feature maps at 1/stride of the input: later strides become dilation (Yu and Koltun 2016).

    Every second value of the finer maps is what the network computed before (borders aside), so weights keep their
    meaning; segmentation and detection get a finer grid, at the price of arithmetic.

    stride: 8 or 16 (2 to 32, a power of two) input pixels per output pixel.

    What a network needs: strides in convolutions with odd kernels, or max pools, that keep a map's size at stride 1;
    branches that meet at one scale; no layer behind written for one map size.

    >>> OutputStride(16)
    OutputStride(stride=16)
    """

    stride: int = 16

    def __post_init__(self) -> None:
        if self.stride not in (2, 4, 8, 16, 32) or isinstance(self.stride, bool):
            raise InputError(f"stride is {self.stride!r}; it must be 2, 4, 8, 16 or 32, such as 16")

    def plan(self, graph: Graph, target: Target) -> Plan:
        scale: dict[str, tuple[int, int]] = {}  # tensor -> (input pixels per pixel, dilation its values stand apart)
        edits = []
        for op in graph.ops:
            at = self._met(op, [scale[name] for name in op.inputs if name in scale])
            if at is None or len(op.shape) != 4:
                if op.kind == "input" and len(op.shape) == 4:
                    scale[op.name] = (1, 1)
                continue
            if op.kind in _WINDOWS:
                edit, at = self._window(graph, op, *at)
                edits += [edit] if edit else []
            elif op.kind == "resize" and at[1] > 1:
                raise NotApplicable(f"{op.module or op.name} resizes maps behind a stride that would go")
            if max(op.shape[2:]) > 1 or max(graph.by_name[op.inputs[0]].shape[2:]) == 1:
                scale[op.name] = at
        if not edits:
            finest = max((at[0] for at in scale.values()), default=1)
            raise NotApplicable(f"the network's output stride is {finest} already, not above {self.stride}")
        return Plan(tuple(edits))

    @staticmethod
    def _met(op: Op, scales: list[tuple[int, int]]) -> tuple[int, int] | None:
        if len(set(scales)) > 1:
            raise NotApplicable(f"{op.module or op.name} joins branches of different strides")
        return scales[0] if scales else None

    def _window(self, graph: Graph, op: Op, pixels: int, rate: int) -> tuple[SetSpatial | None, tuple[int, int]]:
        """The edit a convolution or pool needs, if any, and the scale of what it makes."""
        step = max(op["stride"])
        goes = step > 1 and pixels * step > self.stride
        after = (pixels, rate * step) if goes else (pixels * step, rate)
        if not goes and (rate == 1 or max(op["kernel"]) == 1):
            return None, after
        same = graph.classes.get(op.module, "").endswith("Same")
        spans = [d * (k - 1) for d, k in zip(op.get("dilation") or (1, 1), op["kernel"], strict=True)]
        padded = all(2 * p == span for p, span in zip(op["padding"], spans, strict=True)) and not op.get("ceil")
        if not same and not padded:
            raise NotApplicable(
                f"{op.module or op.name}: a {_size(op)} window padded {op['padding']} changes a map's size at stride 1"
            )
        if rate > 1 and op.kind != "conv2d":
            raise NotApplicable(f"{op.module or op.name}: a pool padded as its dilation wants cannot be run")
        return SetSpatial(
            op.name,
            stride=(1, 1) if goes else None,
            dilation=_times(op["dilation"], rate) if rate > 1 else None,
            padding=_times(op["padding"], rate) if rate > 1 and not same else None,
        ), after


def _times(pair: tuple[int, int], by: int) -> tuple[int, int]:
    return pair[0] * by, pair[1] * by


def _size(op: Op) -> str:
    return "x".join(map(str, op["kernel"]))
