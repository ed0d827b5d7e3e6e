"""The frozen graph: what every other part of the workbench reads.

One operator has one output, so an operator's name is also its tensor's name. Shapes are torch's (batch
first, channels second), batch is 1. Operators stand in the order in which they run; batch norms, activations
and dropped branches stand as the module has them, because surgery needs them: what the deployed network
looks like is the target's business (lowering). `kinds.py` lists the kinds of operators and their attributes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import prod
from typing import Any

from .blocks import Block, find_blocks
from .channels import Channels, trace_channels
from .kinds import RECURRENT
from .plan import Edit, Plan, SetInput
from .structure import Structure

__all__ = ["Graph", "Origin"]


@dataclass(frozen=True)
class Graph(Structure):
    """A network: its structure and what is derived from it, computed once.

    unread: parameters of its modules that no operator reads (heads that only training runs), as (state_dict key,
    shape); origin: what it was traced from, None where that is not at hand (read from a file, sent to another process).
    Neither is part of what the graph is.
    """

    unread: tuple[tuple[str, tuple[int, ...]], ...] = field(default=(), repr=False, compare=False)
    origin: "Origin | None" = field(default=None, repr=False, compare=False)

    def __hash__(self) -> int:
        """Computed once, as that of its operators."""
        value = self.__dict__.get("_hash")
        if value is None:
            value = self.__dict__["_hash"] = hash((self.ops, self.outputs, self.modules))
        return int(value)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: what the graph is, not what is cached beside it or where it comes from."""
        return {"ops": self.ops, "outputs": self.outputs, "modules": self.modules, "unread": self.unread}

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The building blocks, in execution order; every operator but inputs belongs to exactly one."""
        return find_blocks(self)

    @cached_property
    def block_starts(self) -> tuple[int, ...]:
        """Indices of the operators at which a block begins, 0 and the number of operators included."""
        index = {op.name: i for i, op in enumerate(self.ops)}
        return tuple(sorted({0, len(self.ops), *(index[block.ops[0]] for block in self.blocks)}))

    @cached_property
    def channels(self) -> Channels:
        """Which channels move together (see `channels`)."""
        return trace_channels(self)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; one multiply-accumulate counts as one."""
        total = sum(op.macs for op in self.ops)
        for op in self.ops:
            if op.kind == "matmul":
                total += op.elements * self.by_name[op.inputs[0]].shape[-1]
            elif op.kind == "attention":  # query by key, then their weights by value
                query, keys = self.by_name[op.inputs[0]], self.by_name[op.inputs[1]].shape[-2]
                total += (query.elements + op.elements) * keys
            elif op.kind in RECURRENT:  # steps, a batch of them, their gates by what they read and by the step before
                total += prod(op.shape[:-1]) * sum(prod(p.shape) for p in op.params if p.role.startswith("weight"))
            elif op.kind == "conv_transpose2d":
                total += self.by_name[op.inputs[0]].elements * prod(op.weight_shape[1:])
        return total

    @cached_property
    def params(self) -> int:
        """Values of the modules' parameters, each counted once where it is shared; buffers and constants are none."""
        shapes = dict(self.unread)
        for op in self.ops:
            for param in op.params:
                shapes.update(param.parameters)
        return sum(prod(shape) for shape in shapes.values())

    @cached_property
    def digest(self) -> str:
        """Content hash (16 hex digits): equal for equal graphs on any machine."""
        return sha256(repr((self.ops, self.outputs)).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Origin:
    """A traced network and the edits made since, but for its input size: what traces it once more at another size.

    Windows, patches, tables of positions: a recorded trace does not say how they follow the input. 40 = 8 windows of
    5 becomes 16 of 5 or 8 of 10, and a padding is there at one size and not at the next. The network's code knows, so
    where no rule for shapes applies the network is traced again.

    trace_at: input size (channels, height, width) -> the graph of the network as it was traced, at that size; raises
    WorkbenchError where it does not run.
    """

    trace_at: Callable[[tuple[int, int, int]], Graph]
    plan: Plan = field(default_factory=Plan)

    def after(self, edits: Iterable[Edit]) -> "Origin":
        """The origin of the graph that these edits make of this origin's graph."""
        return replace(self, plan=self.plan + Plan(tuple(e for e in edits if not isinstance(e, SetInput))))
