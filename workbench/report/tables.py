"""Numbers with their units: the one place that decides how a millisecond, a byte or a MAC is written.

Symbols: latencies in ms, memory in bytes (shown in KiB and MiB, 1024 to one), params and MACs are counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from ..session import Session

__all__ = [
    "DASH",
    "METRICS",
    "MINUS",
    "TIMES",
    "Metric",
    "change_text",
    "compare_table",
    "figures_of",
    "metric_text",
    "shape_text",
]

UNKNOWN = "unknown"
TIMES, MINUS, DASH = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Metric:
    """A figure of a network. unit: "ms", "bytes" or "count". figures: where the number comes from.

    label, short: its name in a table and where room is scarce. meaning: one sentence for those who ask.
    """

    name: str
    label: str
    short: str
    unit: str
    figures: str
    meaning: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("latency_ms", "Latency", "Latency", "ms", "estimated", "One inference, batch 1."),
            Metric(
                "sram_bytes", "SRAM used", "SRAM", "bytes", "estimated",
                "What the compiler would report as SRAM used in this configuration.",
            ),
            Metric(
                "peak_activation_bytes", "Peak activation memory", "Peak activations", "bytes", "estimated",
                "The most bytes of live feature maps at any step.",
            ),
            Metric(
                "weight_bytes", "Weights", "Weights", "bytes", "estimated",
                "Bytes of weights in the target's number format, before the compiler encodes them.",
            ),
            Metric("params", "Parameters", "Parameters", "count", "counted", "Trainable values of the model."),
            Metric("macs", "MACs", "MACs", "count", "counted", "Multiply-accumulates of one inference."),
        )
    }
)  # fmt: skip


def figures_of(session: "Session") -> dict[str, float | None]:
    """The session's figures by public name, estimated or counted; None where the target is not calibrated."""
    known = session.try_estimate
    if known is None:
        counts = {"params": session.graph.params, "macs": session.graph.macs}
        return {name: counts.get(name) for name in METRICS}
    return {name: getattr(known, name) for name in METRICS}


def metric_text(name: str, value: float | None) -> str:
    """The value of a metric with its unit.

    >>> metric_text("latency_ms", 2.2987), metric_text("sram_bytes", 1505280), metric_text("macs", 300774272)
    ('2.30 ms', '1470 KiB', '301 M')
    """
    if _missing(value):
        return UNKNOWN
    assert value is not None
    if METRICS[name].unit == "ms":
        return f"{value:.{_digits(value, 2)}f} ms"
    step, units = (1024, ("B", "KiB", "MiB", "GiB")) if METRICS[name].unit == "bytes" else (1000, ("", "k", "M", "G"))
    # Feature maps are compared in KiB up to 10 MiB: 1470 beside 353.5 reads at a glance, 1.44 MiB does not.
    stop = (1024, 10240, 1024) if step == 1024 else (1000, 1000, 1000)
    power = 0
    while power < 3 and abs(value) >= stop[power]:
        value, power = value / step, power + 1
    digits = 0 if power == 0 else _digits(value, 2 if step == 1000 or power > 1 else 1)
    return f"{value:.{digits}f} {units[power]}".rstrip()


def change_text(before: float | None, after: float | None) -> str:
    """The relative change in percent, with its sign; "" where either value is unknown.

    >>> change_text(2.05, 2.30), change_text(2.0, 2.0), change_text(None, 1.0)
    ('+12.2 %', '±0 %', '')
    """
    if _missing(before) or _missing(after) or not before:
        return ""
    assert before is not None and after is not None
    if before == after:
        return "±0 %"
    percent = 100 * (after / before - 1)
    return f"{'+' if percent > 0 else MINUS}{abs(percent):.1f} %"


def shape_text(shape: Any) -> str:
    """A tensor's shape without its batch.

    >>> shape_text((1, 96, 56, 56)).split(TIMES), shape_text((1, 1000))
    (['96', '56', '56'], '1000')
    """
    if isinstance(shape, str):
        return shape.replace("x", TIMES)
    return TIMES.join(str(int(d)) for d in tuple(shape)[1:])


def compare_table(before: "Session", after: "Session") -> pd.DataFrame:
    """Two sessions for people to read: one row per metric, values as text with units.

    Columns: before, after, change, figures ("estimated", or "counted" for what is exact).
    """
    one, two = figures_of(before), figures_of(after)
    rows = [
        (
            metric.label,
            metric_text(name, one[name]),
            metric_text(name, two[name]),
            change_text(one[name], two[name]),
            metric.figures,
        )
        for name, metric in METRICS.items()
    ]
    return pd.DataFrame(rows, columns=["metric", "before", "after", "change", "figures"]).set_index("metric")


def _digits(value: float, most: int) -> int:
    """Decimals that leave about three figures to read."""
    value = abs(value)
    if value >= 100:
        return 0
    if value >= 10:
        return min(1, most)
    return most if value >= 1 or most < 2 or value == 0 else most + 1


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
