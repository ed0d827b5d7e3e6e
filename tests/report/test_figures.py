"""Figures: every block has its column, heights are in proportion, names stay text."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from workbench.report.figures import block_figure, memory_figure, nice_ceiling


def _columns(figure: str) -> list[ET.Element]:
    return [e for e in ET.fromstring(figure).iter("svg") if e.get("class", "").startswith("wb-heat-")]


def test_columns_stand_for_the_latencies(session):
    columns = _columns(block_figure(session.estimate))
    blocks = session.estimate.blocks
    assert [c.find("title").text.split(" · ")[0] for c in columns] == list(blocks["name"])
    heights = [float(c.find("rect[@class='wb-bar']").get("height")) for c in columns]
    top = max(heights)
    for height, latency in zip(heights, blocks["latency_ms"], strict=True):
        assert height / top == pytest.approx(latency / blocks["latency_ms"].max(), abs=0.02)


def test_the_baseline_is_drawn_where_it_differs(session, fused):
    old = dict(zip(session.estimate.blocks["name"], session.estimate.blocks["latency_ms"], strict=True))
    for column, row in zip(
        _columns(block_figure(fused.estimate, session.estimate)), fused.estimate.blocks.to_dict("records"), strict=True
    ):
        drawn = column.find("rect[@class='wb-ghost']") is not None
        assert drawn == (row["latency_ms"] != old[row["name"]]), row["name"]


def test_the_memory_figure_names_the_peak(session, fused):
    for figure in (memory_figure(session.estimate), memory_figure(fused.estimate, session.estimate)):
        texts = [e.text for e in ET.fromstring(figure).iter("text")]
        assert any(text.startswith("peak ") for text in texts)


def test_names_stay_text(session):
    estimate = session.estimate
    name = "<script>alert(1)</script>"
    hostile = replace(estimate, detail=replace(estimate.detail))
    hostile.blocks.loc[0, ["name", "kind"]] = name
    for figure in (block_figure(hostile), memory_figure(hostile, estimate)):
        tree = ET.fromstring(figure)
        assert not list(tree.iter("script"))
        assert any(name in (e.text or "") for e in tree.iter("title"))


@pytest.mark.parametrize("value", [1e-7, 0.043, 0.999, 1, 1.01, 7.9, 1470, 123456.0])
def test_a_ceiling_is_above_but_not_far(value):
    assert value <= nice_ceiling(value) * (1 + 1e-9)
    assert nice_ceiling(value) <= 2 * value
