"""The figures of a network: their names, units, where they come from, and how a number of each is written.

Symbols: latencies in ms, memory in bytes (shown in KiB and MiB, 1024 to one), params and MACs are counts.

One dialect wherever a number is shown, `table.py` for the cells of tables: about three figures and the unit, a true
minus sign, a plus before what grew, percent with a space, "unknown" or a dash for what is not known, never zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = [
    "DASH",
    "METRICS",
    "MINUS",
    "TIMES",
    "UNKNOWN",
    "Metric",
    "change_text",
    "difference_text",
    "incomplete_text",
    "interval_text",
    "latencies_text",
    "metric_text",
    "number_text",
    "percent_text",
    "points_text",
    "quantity_text",
    "shape_text",
    "signed_text",
    "uncalibrated_text",
]

UNKNOWN = "unknown"
TIMES, MINUS, DASH = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Metric:
    """A figure of a network.

    name: as in `Estimate`. label, short: its name in a table, and where room is scarce. unit: "ms", "bytes" or "count".
    figures: where the number comes from, "estimated" or "counted". meaning: one sentence.
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
            Metric(
                "params", "Parameters", "Parameters", "count", "counted",
                "Trainable values of the model.",
            ),
            Metric(
                "macs", "MACs", "MACs", "count", "counted",
                "Multiply-accumulates of one inference.",
            ),
        )
    }
)  # fmt: skip


def metric_text(name: str, value: float | None) -> str:
    """The value of a metric with its unit, in about three figures.

    >>> metric_text("latency_ms", 2.2987), metric_text("sram_bytes", 1505280), metric_text("macs", 300774272)
    ('2.30 ms', '1470 KiB', '301 M')
    """
    return quantity_text(value, METRICS[name].unit)


def quantity_text(value: float | None, unit: str) -> str:
    """A number with its unit, in about three figures. unit: "ms", "s", "MHz", "MB", "bytes", "count" or "share".

    >>> quantity_text(0.00021, "ms"), quantity_text(-2048, "bytes"), quantity_text(0.1234, "share")
    ('<0.001 ms', '\N{MINUS SIGN}2.0 KiB', '12.3 %')
    """
    if _missing(value):
        return UNKNOWN
    assert value is not None
    if value < 0:
        return MINUS + quantity_text(-value, unit)
    if unit == "share":
        return "<0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"
    if unit not in ("bytes", "count"):
        return f"<0.001 {unit}" if 0 < value < 0.0005 else f"{value:.{_digits(value, 2)}f} {unit}"
    step, units = (1024, ("B", "KiB", "MiB", "GiB")) if unit == "bytes" else (1000, ("", "k", "M", "G"))
    # Feature maps are compared in KiB up to 10 MiB: 1470 beside 353.5 reads at a glance, 1.44 MiB does not.
    stop = (1024, 10240, 1024) if step == 1024 else (1000, 1000, 1000)
    power = 0
    while power < 3 and value >= stop[power]:
        value, power = value / step, power + 1
    digits = 0 if power == 0 else _digits(value, 2 if step == 1000 or power > 1 else 1)
    return f"{value:.{digits}f} {units[power]}".rstrip()


def number_text(value: float) -> str:
    """A number without a unit, in three figures.

    >>> number_text(30413.2), number_text(0.012345), number_text(9.292378e-7), number_text(-1.5)
    ('30.4 k', '0.0123', '<0.001', '\N{MINUS SIGN}1.50')
    """
    if _missing(value):
        return DASH
    if value < 0:
        return MINUS + number_text(-value)
    if value == 0 or math.isinf(value):
        return "0" if value == 0 else "\N{INFINITY}"
    if value < 0.001:
        return "<0.001"
    if value >= 1000:
        return quantity_text(value, "count")
    return f"{value:.{2 - math.floor(math.log10(value))}f}"


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
    return percent_text(100 * (after / before - 1))


def percent_text(percent: float) -> str:
    """A change in percent, with its sign.

    >>> percent_text(12.195), percent_text(-0.01), percent_text(0.0)
    ('+12.2 %', '±0.0 %', '±0 %')
    """
    if abs(percent) < 0.05:
        return "±0.0 %" if percent else "±0 %"
    return f"{'+' if percent > 0 else MINUS}{abs(percent):.1f} %"


def shape_text(shape: Any) -> str:
    """A tensor's shape without its batch.

    >>> shape_text((1, 96, 56, 56)).split(TIMES), shape_text((1, 1000))
    (['96', '56', '56'], '1000')
    """
    if isinstance(shape, str):
        return shape.replace("x", TIMES)
    return TIMES.join(str(int(d)) for d in tuple(shape)[1:])


def difference_text(name: str, difference: float) -> str:
    """A difference between two values of a metric, with its sign and unit.

    >>> difference_text("latency_ms", -0.25), difference_text("sram_bytes", 2048), difference_text("macs", 0)
    ('\N{MINUS SIGN}0.250 ms', '+2.0 KiB', '±0')
    """
    return signed_text(difference, METRICS[name].unit)


def signed_text(difference: float, unit: str) -> str:
    """A difference with its sign and unit; units as for `quantity_text`."""
    if difference == 0:
        return "±0"
    return f"{'+' if difference > 0 else ''}{quantity_text(difference, unit)}"


def points_text(difference: float) -> str:
    """A difference between two shares, in points (hundredths), with its sign.

    >>> points_text(0.0123), points_text(-0.0004)
    ('+1.2', '0.0')
    """
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def interval_text(interval: tuple[float, float]) -> str:
    """An interval of a share, in percent.

    >>> interval_text((0.9567, 0.9887))
    '95.7 to 98.9 %'
    """
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def latencies_text(interval: tuple[float, float]) -> str:
    """An interval of latencies in ms, with the decimals that tell its ends apart.

    >>> latencies_text((2.2973, 2.3102)), latencies_text((9.5, 12.25))
    ('2.297 to 2.310 ms', '9.5 to 12.2 ms')
    """
    low, high = interval
    digits = _digits(high, 3)
    while digits < 3 and high - low < 20 * 10.0**-digits:
        digits += 1
    return f"{low:.{digits}f} to {high:.{digits}f} ms"


def incomplete_text(cpu_ops: Sequence[str], shown: int = 4) -> str:
    """What an estimate leaves out, in one sentence. cpu_ops: `Estimate.cpu_ops`, not empty; shown: how many are named.

    >>> incomplete_text(["SIN head"])
    'Incomplete: the accelerator does not take SIN head (1 in all), and their time is not counted.'
    """
    names = ", ".join(cpu_ops[:shown]) + (" and others" if len(cpu_ops) > shown else "")
    return f"Incomplete: the accelerator does not take {names} ({len(cpu_ops)} in all), and their time is not counted."


def uncalibrated_text(target: str) -> str:
    """Why there is no estimate, in one sentence."""
    return f"{target} is not calibrated, so latency and memory are unknown; verify() compiles for real."


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
