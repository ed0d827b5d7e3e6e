"""Spans of channels: whatever is aligned or cut keeps its width, and what was made one stays one."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.graph.channels.spans import Span, align, equal_parts

widths = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def leaves(spans):
    return [leaf for span in spans for leaf in span.leaves()]


def width(spans):
    return sum(leaf.width for leaf in leaves(spans))


@given(widths, st.data())
def test_aligned_spans_are_the_same(drawn, data):
    total = sum(drawn)
    borders = sorted(data.draw(st.sets(st.integers(1, total - 1), max_size=4)) if total > 1 else [])
    other = [b - a for a, b in zip([0, *borders], [*borders, total], strict=True)]
    left, right = [Span(n) for n in drawn], [Span(n) for n in other]
    align(left, right)
    assert leaves(left) == leaves(right)
    assert width(left) == total


@given(widths, st.integers(1, 4))
def test_equal_parts_are_one(drawn, parts):
    """Drawn widths stand for one part; the spans of all parts may have other borders."""
    whole = [Span(parts * sum(drawn))] if len(drawn) == 1 else [Span(n) for _ in range(parts) for n in drawn]
    total = width(whole)
    part = equal_parts(whole, parts)
    assert width(part) * parts == width(whole) == total
    assert leaves(whole) == leaves(part) * parts
    assert equal_parts(whole, parts) == leaves(part)  # once more changes nothing


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6))
def test_whole_groups_stay_groups(parts, groups, size):
    """A grouped layer's channels may be taken apart between its groups."""
    span = Span(parts * groups * size, parts * groups)
    (part,) = equal_parts([span], parts)
    assert (part.width, part.multiple, part.frozen) == (groups * size, groups, "")


def test_groups_that_are_cut_freeze():
    parts = equal_parts([Span(12, 3)], 2)
    assert all("cuts through the groups" in leaf.frozen for leaf in leaves(parts))


def test_what_holds_for_one_holds_for_both():
    left, right = Span(8, 2, "", "a norm"), Span(8, 3, "it is fixed")
    align([left], [right])
    (only,) = leaves([right])
    assert (only.multiple, only.frozen, only.no_pad) == (6, "it is fixed", "a norm")
