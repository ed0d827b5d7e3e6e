"""The figures of a network: their names, units, where they come from, and how a number of each is written.

Symbols: latencies in ms, memory in bytes (shown in KiB and MiB, 1024 to one), params and MACs are counts.
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
    "Metric",
    "change_text",
    "difference_text",
    "incomplete_text",
    "interval_text",
    "metric_text",
    "points_text",
    "shape_text",
    "uncalibrated_text",
]

UNKNOWN = "unknown"
TIMES, MINUS, DASH = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Metric:
    """A figure of a network.

    name: as in `Estimate`. label, short: its name in a table, and where room is scarce. unit: "ms", "bytes" or "count".
    figures: where the number comes from, "estimated" or "counted". meaning: one sentence.
    difference: unit, divisor and decimals in which two values of it are subtracted.
    """

    name: str
    label: str
    short: str
    unit: str
    figures: str
    meaning: str
    difference: tuple[str, float, int]


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("latency_ms", "Latency", "Latency", "ms", "estimated", "One inference, batch 1.", ("ms", 1, 3)),
            Metric(
                "sram_bytes", "SRAM used", "SRAM", "bytes", "estimated",
                "What the compiler would report as SRAM used in this configuration.", ("KiB", 1024, 1),
            ),
            Metric(
                "peak_activation_bytes", "Peak activation memory", "Peak activations", "bytes", "estimated",
                "The most bytes of live feature maps at any step.", ("KiB", 1024, 1),
            ),
            Metric(
                "weight_bytes", "Weights", "Weights", "bytes", "estimated",
                "Bytes of weights in the target's number format, before the compiler encodes them.", ("KiB", 1024, 1),
            ),
            Metric(
                "params", "Parameters", "Parameters", "count", "counted",
                "Trainable values of the model.", ("M", 1e6, 3),
            ),
            Metric(
                "macs", "MACs", "MACs", "count", "counted",
                "Multiply-accumulates of one inference.", ("M", 1e6, 1),
            ),
        )
    }
)  # fmt: skip


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


def difference_text(name: str, difference: float) -> str:
    """A difference between two values of a metric, with its sign and unit.

    >>> difference_text("latency_ms", -0.25), difference_text("sram_bytes", 2048)
    ('-0.250 ms', '+2.0 KiB')
    """
    unit, divisor, digits = METRICS[name].difference
    return f"{difference / divisor:+.{digits}f} {unit}"


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
