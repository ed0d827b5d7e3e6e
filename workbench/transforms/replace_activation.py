"""Another activation in place of those the hardware is slow at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ..errors import InputError, NotApplicable, unknown
from ..graph import Graph, Op, Plan, Replace
from ..graph.kinds import SMOOTH_RECTIFIERS, STATELESS_ACTIVATIONS
from ..hardware import Target
from .base import Blocks, Transform
from .select import check_blocks, named, select

__all__ = ["ReplaceActivation"]

Activation = Literal["hard_swish", "hard_sigmoid", "relu", "relu6", "silu", "gelu", "leaky_relu"]

_ATTRS: Mapping[str, dict[str, float]] = {"leaky_relu": {"slope": 0.01}}


@dataclass(frozen=True)
class ReplaceActivation(Transform):
    """Put another activation in the place of smooth ones: hard-swish for swish (Howard et al. 2019, section 5.2).

    to: "hard_swish", "hard_sigmoid", "relu", "relu6", "silu", "gelu" or "leaky_relu" (slope 0.01).
    of: the kinds that are replaced; empty takes the smooth ones: silu (swish), gelu, mish, elu. Gates stay what they
    are unless named, as in `ReplaceActivation("hard_sigmoid", of=("sigmoid",))`.
    blocks: selector; blocks without such an activation are passed over unless named by their full path.

    What an activation needs: to be a module of its own. One module that is called in several places is replaced in all.

    >>> ReplaceActivation("relu6", blocks="blocks.1.*")
    ReplaceActivation(to='relu6', of=(), blocks='blocks.1.*')
    """

    to: Activation = "hard_swish"
    of: tuple[str, ...] = ()
    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        if self.to not in get_args(Activation):
            raise unknown("activation", self.to, get_args(Activation))
        if not isinstance(self.of, tuple):
            raise InputError(f"of is {self.of!r}; it must be a tuple of activations such as ('silu',)")
        for kind in self.of:
            if kind not in STATELESS_ACTIVATIONS:
                raise unknown("activation", kind, STATELESS_ACTIVATIONS)
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        wanted = tuple(kind for kind in self.of or SMOOTH_RECTIFIERS if kind != self.to)
        calls: dict[str, list[Op]] = {}
        for op in graph.ops:
            calls.setdefault(op.module, []).append(op)
        edits: dict[str, Replace] = {}
        meant, reasons = named(self.blocks), []
        for block in select(graph, self.blocks):
            found = [op for op in (graph.by_name[name] for name in block.ops) if op.kind in wanted]
            if not found and block.name in meant:
                raise NotApplicable(f"{block.name} ({block.kind}) has no {' or '.join(wanted)}")
            for op in found:
                if not op.module or any(other.kind != op.kind for other in calls[op.module]):
                    reasons.append(
                        NotApplicable(f"the {op.kind} of {op.module or 'the network'} is written into its code")
                    )
                    if block.name in meant:
                        raise reasons[-1]
                    continue
                edits |= {other.name: self._edit(other) for other in calls[op.module]}
        if not edits:
            raise (
                reasons[0] if reasons else NotApplicable(f"no block {self.blocks!r} names has a {' or '.join(wanted)}")
            )
        return Plan(tuple(edits.values()))

    def _edit(self, op: Op) -> Replace:
        new = replace(op, kind=self.to, attrs=tuple(_ATTRS.get(self.to, {}).items()))
        return Replace((op.name,), (new,), "embed")
