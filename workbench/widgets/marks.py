"""Colours from what was measured of blocks: the error that int8 makes in them, the loss of editing them.

A value holds for the block it was measured of: once its operators are others it is unknown again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isnan

import pandas as pd

from ..errors import InputError
from ..graph import Block, Graph
from ..metrics import quantity_text
from ..report.palette import heat
from ..state import State

__all__ = ["Mark", "mark_of", "marks_view"]

Operators = Mapping[str, int]  # of each block, as a hash


@dataclass(frozen=True)
class Mark:
    """name, label: of the colour. values: block -> relative error. operators: those that it was measured of."""

    name: str
    label: str
    values: Mapping[str, float]
    operators: Operators


def mark_of(state: State, table: pd.DataFrame) -> Mark:
    """The colour that a table brings: `Session.int8_fidelity` the largest error of the network's outputs with one layer
    of the block alone coded, `Session.library` the least relative error of the block's output that an edit leaves.

    Raises InputError for any other table.
    """
    names = [block.name for block in state.graph.blocks]
    if {"layer", "own"} <= set(table.columns):
        pairs = [(_block_of(str(layer), names), own) for layer, own in zip(table["layer"], table["own"], strict=True)]
        return Mark("int8", "int8 error", _each(pairs, max), _operators(state.graph))
    if {"block", "loss_distilled"} <= set(table.columns):
        pairs = list(zip(table["block"], table["loss_distilled"], strict=True))
        return Mark("loss", "loss of editing", _each(pairs, min), _operators(state.graph))
    raise InputError(f"a table with the columns {', '.join(map(str, table.columns))} has no colour of blocks; "
                     f"session.int8_fidelity(images) and session.library(task) have")  # fmt: skip


def marks_view(marks: Mapping[str, Mark], graph: Graph) -> dict[str, dict[str, object]]:
    """Name of a colour -> label, top (text of the end of its scale), and a [heat, text] a block, None where unknown."""
    now = _operators(graph)
    view: dict[str, dict[str, object]] = {}
    for mark in marks.values():
        known = {name: v for name, v in mark.values.items() if now.get(name) == mark.operators.get(name)}
        top = max(known.values(), default=0.0)
        blocks = [
            None if (value := known.get(block.name)) is None
            else [heat(value, top or 1.0), f"{mark.label} {quantity_text(value, 'share')}"]
            for block in graph.blocks
        ]  # fmt: skip
        view[mark.name] = {"label": mark.label, "top": quantity_text(top, "share"), "blocks": blocks}
    return view


def _each(pairs: Iterable[tuple[object, float]], pick: Callable[[list[float]], float]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for block, value in pairs:
        if block is not None and not isnan(value):
            values.setdefault(str(block), []).append(float(value))
    return {block: pick(several) for block, several in values.items()}


def _block_of(layer: str, names: list[str]) -> str | None:
    """The block that a layer is in, the longest path of those that hold it."""
    return max((name for name in names if f"{layer}.".startswith(f"{name}.")), key=len, default=None)


def _operators(graph: Graph) -> Operators:
    return {block.name: _hash(graph, block) for block in graph.blocks}


def _hash(graph: Graph, block: Block) -> int:
    return hash(tuple(graph.by_name[name] for name in block.ops))
