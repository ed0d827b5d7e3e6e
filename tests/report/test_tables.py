"""Numbers as people read them."""

import math

import pytest

from workbench.metrics import METRICS, change_text, metric_text
from workbench.report import compare_table


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency_ms", 2.2987, "2.30 ms"),
        ("latency_ms", 0.08417, "0.084 ms"),
        ("latency_ms", 15.63, "15.6 ms"),
        ("latency_ms", 112.4, "112 ms"),
        ("latency_ms", 0.0, "0.00 ms"),
        ("sram_bytes", 1_505_280, "1470 KiB"),
        ("sram_bytes", 361_984, "354 KiB"),
        ("sram_bytes", 12_345, "12.1 KiB"),
        ("sram_bytes", 1023, "1023 B"),
        ("weight_bytes", 25 * 1024 * 1024, "25.0 MiB"),
        ("params", 3_504_872, "3.50 M"),
        ("params", 0, "0"),
        ("macs", 300_774_272, "301 M"),
        ("macs", 4_087_136_256, "4.09 G"),
        ("latency_ms", None, "unknown"),
        ("latency_ms", math.nan, "unknown"),
    ],
)
def test_units(name, value, text):
    assert metric_text(name, value) == text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [(2.0, 1.0, "\N{MINUS SIGN}50.0 %"), (2.0, 3.0, "+50.0 %"), (1.0, 1.0, "±0 %"), (0, 1, ""), (1, math.nan, "")],
)
def test_changes_carry_their_sign(before, after, text):
    assert change_text(before, after) == text


def test_a_comparison_names_every_metric_and_where_it_comes_from(session, fused):
    table = compare_table(session, fused)
    assert list(table.index) == [metric.label for metric in METRICS.values()]
    latency = table.loc["Latency"]
    assert latency["before"] == metric_text("latency_ms", session.estimate.latency_ms)
    assert latency["after"] == metric_text("latency_ms", fused.estimate.latency_ms)
    assert (latency["figures"], table.loc["MACs", "figures"]) == ("estimated", "counted")
    assert set(compare_table(session, session)["change"]) == {"±0 %"}


def test_what_is_not_known_is_not_zero(uncalibrated):
    table = compare_table(uncalibrated, uncalibrated)
    assert table.loc["Latency", "after"] == "unknown"
    assert table.loc["MACs", "after"] == metric_text("macs", uncalibrated.graph.macs)
