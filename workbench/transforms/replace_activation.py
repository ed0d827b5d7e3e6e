"""Another activation in place of those the hardware is slow at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from ..errors import InputError, NotApplicable, unknown
from ..graph import Block, ExchangeLayer, Graph, Op, Plan
from ..graph.kinds import SEPARATE_ACTIVATIONS, SMOOTH_RECTIFIERS, STATELESS_ACTIVATIONS
from ..hardware import Target
from .base import Blocks, Transform
from .per_block import per_block
from .select import check_blocks

__all__ = ["ReplaceActivation"]

Activation = Literal["hard_swish", "hard_sigmoid", "relu", "relu6", "silu", "gelu", "leaky_relu"]

_REPLACED = STATELESS_ACTIVATIONS | SEPARATE_ACTIVATIONS  # softplus, which is a function elsewhere, too

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
            if kind not in _REPLACED:
                raise unknown("activation", kind, _REPLACED)
        check_blocks(self.blocks)

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        return {"activation": cls("hard_swish", SMOOTH_RECTIFIERS, block.name)}

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        return (cls("hard_swish", SMOOTH_RECTIFIERS),)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls("relu6", of=("relu", "silu", "gelu", "hard_swish", "mish", "leaky_relu")),)

    def plan(self, graph: Graph, target: Target) -> Plan:
        kinds = tuple(kind for kind in self.of or SMOOTH_RECTIFIERS if kind != self.to)
        calls: dict[str, list[Op]] = {}
        for op in graph.ops:
            calls.setdefault(op.module, []).append(op)

        def activations(block: Block) -> list[Op]:
            return [op for op in (graph.by_name[name] for name in block.ops) if op.kind in kinds]

        def edits(activation: Op) -> list[ExchangeLayer]:
            module, kind = activation.module, activation.kind
            if not module or any(call.kind != kind for call in calls[module]):
                raise NotApplicable(f"the {kind} of {module or 'the network'} is written into its code")
            return [self._edit(call) for call in calls[module]]

        words = " or ".join(kinds)
        none = f"no block {self.blocks!r} names has a {words}"
        return per_block(graph, self.blocks, activations, edits, f"has no {words}", none)

    def _edit(self, op: Op) -> ExchangeLayer:
        new = replace(op, kind=self.to, attrs=tuple(_ATTRS.get(self.to, {}).items()))
        return ExchangeLayer(op.name, new)
