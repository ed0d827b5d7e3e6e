"""Slots and choices: a Space says what may be chosen where, a Candidate is one choice a slot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import pandas as pd

from ..errors import InputError
from ..graph import Graph
from ..hardware import Target
from ..transforms import Step, Transform, compose
from .judgement import Judgement, judgement_table

__all__ = ["Candidate", "Choice", "Slot", "Space"]


@dataclass(frozen=True)
class Choice:
    """Transforms that are taken one after another; none keeps the slot as it is.

    label: what they do, whatever the widths of the network ("fuse, narrow 0.5"); unique within a slot.
    """

    label: str
    transforms: tuple[Transform, ...] = ()


@dataclass(frozen=True)
class Slot:
    """Where one of several choices is taken.

    block: path of the block, "" for the network as a whole. choices: one at least. aspect: what of the network is
    chosen, where it has several slots: "widths", "input size", "output stride".
    """

    block: str
    choices: tuple[Choice, ...]
    aspect: str = ""

    @property
    def name(self) -> str:
        """The block's path, or what of the network is chosen."""
        return self.block or self.aspect or "network"

    def __post_init__(self) -> None:
        where = f"block {self.block!r}" if self.block else "the network"
        if not self.choices:
            raise InputError(f"the slot of {where} has no choice; it needs at least one, such as Choice('as it is')")
        label, count = Counter(choice.label for choice in self.choices).most_common(1)[0]
        if count > 1:
            raise InputError(f"the slot of {where} has {count} choices {label!r}; labels must differ")


@dataclass(frozen=True)
class Space:
    """Slots in the order in which their choices are taken.

    judgements: what curation kept, pruned and merged, and why; none where the space was not curated.

    >>> from workbench.transforms import FuseIBN
    >>> space = Space((Slot("blocks.1.0", (Choice("as it is"), Choice("fuse", (FuseIBN("blocks.1.0"),)))),))
    >>> space.size, space.candidate([1]).transforms
    (2, (FuseIBN(blocks='blocks.1.0'),))
    """

    slots: tuple[Slot, ...]
    judgements: tuple[Judgement, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for (block, aspect), count in Counter((slot.block, slot.aspect) for slot in self.slots).items():
            if count > 1:
                where = block or aspect or "the network"
                raise InputError(f"{count} slots of {where!r}; a space has one for each block")

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return prod(self.widths)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many choices each slot has."""
        return tuple(len(slot.choices) for slot in self.slots)

    def explain(self) -> pd.DataFrame:
        """What curation made of every choice, and why: a row a choice, or a row for several alike.

        Columns: slot (block, or what of the network is chosen), choice, verdict ("kept", "pruned", "merged"), reason,
        choices (how many the row is about), latency_ms, params, macs (changes by the choice alone; latency estimated),
        activation_bytes (alive at most in the block), loss. Of a space that was not curated every choice is kept.
        """
        if self.judgements:
            return judgement_table(self.judgements)
        choices = ((slot.name, choice.label) for slot in self.slots for choice in slot.choices)
        return judgement_table(Judgement(name, label, "kept", "the space is not curated") for name, label in choices)

    def candidate(self, numbers: Sequence[int]) -> "Candidate":
        """The candidate that takes choice `numbers[s]`, counted from zero, in slot s; raises InputError."""
        return Candidate(self, tuple(map(int, numbers)))


@dataclass(frozen=True)
class Candidate:
    """One choice a slot: numbers[s] is the place of the choice among those of slot s."""

    space: Space
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        slots = self.space.slots
        if len(self.numbers) != len(slots):
            raise InputError(f"a candidate of {len(self.numbers)} numbers in a space of {len(slots)} slots")
        for number, slot in zip(self.numbers, slots, strict=True):
            if not 0 <= number < len(slot.choices):
                raise InputError(
                    f"choice {number} in the slot of {slot.block or 'the network'}, which has 0 to "
                    f"{len(slot.choices) - 1}"
                )

    @property
    def choices(self) -> tuple[Choice, ...]:
        return tuple(slot.choices[n] for slot, n in zip(self.space.slots, self.numbers, strict=True))

    @property
    def transforms(self) -> tuple[Transform, ...]:
        return tuple(transform for choice in self.choices for transform in choice.transforms)

    def steps(self, graph: Graph, target: Target) -> tuple[Step, ...]:
        """The candidate's transforms, planned one after another; raises what `compose` does."""
        return compose(self.transforms, graph, target)
