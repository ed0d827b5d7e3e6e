"""Choices of a Space that change one block alone, so that what they do to it is known whatever is done elsewhere.

A choice is local where all operators outside its block stay as they are and the block still makes a map of the same
shape. Narrowed stages, evened channels and ranges of fused blocks reach further and are named as left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..graph import Block, Graph, Op, Plan
from ..hardware import Target
from ..space import Space, option
from .block_network import block_networks

__all__ = ["BlockChoice", "LeftOut", "local_choices"]


@dataclass(frozen=True)
class BlockChoice:
    """What is done to one block.

    block: its path. label: the choice's in its Space. plans: one a step, for the network and for the block alone.
    """

    block: str
    label: str
    plans: tuple[Plan, ...]

    @property
    def beginnings(self) -> Iterator["BlockChoice"]:
        """The choice after its first step, after its second, ..., itself the last."""
        for count in range(1, len(self.plans)):
            yield BlockChoice(self.block, self.label, self.plans[:count])
        yield self


@dataclass(frozen=True)
class LeftOut:
    """A choice that no block library holds, and why. block: "" for the network as a whole."""

    block: str
    label: str
    reason: str


def local_choices(space: Space, graph: Graph, target: Target) -> tuple[tuple[BlockChoice, ...], tuple[LeftOut, ...]]:
    """The choices of a space that change one block of `graph` alone, in the space's order, and those that do not.

    Choices that keep their slot as it is are in neither. Choices that make the same plans on another target are equal
    there but for their labels.
    """
    local: list[BlockChoice] = []
    others: list[LeftOut] = []
    blocks = {block.name: block for block in graph.blocks}
    alone = block_networks(graph)
    for slot in space.slots:
        for choice in slot.choices:
            if not choice.transforms:
                continue
            applied = option(graph, target, choice, slot.block)
            if not slot.block:
                reason = "it changes several blocks"
            elif slot.block not in alone:
                reason = "the block is no module of its own that reads one map"
            elif applied is None:
                reason = f"it does not apply on {target.name}"
            elif not _is_local(graph, applied.graph, blocks[slot.block]):
                reason = "it changes what other blocks read or are"
            else:
                local.append(BlockChoice(slot.block, choice.label, applied.plans))
                continue
            others.append(LeftOut(slot.block, choice.label, reason))
    return tuple(local), tuple(others)


def _is_local(before: Graph, after: Graph, block: Block) -> bool:
    """Whether all operators outside the block stay, whatever the names of what they read, and see the same shapes."""
    inside = set(block.ops)
    outside = [op for op in before.ops if op.name not in inside]
    rest = {op.name for op in outside}
    kept = [op for op in after.ops if op.name in rest]
    return [_signature(before, op) for op in outside] == [_signature(after, op) for op in kept]


def _signature(graph: Graph, op: Op) -> tuple[object, ...]:
    shapes = tuple(graph.by_name[name].shape for name in op.inputs)
    return op.name, op.kind, op.module, op.attrs, op.shape, shapes, tuple((p.name, p.shape) for p in op.params)
