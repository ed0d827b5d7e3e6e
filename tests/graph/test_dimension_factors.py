"""A split hands out again what was merged, at whatever size the merged parts have by now."""

from math import prod

from hypothesis import given
from hypothesis import strategies as st

from workbench.graph.dimension_factors import reshape_factors, single_factors, splits_merged

sizes = st.integers(2, 9)
pairs = st.one_of(sizes.map(lambda n: (n, n)), st.tuples(sizes, sizes))


@given(st.lists(pairs, min_size=1, max_size=6), st.data())
def test_a_split_undoes_a_merge(parts, data):
    recorded, now = zip(*parts, strict=True)
    borders = sorted(data.draw(st.sets(st.integers(1, len(parts) - 1)) if len(parts) > 1 else st.just(set())))
    cuts = list(zip([0, *borders], [*borders, len(parts)], strict=True))
    merged = tuple(tuple(parts[a:b]) for a, b in cuts)
    apart = reshape_factors(merged, recorded)
    assert apart is not None
    assert [prod(n for _, n in dim) for dim in apart] == list(now)


@given(st.lists(pairs, min_size=1, max_size=5), st.data())
def test_no_element_is_lost(parts, data):
    """Any other shape of as many recorded elements: refused, or as many elements now."""
    recorded, now = zip(*parts, strict=True)
    total = prod(recorded)
    first = data.draw(st.sampled_from([d for d in range(1, total + 1) if total % d == 0]))
    apart = reshape_factors(single_factors(recorded, now), (first, total // first))
    assert apart is None or prod(n for dim in apart for _, n in dim) == prod(now)


def test_unchanged_factors_are_divided_changed_ones_never():
    heads = ((96, 96),)
    assert reshape_factors((heads, ((16, 25),)), (3, 32, 16)) == (((3, 3),), ((32, 32),), ((16, 25),))
    assert reshape_factors((((16, 32),),), (4, 4)) is None  # four windows of four: of which now?


def test_a_map_of_one_pixel_grows_where_it_is_told():
    flat = (((1, 1),), ((64, 64),), ((1, 2), (1, 3)))
    assert reshape_factors(flat, (1, 64, 1, 1)) == (((1, 1),), ((64, 64),), ((1, 2),), ((1, 3),))
    assert reshape_factors(flat, (1, 64, 1)) == flat
    assert reshape_factors(flat, (1, 64, 1, 1, 1)) is None
    assert splits_merged(flat, (1, 64, 1, 1))
    assert not splits_merged(flat, (1, 64, 1))
