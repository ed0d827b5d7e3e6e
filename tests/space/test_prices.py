"""Candidates costed by the thousand agree with whole estimates."""

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.estimators.cycle_model import modelled
from workbench.graph import rewrite
from workbench.hardware import EthosU
from workbench.space import Choice, Prices, Slot, Space, prices
from workbench.transforms import FuseIBN

from ..graph.zoo import traced


@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024"])
def test_sums_are_near_the_whole(name):
    target, graph = EthosU(name), traced("mobilenetv2_100", 224)
    blocks = ["blocks.1.1", "blocks.2.2", "blocks.3.1", "blocks.5.1"]
    edits = {block: FuseIBN(block) for block in blocks}
    slots = tuple(Slot(block, (Choice("as it is"), Choice("fuse", (edit,)))) for block, edit in edits.items())
    costs = prices(Space(slots), graph, target)
    choices = np.random.default_rng(0).integers(0, 2, (8, len(blocks)))
    for choice, ms in zip(choices, costs.latency_ms(choices), strict=True):
        candidate = graph
        for block, chosen in zip(blocks, choice, strict=True):
            if chosen:
                candidate = rewrite(candidate, edits[block].plan(candidate, target))
        whole = sum(modelled(candidate, target).cycles) / target.clock_hz * 1e3
        assert ms == pytest.approx(whole, rel=0.02)


def test_parameters_and_multiply_accumulates_add_up():
    target, graph = EthosU("ethos-u65-512"), traced("mobilenetv2_100", 64)
    edits = [FuseIBN("blocks.1.1"), FuseIBN("blocks.3.1")]
    slots = tuple(Slot(str(edit.blocks), (Choice("as it is"), Choice("fuse", (edit,)))) for edit in edits)
    space = Space(slots)
    costs = prices(space, graph, target)
    candidates = np.array([[0, 0], [1, 0], [1, 1]])
    for row, params, macs in zip(candidates, costs.params(candidates), costs.macs(candidates), strict=True):
        steps = space.candidate(row).steps(graph, target)
        after = steps[-1].graph if steps else graph
        assert (params, macs) == (after.params, after.macs)


def test_thousands_a_second():
    changes = np.random.default_rng(0).normal(size=(3, 20, 12))
    candidates = np.random.default_rng(1).integers(0, 12, (50_000, 20))
    latencies = Prices(np.zeros(3), changes).latency_ms(candidates)
    assert latencies.shape == (50_000,)
    some = [sum(changes[0, s, k] for s, k in enumerate(row)) for row in candidates[:20]]
    assert latencies[:20] == pytest.approx(some)


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ([[0]], r"candidates of shape \[1, 1\]; a column a slot makes \[n, 2\]"),
        ([[0, 2]], "choice 2 in slot 1, whose choices are counted from 0 to 1"),
        ([[3, 0]], "candidates with choice 3; choices are counted from 0 to 2"),
        ([[0, -1]], "candidates with choice -1"),
    ],
)
def test_candidates_outside_the_space_are_refused(candidates, words):
    changes = np.array([[[0.0, -0.5, 0.1], [0.0, 0.25, np.nan]]] * 3)
    with pytest.raises(InputError, match=words):
        Prices(np.zeros(3), changes).latency_ms(np.array(candidates))
