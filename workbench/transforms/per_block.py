"""The loop over blocks that transforms share: select them, edit the parts that can be, refuse where there are none."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..errors import NotApplicable
from ..graph import Block, Edit, Graph, Plan
from .base import Blocks
from .select import named, select

__all__ = ["per_block"]

Part = TypeVar("Part")


def per_block(
    graph: Graph,
    blocks: Blocks,
    parts: Callable[[Block], Iterable[Part]],
    edits: Callable[[Part], Iterable[Edit]],
    lack: str,
    none: str = "",
) -> Plan:
    """The plan that edits all parts of the selected blocks that can be edited, in execution order, no edit twice.

    parts: what a block has for the transform to work on: layers, gates, the block itself. edits: of one part; it
    raises NotApplicable with the rule where the part must stay. lack: what is wrong with a block that has no part, as
    the end of the sentence "blocks.0.0 (conv) ...". none: the sentence where no selected block has a part, or all parts
    are as they should be already; "" takes the one of the first block.

    Raises NotApplicable where a block named by its full path has no part or one that must stay, and where no part of
    all the selected blocks changes, with the first part's reason; UnknownName where the selector names no block.
    """
    exact = named(blocks)
    selected = select(graph, blocks)
    plan: dict[Edit, None] = {}
    reasons: list[NotApplicable] = []
    for block in selected:
        block_parts = tuple(parts(block))
        if not block_parts and block.name in exact:
            raise NotApplicable(f"{block.name} ({block.kind}) {lack}")
        for part in block_parts:
            try:
                plan |= dict.fromkeys(edits(part))
            except NotApplicable as reason:
                if block.name in exact:
                    raise
                reasons.append(reason)
    if plan:
        return Plan(tuple(plan))
    if reasons:
        raise reasons[0]
    raise NotApplicable(none or f"{selected[0].name} ({selected[0].kind}) {lack}")
