"""Squeeze-excite gates taken out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ..errors import NotApplicable
from ..graph import Block, Graph, Op, Plan, RemoveModule
from ..graph.kinds import BOUNDED
from ..graph.paths import around
from ..hardware import Target
from .base import Blocks, Transform
from .per_block import per_block
from .select import check_blocks

__all__ = ["RemoveSE"]


@dataclass(frozen=True)
class RemoveSE(Transform):
    """Take channel gates out: squeeze-excite (Hu et al. 2018), effective SE, ECA and their like.

    A gate waits for the whole feature map, reads it once more to multiply it, and works between on layers so small that
    the array idles. What it multiplies by on average goes into the layer before or behind it (calibration images).

    blocks: selector; blocks without a gate are passed over unless named by their full path.

    What a gate needs: to be a module of its own that multiplies what it reads by a value per channel computed from
    nothing else.

    >>> RemoveSE("blocks.[56].*")
    RemoveSE(blocks='blocks.[56].*')
    """

    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        return {"gate": cls(block.name)} if block.se else {}

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        return (cls(),)

    def plan(self, graph: Graph, target: Target) -> Plan:
        inside: dict[str, list[str]] = {}
        for op in graph.ops:
            for path in around(op.module):
                inside.setdefault(path, []).append(op.name)

        def gates(block: Block) -> list[_Gate]:
            products = (graph.by_name[name] for name in block.ops)
            return [_Gate(block.name, ops) for product in products if (ops := _gate(graph, product))]

        def edits(gate: _Gate) -> list[RemoveModule]:
            where = graph.by_name[gate.ops[-1]].module
            module = next((path for path in around(where) if set(inside[path]) == set(gate.ops)), "")
            if not module:
                raise NotApplicable(f"the gate of {gate.block} is written into the code of {where or 'it'}")
            return [RemoveModule(module, gate.ops, "least-squares")]

        none = f"none of the blocks {self.blocks!r} has a gate"
        return per_block(graph, self.blocks, gates, edits, "has no squeeze-excite gate", none)


@dataclass(frozen=True)
class _Gate:
    """The operators of a gate, in execution order, and the block it stands in."""

    block: str
    ops: tuple[str, ...]


def _gate(graph: Graph, product: Op) -> tuple[str, ...]:
    """The operators of the gate that ends in this product, in execution order; () where it is no gate."""
    if product.kind != "mul" or len(product.inputs) != 2:
        return ()
    for x, factor in (product.inputs, product.inputs[::-1]):
        source, value = graph.by_name[x], graph.by_name[factor]
        if source.shape != product.shape or len(source.shape) != 4 or value.elements != source.shape[1]:
            continue
        if value.elements == source.elements:
            continue  # nothing was pooled
        gate = _between(graph, x, factor)
        if not any(graph.by_name[name].kind in BOUNDED for name in gate):
            continue  # a norm written in code: it divides by what it pooled
        if all(user.name in gate or user is product for name in gate for user in graph.consumers[name]):
            return tuple(op.name for op in graph.ops if op.name in gate or op is product)
    return ()


def _between(graph: Graph, start: str, end: str) -> set[str]:
    """The operators `end` is computed with from `start` and nothing else; none where it is not."""
    operators: set[str] = set()
    pending, reached = [end], False
    while pending:
        name = pending.pop()
        reached = reached or name == start
        if name == start or name in operators:
            continue
        op = graph.by_name[name]
        if op.kind == "input" or (not op.inputs and op.kind != "param"):
            return set()
        operators.add(name)
        pending += op.inputs
    return operators if reached else set()
