"""Choices of a Space that change one block alone, so that what they do to it is known whatever is done elsewhere.

A choice is local where all operators outside its block stay as they are and the block still makes a map of the same
shape. Narrowed stages, evened channels and ranges of fused blocks reach further and are named as left out.

Steps already taken are told apart the same way: a plan of many blocks is a choice for each of them where each part is
local by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..graph import (
    Block,
    Compress,
    Edit,
    ExchangeLayer,
    FuseLayers,
    Graph,
    Op,
    Plan,
    ReplaceBlock,
    Resize,
    SetInput,
    SetSpatial,
    rewrite,
)
from ..hardware import Target
from ..space import Space, option
from .block_network import block_networks

__all__ = ["BlockChoice", "LeftOut", "divided", "local_choices"]


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


def divided(graph: Graph, plans: Sequence[Plan]) -> tuple[tuple[BlockChoice, ...], Graph, tuple[Plan, ...]]:
    """What plans, taken one after the other on `graph`, do to blocks alone, and what reaches further.

    Returns a choice for each block that the first plans change, the graph after those, and the plans from the first one
    on that is not local. Choices that a Space offers for the same block come out equal but for their labels.
    """
    alone = block_networks(graph)
    chosen: dict[str, tuple[Plan, ...]] = {}
    now = graph
    for number, plan in enumerate(plans):
        parts = _parts(now, plan)
        after = rewrite(now, plan)
        if parts is None or not parts.keys() <= alone.keys() or not _are_local(now, parts, after):
            return _choices(chosen), now, tuple(plans[number:])
        for block, part in parts.items():
            edits = (_reading(edit, _input(now, block), _input(graph, block)) for edit in part.edits)
            chosen[block] = (*chosen.get(block, ()), Plan(tuple(edits)))
        now = after
    return _choices(chosen), now, ()


def _choices(chosen: dict[str, tuple[Plan, ...]]) -> tuple[BlockChoice, ...]:
    return tuple(BlockChoice(block, "its steps", plans) for block, plans in chosen.items())


def _parts(graph: Graph, plan: Plan) -> dict[str, Plan] | None:
    """Block -> the edits of the plan that are inside it; None where one is in no block, or in several."""
    block_of = {name: block.name for block in graph.blocks for name in block.ops}
    parts: dict[str, Plan] = {}
    for edit in plan.edits:
        blocks = {block_of.get(name) for name in _edited_ops(graph, edit)}
        block = blocks.pop() if len(blocks) == 1 else None
        if block is None:
            return None
        parts[block] = parts.get(block, Plan()) + Plan((edit,))
        block_of |= {op.name: block for op in getattr(edit, "new_ops", ())}
    return parts


def _edited_ops(graph: Graph, edit: Edit) -> tuple[str, ...]:
    """The operators that an edit names; of a segment those that carry its channels."""
    if isinstance(edit, Resize):
        layout = graph.channels.layout
        return tuple(name for name, channels in layout.items() if edit.segment in channels.segments)
    if isinstance(edit, SetInput):
        return ()
    return (edit.op,) if isinstance(edit, SetSpatial | Compress) else edit.ops


def _are_local(graph: Graph, parts: dict[str, Plan], after: Graph) -> bool:
    """Whether each part is local, and all of them together make the graph after the plan."""
    for block, part in parts.items():
        edited = rewrite(graph, part)
        if not _is_local(graph, edited, next(b for b in graph.blocks if b.name == block)):
            return False
        graph = edited
    return graph == after


def _input(graph: Graph, block: str) -> str:
    return next(b.input for b in graph.blocks if b.name == block)


def _reading(edit: Edit, old: str, new: str) -> Edit:
    """The edit with operators that read `new` instead of `old`: a block before may have been taken out."""
    if old == new or not getattr(edit, "new_ops", ()):
        return edit

    def renamed(op: Op) -> Op:
        return replace(op, inputs=tuple(new if name == old else name for name in op.inputs))

    if isinstance(edit, ExchangeLayer):
        return replace(edit, new_op=renamed(edit.new_op))
    assert isinstance(edit, ReplaceBlock | FuseLayers)
    return replace(edit, new_ops=tuple(map(renamed, edit.new_ops)))


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
