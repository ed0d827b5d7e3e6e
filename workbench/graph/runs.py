"""Runs of channels that can still be cut in two and made one: the union-find behind `segments.py`."""

from dataclasses import dataclass
from math import lcm

__all__ = ["Run", "Runs", "align", "equal_parts"]


@dataclass(eq=False)
class Run:
    """Channels that move as one; `link` leads to what they became (another run, or two halves)."""

    width: int
    multiple: int = 1
    frozen: str = ""
    no_pad: str = ""
    link: "tuple[Run, ...]" = ()

    def leaves(self) -> "list[Run]":
        if not self.link:
            return [self]
        if len(self.link) == 1:
            return self.link[0].leaves()
        return [leaf for part in self.link for leaf in part.leaves()]

    def cut(self, at: int) -> None:
        """Two runs in its place, the first of `at` channels."""
        frozen = self.frozen
        if self.multiple > 1:
            frozen = frozen or "a slice cuts through the groups of a grouped layer"
        self.link = tuple(Run(w, 1, frozen, self.no_pad) for w in (at, self.width - at))

    def absorb(self, other: "Run") -> None:
        self.multiple = lcm(self.multiple, other.multiple)
        self.frozen = self.frozen or other.frozen
        self.no_pad = self.no_pad or other.no_pad
        other.link = (self,)


@dataclass(frozen=True)
class Runs:
    """A tensor's channels.

    axis: along which they stand. repeat: elements a channel has there, one after another. inner: where a reshape took
    them apart into equal parts, the axis along which the channels of a part stand; `axis` then counts the parts.
    """

    axis: int
    runs: list[Run]
    repeat: int = 1
    inner: int | None = None

    def leaves(self) -> list[Run]:
        return [leaf for run in self.runs for leaf in run.leaves()]


def equal_parts(runs: list[Run], parts: int) -> list[Run]:
    """The channels of one of so many equal parts, once all parts are the same runs."""
    leaves = [leaf for run in runs for leaf in run.leaves()]
    width = sum(leaf.width for leaf in leaves) // parts
    if len(leaves) == 1 and not leaves[0].multiple % parts:  # a part is so many whole groups
        only = leaves[0]
        only.link = (Run(width, only.multiple // parts, only.frozen, only.no_pad),) * parts
        return only.leaves()[:1]
    found: list[list[Run]] = [[]]
    at = 0
    while leaves:
        leaf = leaves.pop(0)
        room = width - at
        if leaf.width > room:
            leaf.cut(room)
            leaves[:0] = leaf.leaves()
            continue
        found[-1].append(leaf)
        at += leaf.width
        if at == width and leaves:
            found.append([])
            at = 0
    for part in found[1:]:
        align(found[0], part)
    return [leaf for run in found[0] for leaf in run.leaves()]


def align(a: list[Run], b: list[Run]) -> None:
    """Make two sequences of equal total width one, cutting where their borders differ."""
    left, right = list(a), list(b)
    while left and right:
        x, y = left.pop(0), right.pop(0)
        if x.link:
            left[:0] = x.leaves()
            right.insert(0, y)
        elif y.link:
            right[:0] = y.leaves()
            left.insert(0, x)
        elif x is y:
            continue
        elif x.width == y.width:
            x.absorb(y)
        else:
            (x if x.width > y.width else y).cut(min(x.width, y.width))
            left.insert(0, x)
            right.insert(0, y)
