"""What an edit costs or saves, modelled on the window of the network around it.

The difference of two whole estimates looks at every operator twice. Where an edit touches one block, the passes some
operators away cost the same before and after, so both networks are cut to the edited blocks and at least `MARGIN`
operators to either side, up to where a block begins, and only these windows are modelled: all edits of a block have the
same window before, so that it is modelled once. The approximation: a map may be near or far because of something
outside the window. `delta_cycles` models the whole networks where the window is most of them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Set as AbstractSet
from functools import lru_cache

from ..graph import Graph, Op
from ..hardware import EthosU
from .cycle_model import modelled
from .weight_distributions import NORMAL, WeightValues

__all__ = ["MARGIN", "changed", "cut", "delta_cycles"]

_MOST_WINDOWS = 128  # their graphs are kept
MARGIN = 8  # graph operators; a convolution with its norm and activation is three


def changed(before: Graph, after: Graph) -> tuple[int, int, int]:
    """(first, end_before, end_after): the graphs are equal outside of before.ops[first:end_before] and
    after.ops[first:end_after].
    """
    a, b = before.ops, after.ops
    least = min(len(a), len(b))
    first = 0
    while first < least and (a[first] is b[first] or a[first] == b[first]):
        first += 1
    last = 0
    while last < least - first and (a[-1 - last] is b[-1 - last] or a[-1 - last] == b[-1 - last]):
        last += 1
    return first, len(a) - last, len(b) - last


def cut(graph: Graph, start: int, stop: int, read_later: AbstractSet[str] | None = None) -> Graph:
    """The operators start..stop as a network of their own: tensors read from outside become its inputs, tensors read
    outside its outputs.

    read_later: tensors that are read behind `stop`; None: they are looked up.
    """
    ops = graph.ops[start:stop]
    inside = {op.name for op in ops}
    sources: dict[str, Op] = {}
    for op in ops:
        for name in op.inputs:
            if name not in inside and name not in sources:
                op_before = graph.by_name[name]
                sources[name] = op_before if op_before.kind == "param" else Op(name, "input", (), op_before.shape)
    read = inside.intersection(_read_behind(graph, stop) if read_later is None else read_later)
    read |= inside.intersection(graph.outputs)
    outputs = tuple([op.name for op in ops if op.name in read])
    return Graph((*sources.values(), *ops), outputs)


def delta_cycles(before: Graph, after: Graph, target: EthosU, values: WeightValues = NORMAL) -> float:
    """Modelled cycles of `after` minus those of `before`."""
    first, end_before, _ = changed(before, after)
    if first == len(before.ops) == len(after.ops):
        return 0.0
    start, end = _window(before, first, end_before)
    grown = len(after.ops) - len(before.ops)
    if end + grown - start > len(after.ops) // 2:
        return sum(modelled(after, target, values).cycles) - sum(modelled(before, target, values).cycles)
    # behind the window both networks are the same
    read_later = _read_behind(before, end)
    large = cut(after, start, end + grown, read_later)
    if values is not NORMAL:
        small = cut(before, start, end, read_later)
        return sum(modelled(large, target, values).cycles) - sum(modelled(small, target, values).cycles)
    return _cycles(large.ops, large.outputs, target) - _cut_cycles(before, start, end, target)


@lru_cache(maxsize=_MOST_WINDOWS)
def _read_behind(graph: Graph, stop: int) -> frozenset[str]:
    """Tensors that the operators from `stop` on read."""
    return frozenset([name for op in graph.ops[stop:] for name in op.inputs])


@lru_cache(maxsize=_MOST_WINDOWS)
def _cut_cycles(graph: Graph, start: int, stop: int, target: EthosU) -> float:
    """Modelled cycles of a window before an edit, which many edits share."""
    part = cut(graph, start, stop)
    return _cycles(part.ops, part.outputs, target)


def _window(graph: Graph, first: int, end: int) -> tuple[int, int]:
    """The blocks that hold first..end and the margins around them, as operators start..stop."""
    begins = graph.block_starts
    first, end = begins[bisect_right(begins, first) - 1], begins[bisect_left(begins, end)]
    start = begins[bisect_right(begins, max(first - MARGIN, 0)) - 1]
    return start, begins[bisect_left(begins, min(end + MARGIN, len(graph.ops)))]


@lru_cache(maxsize=1 << 14)
def _cycles(ops: tuple[Op, ...], outputs: tuple[str, ...], target: EthosU) -> float:
    return sum(modelled(Graph(ops, outputs), target).cycles)
