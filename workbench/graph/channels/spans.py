"""Spans of channels that can still be cut in two and merged: a union-find over intervals."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import lcm

__all__ = ["Span", "SpanLayout", "align", "equal_parts", "leaves_of"]


@dataclass(eq=False)
class Span:
    """Consecutive channels that move as one; `link` leads to what replaces it: the span it was merged into, or parts.

    multiple, frozen, no_pad: as in `Segment`.
    """

    width: int
    multiple: int = 1
    frozen: str = ""
    no_pad: str = ""
    link: "tuple[Span, ...]" = ()

    def leaves(self) -> "list[Span]":
        """The spans that stand for it now."""
        if not self.link:
            return [self]
        if len(self.link) == 1:
            return self.link[0].leaves()
        return [leaf for part in self.link for leaf in part.leaves()]

    def freeze(self, reason: str) -> None:
        """Let it keep its width; an earlier reason stays."""
        self.frozen = self.frozen or reason

    def cut(self, at: int) -> None:
        """Put two spans in its place, the first of `at` channels."""
        frozen = self.frozen
        if self.multiple > 1:
            frozen = frozen or "a slice cuts through the groups of a grouped layer"
        self.link = tuple(Span(w, 1, frozen, self.no_pad) for w in (at, self.width - at))

    def merge(self, other: "Span") -> None:
        """Let this span, of the same width, stand for the other, too, with the constraints of both."""
        self.multiple = lcm(self.multiple, other.multiple)
        self.frozen = self.frozen or other.frozen
        self.no_pad = self.no_pad or other.no_pad
        other.link = (self,)


@dataclass(frozen=True)
class SpanLayout:
    """A tensor's channel axis while spans are still cut and merged.

    axis: along which the channels stand. repeat: consecutive elements a channel has there. inner: where a reshape split
    the channels into equal parts, the axis along which the channels of a part stand; `axis` then counts the parts.
    """

    axis: int
    spans: list[Span]
    repeat: int = 1
    inner: int | None = None

    def leaves(self) -> list[Span]:
        """Its spans as they are now."""
        return leaves_of(self.spans)


def leaves_of(spans: Iterable[Span]) -> list[Span]:
    """The spans that stand for these now."""
    return [leaf for span in spans for leaf in span.leaves()]


def equal_parts(spans: list[Span], parts: int) -> list[Span]:
    """Make so many equal parts of the channels the same spans; returns those of one part."""
    pending = leaves_of(spans)
    width = sum(leaf.width for leaf in pending) // parts
    if len(pending) == 1 and not pending[0].multiple % parts:  # a part consists of whole groups
        whole = pending[0]
        whole.link = (Span(width, whole.multiple // parts, whole.frozen, whole.no_pad),) * parts
        return whole.leaves()[:1]
    by_part: list[list[Span]] = [[]]
    position = 0
    while pending:
        leaf = pending.pop(0)
        room = width - position
        if leaf.width > room:
            leaf.cut(room)
            pending[:0] = leaf.leaves()
            continue
        by_part[-1].append(leaf)
        position += leaf.width
        if position == width and pending:
            by_part.append([])
            position = 0
    for part in by_part[1:]:
        align(by_part[0], part)
    return leaves_of(by_part[0])


def align(a: list[Span], b: list[Span]) -> None:
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
            x.merge(y)
        else:
            (x if x.width > y.width else y).cut(min(x.width, y.width))
            left.insert(0, x)
            right.insert(0, y)
