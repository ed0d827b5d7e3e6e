"""A curated space holds the best candidates of the whole one, and accounts for every choice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.choices import Bound, choose
from workbench.errors import InputError
from workbench.estimators import estimate
from workbench.hardware import resolve
from workbench.space import Offer, curated, prices, uncurated
from workbench.space.curation import Cost, beaten_by
from workbench.transforms import ExpandRatio, compose

from ..graph.zoo import traced

TARGET = resolve("ethos-u85-1024")
OFFER = Offer("blocks.1.*", network=False)


@pytest.fixture(scope="module")
def graph():
    return traced("mobilenetv2_100", 64)


@pytest.fixture(scope="module")
def space(graph):
    return curated(graph, TARGET, OFFER)


@pytest.fixture(scope="module")
def rungs(graph):
    """A block at every width the target favours, as curation judged them, the widest first."""
    table = curated(graph, TARGET, Offer("blocks.1.1", edits=1, widths=None, network=False)).explain()
    narrower = table.choice.str.startswith("narrow") & table.latency_ms.notna()
    return table[narrower | (table.choice == "as it is")].sort_values("macs", ascending=False)


COSTS = st.builds(
    lambda ms, params, size, loss: Cost(ms, ms - 1, params, 0, size, loss=loss),
    st.integers(1, 30).map(lambda tenths: tenths / 10),
    st.integers(0, 4),
    st.integers(0, 3),
    st.integers(0, 8).map(float),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(COSTS, min_size=1, max_size=6), min_size=1, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_the_best_candidate_under_any_budget_stays(slots, time, size):
    """Losses drawn, the integer program of `choices.py` over all choices and over those that are kept."""
    slots = [[replace(costs[0], loss=0.0), *costs[1:]] for costs in slots]
    kept = [[beaten is None for beaten in beaten_by(costs, (0.9, 1.1))] for costs in slots]

    def bound(figure, share):
        table = [[float(getattr(cost, figure)) for cost in costs] for costs in slots]
        low, high = sum(map(min, table)), sum(map(max, table))
        return Bound(table, low + share * (high - low) + 1e-6)

    bounds = [bound("ms", time), bound("params", size)]
    losses = [[cost.loss for cost in costs] for costs in slots]
    forbidden = [[not stays for stays in row] for row in kept]
    best, best_kept = choose(losses, bounds, gap=0), choose(losses, bounds, forbidden, gap=0)
    if best is None:
        assert best_kept is None
        return
    total = [sum(row[k] for row, k in zip(losses, numbers, strict=True)) for numbers in (best, best_kept)]
    assert total[1] == pytest.approx(total[0], abs=1e-6)


def test_every_choice_is_accounted_for(graph, space):
    whole = uncurated(graph, TARGET, OFFER)
    table = space.explain()
    assert set(table.verdict) <= {"kept", "pruned", "merged"}
    assert all(table.reason)
    for slot in whole.slots:
        rows = table[table.slot == slot.name]
        assert rows.choices.sum() == len(slot.choices)
        kept = [s for s in space.slots if s.name == slot.name]
        assert [choice.label for choice in kept[0].choices] == list(rows.choice[rows.verdict == "kept"])
    assert space.size < whole.size / 100
    assert set(whole.explain().verdict) == {"kept"}


def test_pruned_widths_are_no_faster_than_a_wider_one(space):
    table = space.explain()
    pruned = table[table.reason.str.contains("none wider")]
    assert len(pruned)
    for row in pruned.itertuples():
        better = row.reason.split("'")[1]
        other = table[(table.slot == row.slot) & (table.choice == better)].iloc[0]
        assert row.latency_ms >= other.latency_ms
        assert row.params < other.params
        assert row.macs < other.macs


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 20), min_size=30, max_size=30), st.floats(0, 1))
def test_of_real_widths_the_best_under_any_latency_stays(rungs, drops, share):
    """Losses that rise as the inside of the block gets narrower, real latencies of every width the target favours."""
    losses = np.append(0.0, np.cumsum(drops)[: len(rungs) - 1])
    latencies = rungs.latency_ms.to_numpy()
    budget = latencies.min() + share * np.ptp(latencies)
    inside, kept = latencies <= budget, (rungs.verdict == "kept").to_numpy()
    assert losses[inside & kept].min() == losses[inside].min()


def test_without_losses_nothing_gives_way_to_fewer_parameters():
    as_it_is = Cost(1.0, 0.0, 0, 0, 10, loss=0.0)
    dense = Cost(2.0, 1.0, 500, 900, 10)
    assert beaten_by([as_it_is, dense], (0.9, 1.1)) == (None, None)
    assert beaten_by([as_it_is, replace(dense, loss=0.1)], (0.9, 1.1)) == (None, 0)
    assert beaten_by([as_it_is, replace(dense, loss=-0.1)], (0.9, 1.1)) == (None, None)
    idle = Cost(1.3, 0.3, 0, 0, 10, frozenset({ExpandRatio(3)}))
    assert beaten_by([as_it_is, idle], (0.9, 1.1)) == (None, 0)
    assert beaten_by([as_it_is, replace(idle, ms=1.1)], (0.9, 1.1)) == (None, None)  # within the interval


def test_merging_changes_nothing(graph):
    """A merged choice names one that is kept or pruned with its own reason, and both make the same network."""
    offer = Offer(("blocks.1.0",), edits=1)
    space = curated(graph, TARGET, offer)
    table = space.explain()
    merged = table[table.verdict == "merged"]
    assert len(merged)
    whole = {
        (slot.name, choice.label): choice.transforms
        for slot in uncurated(graph, TARGET, offer).slots
        for choice in slot.choices
    }
    for row in merged.itertuples():
        other = row.reason.split("'")[1]
        twins = [whole.get((row.slot, label)) for label in (row.choice, other)]
        if None not in twins:
            first, second = (compose(transforms, graph, TARGET)[-1].graph for transforms in twins)
            assert first.digest == second.digest
    digests = [
        compose(choice.transforms, graph, TARGET)[-1].graph.digest
        for slot in space.slots
        for choice in slot.choices[1:]
    ]
    assert len(set(digests)) == len(digests)


def test_equal_blocks_are_different_places(graph):
    """blocks.3.2 and blocks.3.3 have the same shapes; each keeps its slot."""
    space = curated(graph, TARGET, Offer(("blocks.3.2", "blocks.3.3"), edits=1, network=False))
    assert [slot.block for slot in space.slots] == ["blocks.3.2", "blocks.3.3"]
    labels = [[choice.label for choice in slot.choices] for slot in space.slots]
    assert labels[0] == labels[1]


def test_every_width_is_a_whole_channel(graph):
    whole = uncurated(graph, TARGET, Offer("blocks.1.1", edits=1, network=False))
    (slot,) = whole.slots
    narrower = [choice for choice in slot.choices if choice.label.startswith("narrow")]
    assert len(narrower) == 143
    for choice, width in ((narrower[0], 1), (narrower[36], 37), (narrower[-1], 143)):
        plan = choice.transforms[0].plan(graph, TARGET)
        assert [edit.width for edit in plan.edits] == [width]


def test_the_network_has_slots_of_its_own(graph):
    space = curated(graph, TARGET, Offer("blocks.1.1", edits=1, sizes=(48, 32)))
    assert [slot.name for slot in space.slots] == ["blocks.1.1", "widths", "input size"]
    sizes = space.slots[-1]
    assert [choice.label for choice in sizes.choices] == ["as it is", "input 48", "input 32"]
    steps = space.candidate([1, 1, 2]).steps(graph, TARGET)
    assert steps[-1].graph.inputs[0].shape == (1, 3, 32, 32)
    multiple = TARGET.channel_multiple
    widths = {s.width for s in steps[-1].graph.channels.segments.values() if not s.frozen and s.width >= multiple}
    assert all(width % multiple == 0 for width in widths)
    latency = estimate(steps[-1].graph, TARGET).latency_ms
    assert latency < estimate(graph, TARGET).latency_ms


@pytest.mark.parametrize(("options", "words"), [({"edits": 0}, "edits is 0"), ({"widths": 1}, "widths is 1")])
def test_offers_outside_the_rule_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Offer(**options)


def test_candidates_apply_whole_and_cost_about_their_price():
    """The network's choices come last: what was tried alone applies together, and every width ends up even."""
    graph = traced("mobilenetv2_050", 64)
    space = curated(graph, TARGET, Offer("blocks.[1-3].*", edits=1, widths=4))
    costs = prices(space, graph, TARGET)
    rng = np.random.default_rng(0)
    shape = (12, len(space.slots))
    candidates = np.where(rng.random(shape) < 0.5, 0, rng.integers(0, space.widths, shape))
    whole = []
    for numbers in candidates:
        steps = space.candidate(numbers).steps(graph, TARGET)
        whole.append(estimate(steps[-1].graph if steps else graph, TARGET).latency_ms)
    errors = np.abs(costs.latency_ms(candidates) / whole - 1)
    assert np.median(errors) < 0.06
    assert errors.max() < 0.4
