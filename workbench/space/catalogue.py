"""The catalogue: what may be done to a block, and to the network.

Each transform says what it offers (`Transform.block_options`, `Transform.network_options`); here these single options
are put into orders in which they are worth combining. What is offered need not apply: that is found out by planning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import NotApplicable, UnknownName
from ..graph import Block, Graph, Plan
from ..hardware import Target
from ..transforms import TRANSFORMS, Step, Transform, compose, describe
from .slots import Choice, Slot, Space

__all__ = ["Option", "block_choices", "block_options", "catalogue", "network_choices", "network_options", "option"]

# Labels of single options of a block, as patterns, in the order in which they are taken.
_ORDERS = (
    ("kernel", "narrow 0.5"),
    ("gate", "narrow 0.5"),
    ("fuse", "narrow *"),
    ("kernel", "fuse"),
    ("gate", "fuse"),
)
_AS_IT_IS = Choice("as it is")


@dataclass(frozen=True, eq=False)
class Option:
    """A choice that applies to a network.

    block: the one it changes, "" for several. steps: the choice's transforms, planned. graph: the network after them.
    """

    block: str
    choice: Choice
    steps: tuple[Step, ...]
    graph: Graph

    @property
    def key(self) -> tuple[str, str]:
        """What is done where, whatever the widths of the network."""
        return self.block, self.choice.label

    @property
    def transforms(self) -> tuple[Transform, ...]:
        return self.choice.transforms

    @property
    def plans(self) -> tuple[Plan, ...]:
        """One a step."""
        return tuple(step.plan for step in self.steps)


def option(graph: Graph, target: Target, choice: Choice, block: str = "") -> Option | None:
    """The choice on a network; None where one of its transforms does not apply."""
    try:
        steps = compose(choice.transforms, graph, target)
    except (NotApplicable, UnknownName):  # the latter where another step took the block out
        return None
    return Option(block, choice, steps, steps[-1].graph if steps else graph)


def block_choices(graph: Graph, block: Block) -> tuple[Choice, ...]:
    """What may be tried on a block alone: the options its transforms offer, single ones first; none on a head."""
    if block.kind == "head":
        return ()
    single: dict[str, Transform] = {}
    for transform in TRANSFORMS.values():
        single |= transform.block_options(graph, block)
    return tuple(
        Choice(", ".join(labels), tuple(single[label] for label in labels))
        for labels in (*((label,) for label in single), *_combined(tuple(single)))
    )


def _combined(labels: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Pairs of a block's single options, in the orders in which they are combined."""
    for first, second in _ORDERS:
        yield from ((a, b) for a in labels if fnmatchcase(a, first) for b in labels if fnmatchcase(b, second))


def network_choices(graph: Graph) -> tuple[Choice, ...]:
    """What may be tried on the network as a whole, or on a range of it."""
    offered = (option for transform in TRANSFORMS.values() for option in transform.network_options(graph))
    return tuple(Choice(describe(transform), (transform,)) for transform in offered)


def block_options(graph: Graph, target: Target) -> Mapping[str, tuple[Option, ...]]:
    """Block -> the choices that apply to it alone; blocks without one are left out."""
    options = {
        block.name: tuple(
            applied
            for choice in block_choices(graph, block)
            if (applied := option(graph, target, choice, block.name)) is not None
        )
        for block in graph.blocks
    }
    return {block: applied for block, applied in options.items() if applied}


def network_options(graph: Graph, target: Target) -> tuple[Option, ...]:
    """The choices for the network as a whole that apply."""
    applied = (option(graph, target, choice) for choice in network_choices(graph))
    return tuple(o for o in applied if o is not None)


def catalogue(graph: Graph, target: Target) -> Space:
    """Everything in the catalogue that applies, as a Space: a slot for the network, and one for every block.

    The first choice of a slot keeps it as it is.
    """
    network = tuple(o.choice for o in network_options(graph, target))
    slots = [Slot("", (_AS_IT_IS, *network))] if network else []
    for block, options in block_options(graph, target).items():
        slots.append(Slot(block, (_AS_IT_IS, *(o.choice for o in options))))
    return Space(tuple(slots))
