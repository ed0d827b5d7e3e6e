"""Another kernel size for spatial convolutions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from ..errors import InputError, NotApplicable
from ..graph import Block, ExchangeLayer, Graph, Op, Plan
from ..graph.layer_padding import pads_as_needed
from ..hardware import Target
from .base import Blocks, Transform
from .layer_weights import own_weight, sharing, standardised
from .per_block import per_block
from .select import check_blocks

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

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        return {"kernel": cls(3, block.name)} if block.kernel > 3 else {}

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        return (cls(3, "*[kernel>3]") if any(block.kernel > 3 for block in graph.blocks) else cls(3),)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(3), cls(7)

    def plan(self, graph: Graph, target: Target) -> Plan:
        def layers(block: Block) -> list[Op]:
            return [op for op in (graph.by_name[name] for name in block.ops) if self._differs(op)]

        def edits(layer: Op) -> list[ExchangeLayer]:
            return [self._edit(graph, op) for op in sharing(graph, layer)]

        none = f"none of the blocks {self.blocks!r} has another spatial kernel than {self._words}"
        return per_block(graph, self.blocks, layers, edits, f"has no other spatial kernel than {self._words}", none)

    @property
    def _words(self) -> str:
        return f"{self.size}x{self.size}"

    def _differs(self, op: Op) -> bool:
        return op.kind == "conv2d" and any(k not in (1, self.size) for k in op["kernel"])

    def _edit(self, graph: Graph, op: Op) -> ExchangeLayer:
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
        resized = replace(op.with_attrs(kernel=new, padding=padding), params=params)
        return ExchangeLayer(op.name, resized, "embed" if new >= old else "least-squares")
