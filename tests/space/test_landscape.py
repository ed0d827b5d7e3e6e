"""A landscape is what whole estimates say, and its ruggedness a count of its pairs."""

import numpy as np
import pytest

from workbench.estimators import estimate
from workbench.hardware import resolve
from workbench.report.landscape_figure import landscape_figure
from workbench.space import Landscape, landscape
from workbench.transforms import DepthMultiplier, compose

from ..graph.zoo import traced

TARGET = resolve("ethos-u65-512")


@pytest.fixture(scope="module")
def every():
    return landscape(traced("resnet18", 64), TARGET)


def test_a_place_is_a_network_estimated_whole(every):
    graph = traced("resnet18", 64)
    (step,) = compose([DepthMultiplier(40 / 64, multiple=1)], graph, TARGET)
    x = list(every.channels).index(40 / 64)
    assert every.latency_ms[-1, x] == estimate(step.graph, TARGET).latency_ms
    assert every.macs[-1, x] == step.graph.macs
    assert every.blocks[-1] == len(graph.blocks)
    assert (np.diff(every.macs, axis=0) > 0).all()


def test_ruggedness_counts_pairs_by_hand():
    macs = np.array([[1, 2, 3], [4, 5, 5]])
    latency = np.array([[1.0, 3.0, 2.0], [0.5, 4.0, 9.0]])
    land = Landscape(np.array([0.5, 0.75, 1]), np.array([1, 2]), latency, macs)
    # smaller is slower: row 0, 2 -> 3 and column 0; pairs: three in rows (5 and 5 are one size), three in columns
    assert land.ruggedness == pytest.approx(2 / 6)
    assert Landscape(land.channels, land.blocks, macs.astype(float), macs).ruggedness == 0


def test_the_target_is_rugged_and_curation_smooths_it(every):
    curated = landscape(traced("resnet18", 64), TARGET, TARGET.channel_multiple).favoured
    assert every.ruggedness > 0.05
    assert curated.ruggedness == 0
    rows, columns = zip(*every.descent(), strict=True)
    assert (np.diff(every.latency_ms[rows, columns]) < 0).all()
    assert curated.descent()[-1] == (0, 0)
    figure = landscape_figure(every, curated, "resnet18 on ethos-u65-512", path=[(1.0, 11), (0.75, 9)])
    titles = [axis.get_title(loc="left").strip() for axis in figure.axes[:3]]
    assert titles == ["Multiply-accumulates", "Latency, every width", "Latency, curated widths"]
    figure.canvas.draw()


def test_a_network_whose_blocks_all_stay_is_one_row():
    land = landscape(traced("test_efficientnet", 32), TARGET)
    assert len(land.blocks) == 1
    assert len(landscape_figure(land, land.favoured, "one depth").axes) >= 6
