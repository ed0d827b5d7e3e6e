"""Every state the bench has been at: a tree of changes, in which undo and other branches are places to go to.

A node is the change that leads to it; its state is the session with the changes from the opened model up to it. So a
target, and notes, are those of the session, whatever the node.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError
from ..hardware import Measurement
from ..metrics import change_text, metric_text
from ..state import AnyState, Applied, Change, Learned, State

__all__ = ["Branches", "Node", "branches_view", "same_model", "state_at"]


@dataclass(frozen=True, eq=False)
class Node:
    """parent: number of the node before the change; the first has neither."""

    number: int
    parent: int | None = None
    change: Change | None = None


@dataclass(frozen=True)
class Branches:
    """The nodes, each behind its parent."""

    nodes: tuple[Node, ...] = (Node(0),)

    def changes(self, number: int) -> tuple[Change, ...]:
        """Those from the opened model to a node; raises InputError for a node that does not exist."""
        if not 0 <= number < len(self.nodes):
            raise InputError(f"there is no branch {number}; they are numbered from 0 to {len(self.nodes) - 1}")
        node, changes = self.nodes[number], []
        while node.parent is not None and node.change is not None:
            changes.append(node.change)
            node = self.nodes[node.parent]
        return tuple(reversed(changes))

    def number(self, changes: tuple[Change, ...]) -> int | None:
        """The node that these changes lead to; None where they were never made here."""
        at = 0
        for change in changes:
            step = next((n.number for n in self.nodes if n.parent == at and n.change is change), None)
            if step is None:
                return None
            at = step
        return at

    def merged(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """These changes, those that were made before in the same place as the nodes here have them."""
        at: int | None = 0
        merged: list[Change] = []
        for change in changes:
            below = [node for node in self.nodes if at is not None and node.parent == at and node.change is not None]
            node = next((n for n in below if n.change is change), None)
            node = node or next((n for n in below if n.change is not None and _alike(n.change, change)), None)
            at = None if node is None else node.number
            merged.append(change if node is None or node.change is None else node.change)
        return tuple(merged)

    def grown(self, changes: tuple[Change, ...]) -> "Branches":
        """With a node for these changes and for each on the way."""
        branches = self
        for count in range(1, len(changes) + 1):
            if branches.number(changes[:count]) is None:
                node = Node(len(branches.nodes), branches.number(changes[: count - 1]), changes[count - 1])
                branches = Branches((*branches.nodes, node))
        return branches


def _alike(a: Change, b: Change) -> bool:
    """Whether two changes are the same steps with the same result, or the same weights."""
    if str(a) != str(b) or a.graph.digest != b.graph.digest:
        return False
    if isinstance(a, Learned) and isinstance(b, Learned):
        return a.weights.keys() == b.weights.keys() and all(
            bool((value == b.weights[name]).all()) for name, value in a.weights.items()
        )
    return isinstance(a, Applied) and isinstance(b, Applied)


def same_model(a: State, b: State) -> bool:
    """Whether two states were opened alike, so that the changes of one are changes of the other."""
    return a.base is b.base or (
        not a.base.custom and a.base.graph.digest == b.base.graph.digest and a.base.source == b.base.source
        and a.base.weights == b.base.weights
    )  # fmt: skip


def state_at(state: AnyState, changes: tuple[Change, ...]) -> AnyState:
    """The session after other changes; what lies between redoes where they are earlier ones of its own."""
    own = (*state.changes, *reversed(state.undone))
    earlier = len(changes) <= len(own) and all(a is b for a, b in zip(changes, own, strict=False))
    rest = own[len(changes) :] if earlier else ()
    return replace(state, changes=changes, undone=tuple(reversed(rest)))


def branches_view(
    branches: Branches, state: AnyState, against: int, verdicts: Mapping[tuple[int, str], Measurement]
) -> dict[str, Any]:
    """Numbers of the current node and the one beside it (against), and all nodes, each with its parent, text,
    latency, change since opened, and verdict.

    verdicts: what the compiler said, by node and digest of the target.
    """
    opened = state.baseline.try_estimate
    nodes = []
    for node in branches.nodes:
        estimate = state_at(state, branches.changes(node.number)).try_estimate
        verdict = verdicts.get((node.number, state.target.digest))
        nodes.append(
            {
                "number": node.number,
                "parent": node.parent,
                "text": "opened" if node.change is None else str(node.change),
                "latency_ms": None if estimate is None else estimate.latency_ms,
                "latency_text": metric_text("latency_ms", None if estimate is None else estimate.latency_ms),
                "sram_bytes": None if estimate is None else estimate.sram_bytes,
                "sram_text": metric_text("sram_bytes", None if estimate is None else estimate.sram_bytes),
                "change": ""
                if estimate is None or opened is None or node.parent is None
                else change_text(opened.latency_ms, estimate.latency_ms),
                "verdict": verdict_text(verdict, None if estimate is None else estimate.latency_ms),
            }
        )
    current = branches.number(state.changes)
    return {"current": current, "against": against, "nodes": nodes}


def verdict_text(verdict: Measurement | None, estimated_ms: float | None) -> str:
    """What the compiler said of a node, beside its estimate; "" where it was not asked."""
    if verdict is None:
        return ""
    if verdict.latency_ms is None:
        return f"{verdict.status}: {verdict.reason}".split("\n")[0]
    error = change_text(verdict.latency_ms, estimated_ms)
    text = f"{metric_text('latency_ms', verdict.latency_ms)} {verdict.kind}"
    text += f", SRAM {metric_text('sram_bytes', verdict.sram_bytes)}" if verdict.sram_bytes is not None else ""
    text += f", estimate {error}" if error else ""
    return text + (f", {len(verdict.cpu_ops)} operators left to the CPU" if verdict.cpu_ops else "")
