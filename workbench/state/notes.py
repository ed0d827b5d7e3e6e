"""What a note speaks of, and whether that is still what it was when the note was written."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from ..graph import Graph, Op
from ..graph.paths import is_inside
from ..table import Table

__all__ = ["digest_at", "notes_table", "places"]


def places(graph: Graph) -> Iterator[str]:
    """What can be spoken of besides the network: its blocks, modules and operators."""
    yield from (block.name for block in graph.blocks)
    yield from (path for path, _ in graph.modules if path)
    yield from (op.name for op in graph.ops)


def digest_at(graph: Graph, path: str) -> str:
    """16 hex digits of the operators of a block, a module, an operator, or ("") the network; "" where there are none.

    Of operators only what they are counts, not what they are called or what reads them: a change elsewhere in the
    network leaves the digest as it is.
    """
    ops = _ops_at(graph, path)
    if not ops:
        return ""
    facts = [(op.kind, op.shape, op.attrs, [(p.role, p.shape) for p in op.params], op.module) for op in ops]
    return sha256(repr(facts).encode()).hexdigest()[:16]


def notes_table(graph: Graph, annotations: Sequence[tuple[str, str]], noted_of: Sequence[str]) -> Table:
    """One row per note: where, note, since ("as it was", "changed since", "no longer there", or "" where unknown).

    noted_of: the digest of what each note speaks of, as it was then; "" for notes of older files.
    """
    rows = [
        (path, text, _since(digest, digest_at(graph, path)))
        for (path, text), digest in zip(annotations, [*noted_of, *[""] * len(annotations)], strict=False)
    ]
    return Table(rows, columns=["where", "note", "since"])


def _since(before: str, now: str) -> str:
    if not now:
        return "no longer there"
    return "" if not before else "as it was" if before == now else "changed since"


def _ops_at(graph: Graph, path: str) -> Sequence[Op]:
    if not path:
        return graph.ops
    block = next((block for block in graph.blocks if block.name == path), None)
    if block is not None:
        return [graph.by_name[name] for name in block.ops]
    inside = [op for op in graph.ops if is_inside(op.module, path)]
    return inside or [op for op in graph.ops if op.name == path]
