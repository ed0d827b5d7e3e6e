"""Where the time of a block goes: its operators in groups that engineers talk of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..estimators import Estimate
from ..graph import Graph, Op
from ..graph.kinds import ACTIVATIONS, KINDS, NORMS, PRODUCTS

__all__ = ["Part", "by_bound", "group_of", "moves_data", "time_parts"]

_PLURALS = {
    "permute": "permutes", "reshape": "reshapes", "concat": "concatenations", "slice": "slices", "pad": "paddings",
    "reflect_pad": "paddings", "roll": "rolls", "expand": "expansions of axes",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A group of operators: what they are, how many, their milliseconds, and what limits most of that time."""

    what: str
    count: int
    latency_ms: float
    bound: str


def group_of(op: Op) -> str:
    """What the operator is, in the plural."""
    if op.kind == "conv2d":
        if op.is_depthwise:
            return "depthwise convolutions"
        return "1x1 convolutions" if max(op["kernel"]) == 1 else "dense convolutions"
    if op.kind in PRODUCTS or op.kind in ("softmax", "log_softmax"):
        return "attention"
    if op.kind in _PLURALS:
        return _PLURALS[op.kind]
    if op.kind in ACTIVATIONS:
        return "activations"
    if op.kind in NORMS:
        return "norms"
    families = {
        "layer": "fully connected layers" if op.kind == "linear" else "other convolutions",
        "arithmetic": "sums and products", "function": "elementwise functions", "pool": "pooling",
        "reduction": "pooling", "layout": "resizing", "recurrent": "recurrent layers",
    }  # fmt: skip
    return families.get(KINDS[op.kind].family, op.kind) if op.kind in KINDS else op.kind


def moves_data(op: Op) -> bool:
    """Whether the operator computes nothing: it moves values to other places, where the hardware has to do it."""
    return op.kind in _PLURALS


def time_parts(graph: Graph, estimate: Estimate, names: Iterable[str]) -> Sequence[Part]:
    """Groups of the operators of these names, the slowest first; those that take no time are left out."""
    spent, bound = estimate.detail.latency_ms, estimate.detail.bound
    groups: dict[str, list[str]] = {}
    for name in names:
        if spent.get(name, 0.0) > 0:
            groups.setdefault(group_of(graph.by_name[name]), []).append(name)
    parts = [
        Part(what, len(members), sum(spent[name] for name in members), _most(spent, bound, members))
        for what, members in groups.items()
    ]
    return sorted(parts, key=lambda part: -part.latency_ms)


def by_bound(graph: Graph, estimate: Estimate, names: Iterable[str], what: str) -> Sequence[Part]:
    """The operators of one group taken apart by what limits each, the slowest first."""
    spent, bound = estimate.detail.latency_ms, estimate.detail.bound
    members = [name for name in names if spent.get(name, 0.0) > 0 and group_of(graph.by_name[name]) == what]
    limits = {bound.get(name, "compute") for name in members}
    apart = ([name for name in members if bound.get(name, "compute") == limit] for limit in limits)
    parts = [Part(what, len(alike), sum(spent[n] for n in alike), bound.get(alike[0], "compute")) for alike in apart]
    return sorted(parts, key=lambda part: -part.latency_ms)


def _most(spent: Mapping[str, float], bound: Mapping[str, str], names: Sequence[str]) -> str:
    """What limits most of the operators' time."""
    by_bound: dict[str, float] = {}
    for name in names:
        limit = bound.get(name, "compute")
        by_bound[limit] = by_bound.get(limit, 0.0) + spent[name]
    return max(by_bound, key=by_bound.__getitem__)
