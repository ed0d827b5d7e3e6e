"""Another kernel size for spatial convolutions."""

from dataclasses import dataclass, replace

from ..errors import InputError, NotApplicable
from ..graph import Graph, Op, Plan, Replace
from ..graph.layer_padding import pads_as_needed
from ..hardware import Target
from .base import Blocks, Transform
from .layers import own_weight, sharing, standardised
from .select import check_blocks, named, select

__all__ = ["KernelSize"]


@dataclass(frozen=True)
class KernelSize(Transform):
    """Give spatial convolutions, depthwise ones too, one kernel size: 5x5 and 7x7 become 3x3, maps keep their sizes.

    A smaller kernel is the best one on calibration images (least squares on the layer's own input and output), without
    them the middle of the old one. A larger one has the old in its middle and zeros around: the function stays exactly
    the same.

    size: odd, 3 to 15. A kernel as long one way only (1x7) stays one.
    blocks: selector; blocks without such a convolution are passed over unless named by their full path.

    What a convolution needs: weights of its own, an odd kernel, and padding enough for its map to keep its size. One
    that standardises its weights, each kernel to mean 0 and variance 1, can take the best smaller kernel of mean 0; a
    larger one only where it has a gain, which makes up for the zeros. Without a gain the best direction is taken.

    >>> KernelSize(3, blocks="blocks.[56].*")
    KernelSize(size=3, blocks='blocks.[56].*')
    """

    size: int = 3
    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        if (
            not isinstance(self.size, int)
            or isinstance(self.size, bool)
            or not 3 <= self.size <= 15
            or not self.size % 2
        ):
            raise InputError(f"size is {self.size!r}; it must be odd and from 3 to 15, such as 3")
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        edits: dict[str, Replace] = {}
        reasons: list[NotApplicable] = []
        meant = named(self.blocks)
        for block in select(graph, self.blocks):
            found = [op for op in (graph.by_name[name] for name in block.ops) if self._differs(op)]
            if not found and block.name in meant:
                raise NotApplicable(f"{block.name} ({block.kind}) has no other spatial kernel than {self._words}")
            for op in found:
                try:
                    edits |= {other.name: self._edit(graph, other) for other in sharing(graph, op)}
                except NotApplicable as error:
                    if block.name in meant:
                        raise
                    reasons.append(error)
        if not edits:
            none = f"none of the blocks {self.blocks!r} has another spatial kernel than {self._words}"
            raise reasons[0] if reasons else NotApplicable(none)
        return Plan(tuple(edits.values()))

    @property
    def _words(self) -> str:
        return f"{self.size}x{self.size}"

    def _differs(self, op: Op) -> bool:
        return op.kind == "conv2d" and any(k not in (1, self.size) for k in op["kernel"])

    def _edit(self, graph: Graph, op: Op) -> Replace:
        gained = standardised(graph, op)
        weight = own_weight(op) if gained is None else op.param("weight")
        if weight is None or len(weight.shape) != 4:
            raise NotApplicable(f"the kernel of {op.module or op.name} is not the layer's own weight")
        old: tuple[int, int] = op["kernel"]
        new = tuple(k if k == 1 else self.size for k in old)
        if any((k - n) % 2 for k, n in zip(old, new, strict=True)):
            raise NotApplicable(f"{op.module}: a {old[0]}x{old[1]} kernel has no middle")
        if gained is False and any(n > k for k, n in zip(old, new, strict=True)):
            why = "its weights are standardised without a gain, so that zeros around them would count"
            raise NotApplicable(f"{op.module} can have no {self._words} kernel: {why}; size={max(old)} is its largest")
        padding = op["padding"]
        if not pads_as_needed(graph, op):
            less = [d * (k - n) // 2 for d, k, n in zip(op["dilation"], old, new, strict=True)]
            padding = tuple(p - n for p, n in zip(padding, less, strict=True))
            if min(padding) < 0:
                raise NotApplicable(
                    f"{op.module}: its padding {op['padding']} is too small for the map to keep its size"
                )
        params = tuple(replace(p, shape=(*p.shape[:2], *new)) if p is weight else p for p in op.params)
        made = replace(op.with_attrs(kernel=new, padding=padding), params=params)
        return Replace((op.name,), (made,), "embed" if new >= old else "least-squares")
