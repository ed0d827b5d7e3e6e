"""Notes as the bench shows them: each says whether what it speaks of has changed since it was written."""

from collections.abc import Mapping
from typing import Any

from ..graph import Graph
from ..state import State

__all__ = ["Noted", "noted_now", "notes_view"]

# (path, text) of a note -> the operators it spoke of, as a hash
Noted = Mapping[tuple[str, str], int]


def noted_now(state: State, noted: Noted) -> Noted:
    """With the notes that are new; those of a session that was opened with them count from there."""
    return {note: noted.get(note, _operators(state.graph, note[0])) for note in state.annotations}


def notes_view(state: State, noted: Noted) -> list[dict[str, Any]]:
    """block, text and changed of each note."""
    return [
        {"block": path, "text": text, "changed": noted[path, text] != _operators(state.graph, path)}
        for path, text in state.annotations
    ]


def _operators(graph: Graph, path: str) -> int:
    """The operators of a block or a module, of all where no path is named."""
    block = next((set(block.ops) for block in graph.blocks if block.name == path), set())
    inside = path + "."
    ops = graph.ops
    return hash(tuple(op for op in ops if not path or op.name in block or f"{op.module}.".startswith(inside)))
