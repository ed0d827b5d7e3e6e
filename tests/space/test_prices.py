"""Candidates costed by the thousand agree with whole estimates."""

import numpy as np
import pytest
from workbench.estimators.candidates import block_costs

from workbench.estimators.ethos_u import modelled
from workbench.graph import rewrite
from workbench.hardware import EthosU
from workbench.transforms import FuseIBN

from ..graph.zoo import traced


@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024"])
def test_sums_are_near_the_whole(name):
    target, graph = EthosU(name), traced("mobilenetv2_100", 224)
    blocks = ["blocks.1.1", "blocks.2.2", "blocks.3.1", "blocks.5.1"]
    edits = {block: FuseIBN(block) for block in blocks}
    costs = block_costs(graph, target, {b: [rewrite(graph, e.plan(graph, target))] for b, e in edits.items()})
    choices = np.random.default_rng(0).integers(0, 2, (8, len(blocks)))
    for choice, ms in zip(choices, costs.latency_ms(choices), strict=True):
        candidate = graph
        for block, chosen in zip(blocks, choice, strict=True):
            if chosen:
                candidate = rewrite(candidate, edits[block].plan(candidate, target))
        whole = sum(modelled(candidate, target).cycles) / target.clock_hz * 1e3
        assert ms == pytest.approx(whole, rel=0.02)
