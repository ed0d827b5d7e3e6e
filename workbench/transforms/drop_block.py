"""Residual blocks taken out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ..errors import NotApplicable
from ..graph import Block, Graph, Plan, RemoveModule
from ..hardware import Target
from .base import Blocks, Transform
from .per_block import per_block
from .select import check_blocks

__all__ = ["DropBlock"]


_HAND_ON_MORE = frozenset(("EfficientViMBlock", "MultiScaleBlock"))


@dataclass(frozen=True)
class DropBlock(Transform):
    """Take residual blocks out: their input goes on as their output (Veit et al. 2016: networks survive it).

    Not the regulariser of the same name. Nothing else shortens a network without touching a width.

    blocks: selector, to be chosen with care: "*" takes out every residual block there is. With a pattern, blocks that
    cannot go are passed over; one named by its full path must be one that can.

    What a block needs: a residual addition, an output of the shape of its one input, and a module of its own.

    >>> DropBlock("blocks.4.2")
    DropBlock(blocks='blocks.4.2')
    """

    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        return {"drop": cls(block.name)}

    def plan(self, graph: Graph, target: Target) -> Plan:
        def edits(block: Block) -> list[RemoveModule]:
            reason = _stays(graph, block)
            if reason:
                raise NotApplicable(f"{block.name} ({block.kind}) cannot be taken out: {reason}")
            return [RemoveModule(block.name, block.ops)]

        lack = "cannot be taken out: it has no residual addition"
        return per_block(graph, self.blocks, lambda block: (block,) if block.residual else (), edits, lack)


def _stays(graph: Graph, block: Block) -> str:
    """Why the residual block cannot be taken out; "" where it can."""
    if graph.by_name[block.input].shape != graph.by_name[block.output].shape:
        return "its output has another shape than its input"
    inside = set(block.ops)
    read = [i for name in block.ops for i in graph.by_name[name].inputs if i not in inside]
    if any(name != block.input for name in read):
        return f"it reads more than its input ({next(name for name in read if name != block.input)})"
    if any(user.name not in inside for name in inside - {block.output} for user in graph.consumers[name]):
        return "what it computes on the way is read outside"
    own = {op.name for op in graph.ops if op.module == block.name or op.module.startswith(f"{block.name}.")}
    if block.name not in graph.classes or own != inside:
        return "it is no module of its own"
    outside = {p.name: op.module for op in graph.ops if op.name not in inside for p in op.params}
    shared = next((p.name for name in block.ops for p in graph.by_name[name].params if p.name in outside), None)
    if shared is not None:
        return f"{outside[shared]} uses its layers too"
    if block.cls in _HAND_ON_MORE:
        return f"the code of {block.cls} hands on more than its output"
    if block.ops[-1] != block.output:
        return "its output is not the last it makes"
    return ""
