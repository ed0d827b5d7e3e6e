"""Inline SVG figures: latency per block before and after, and feature maps alive over one inference.

Horizontal places are percentages, vertical ones pixels: a figure fills the width there is and its text keeps its
size. All figures share one horizontal axis: a column per block of the session, in execution order; the memory of
the baseline is drawn in the columns of the same blocks.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..advice import block_words
from ..estimators import Estimate
from ..metrics import change_text, metric_text, quantity_text, shape_text
from .markup import Markup, el, join
from .palette import heat, scale_top

__all__ = ["block_figure", "memory_figure", "nice_ceiling"]

_AXIS = 64  # px, the numbers at the left
_MOST_LABELS = 44  # more names than this cannot be told apart on a narrow page
_LONGEST_LABEL = 18


def block_figure(now: Estimate, before: Estimate | None = None, lane: bool = True) -> Markup:
    """Latency per block as columns, the baseline behind them; below, the memory lane and the blocks' names."""
    names = [str(n) for n in now.blocks["name"]]
    old = {} if before is None else dict(zip(before.blocks["name"], before.blocks["latency_ms"], strict=True))
    high = nice_ceiling(max([*now.blocks["latency_ms"], *(old.get(n, 0.0) for n in names)], default=1.0))
    shares = [*now.blocks["share"], *([] if before is None else before.blocks["share"])]
    top = scale_top(*shares)
    chart, lane_height, gap = 132, 46, 12
    below = chart + (gap + lane_height if lane else 0) + 10
    height = below + _label_room(names)

    plot: list[Markup] = [_grid(y, chart) for y in (0.0, 0.5, 1.0)]
    limits = _limits(now)
    blocks = now.detail.graph.blocks
    for i, row in enumerate(now.blocks.to_dict("records")):
        row["kind"] = block_words(now.detail.graph, blocks[i])
        plot.append(_column(i, len(names), row, old.get(row["name"]), high, top, chart, limits[i]))
    axis = [_tick(_at(v, chart), f"{v * high:g}{' ms' if v == 1 else ''}") for v in (0.0, 0.5, 1.0)]
    if lane:
        peak = max(e.peak_activation_bytes for e in (now, before) if e is not None)
        plot.append(_lane(now, before, names, peak, chart + gap, lane_height))
        axis += [
            _tick(chart + gap + 8, metric_text("peak_activation_bytes", peak)),
            _tick(chart + gap + lane_height, "0"),
        ]
    plot.append(_labels(names, below))
    return _figure(axis, plot, height, f"Latency and memory of {len(names)} blocks", "time")


def memory_figure(now: Estimate, before: Estimate | None = None) -> Markup:
    """Bytes of live feature maps over one inference, the baseline dashed, the peak marked."""
    names = [str(n) for n in now.blocks["name"]]
    peak = max(e.peak_activation_bytes for e in (now, before) if e is not None)
    high, chart = 1024 * nice_ceiling(peak / 1024), 180
    plot: list[Markup] = [_grid(v, chart) for v in (0.0, 0.5, 1.0)]
    plot.append(_lane(now, before, names, high, _at(1.0, chart), chart - _at(1.0, chart)))
    line = _at(now.peak_activation_bytes / high, chart)
    plot.append(el("line", x1="0", x2="100%", y1=line, y2=line, class_="wb-peak"))
    text = f"peak {metric_text('peak_activation_bytes', now.peak_activation_bytes)}"
    plot.append(el("text", text, x="100%", y=line - 5, text_anchor="end", class_="wb-strong"))
    plot += [_alive(i, len(names), name, live, chart) for i, (name, live) in enumerate(_peaks(now, names).items())]
    plot.append(_labels(names, chart + 10))
    axis = [_tick(_at(v, chart), f"{v * high / 1024:g}{' KiB' if v == 1 else ''}") for v in (0.0, 0.5, 1.0)]
    return _figure(axis, plot, chart + 10 + _label_room(names), "Feature maps alive over one inference", "memory")


def nice_ceiling(value: float) -> float:
    """The next round number: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten.

    >>> nice_ceiling(0.43), nice_ceiling(1470)
    (0.5, 1500.0)
    """
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(round(m * power, 12) for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= value * (1 - 1e-9))


def _figure(axis: Sequence[Markup], plot: Sequence[Markup], height: float, label: str, name: str) -> Markup:
    """name: what the page's script finds it by."""
    scale = el("svg", *axis, width=_AXIS, height=height, aria_hidden="true")
    drawing = el("svg", *plot, width="100%", height=height, role="img", aria_label=label)
    return el("div", scale, drawing, class_="wb-figure", data_figure=name)


def _limits(estimate: Estimate) -> list[str]:
    """Per block what limits most of its time, and "" where it takes none."""
    spent, bound = estimate.detail.latency_ms, estimate.detail.bound
    limits = []
    for block in estimate.detail.graph.blocks:
        by_limit: dict[str, float] = {}
        for name in block.ops:
            if spent.get(name, 0.0) > 0:
                limit = bound.get(name, "compute")
                by_limit[limit] = by_limit.get(limit, 0.0) + spent[name]
        limits.append(max(by_limit, key=by_limit.__getitem__, default=""))
    return limits


def _column(
    i: int, n: int, row: Mapping[Hashable, Any], old: float | None, high: float, top: float, chart: int, limit: str
) -> Markup:
    latency, share = float(row["latency_ms"]), float(row["share"])
    old = latency if old is None else old
    facts = [str(row["name"]), str(row["kind"]), shape_text(row["shape"])]
    facts.append(f"{metric_text('latency_ms', latency)} ({quantity_text(share, 'share')})")
    moved = old != latency
    if moved:
        facts.append(f"{change_text(old, latency)} from {metric_text('latency_ms', old)}")
    parts = [el("title", " · ".join(facts)), el("rect", width="100%", height=chart, class_="wb-catch")]
    if moved:
        y = _at(old / high, chart)
        parts.append(el("rect", x="6%", width="88%", y=y, height=chart - y, class_="wb-ghost"))
    y = _at(latency / high, chart)
    parts.append(el("rect", x="18%", width="64%", y=y, height=max(chart - y, 1), rx="1.5", class_="wb-bar"))
    if moved:
        y = _at(old / high, chart)
        parts.append(el("line", x1="6%", x2="94%", y1=y, y2=y, class_="wb-cap"))
    return el(
        "svg", *parts, x=_percent(i, n), width=_percent(1, n), height=chart, class_=f"wb-heat-{heat(share, top)}",
        data_block=i, data_bound=limit or None,
    )  # fmt: skip


def _lane(now: Estimate, before: Estimate | None, names: list[str], high: float, y: float, height: float) -> Markup:
    """Live bytes as an area `height` px high; the baseline as a dashed outline."""
    count = len(names)
    points = _timeline(now, names)
    area = _path(points, high, height)
    drawn = [el("path", d=f"{area}L{count},{height:g}L0,{height:g}Z", class_="wb-area")] if points else []
    if before is not None and points:
        drawn.append(el("path", d=_path(_timeline(before, names), high, height), class_="wb-before"))
    return el(
        "svg", *drawn, y=f"{y:g}", width="100%", height=f"{height:g}",
        viewBox=f"0 0 {max(count, 1)} {height:g}", preserveAspectRatio="none",
    )  # fmt: skip


def _timeline(estimate: Estimate, names: list[str]) -> list[tuple[float, float, float]]:
    """(from, to, live bytes) of each step, in columns of `names`; steps share their block's column evenly."""
    block_of = dict(zip(estimate.ops["name"], estimate.ops["block"], strict=True))
    place = {name: i for i, name in enumerate(names)}
    columns: list[int] = []
    for op in estimate.memory_timeline["op"]:
        columns.append(place.get(block_of.get(op, ""), columns[-1] if columns else 0))
    live = [float(v) for v in estimate.memory_timeline["live_bytes"]]
    steps: list[tuple[float, float, float]] = []
    for i in range(len(names)):
        # A block without a step of its own goes on with what was alive before it.
        inside = [v for c, v in zip(columns, live, strict=True) if c == i] or ([steps[-1][2]] if steps else [0.0])
        steps += [(i + k / len(inside), i + (k + 1) / len(inside), v) for k, v in enumerate(inside)]
    return steps if live else []


def _peaks(estimate: Estimate, names: list[str]) -> dict[str, float]:
    peaks = dict.fromkeys(names, 0.0)
    for start, end, live in _timeline(estimate, names):
        name = names[int((start + end) / 2)]
        peaks[name] = max(peaks[name], live)
    return peaks


def _alive(i: int, n: int, name: str, live: float, chart: int) -> Markup:
    title = el("title", f"{name} · up to {metric_text('peak_activation_bytes', live)} alive")
    return el("rect", title, x=_percent(i, n), width=_percent(1, n), height=chart, class_="wb-catch")


def _path(points: list[tuple[float, float, float]], high: float, height: float) -> str:
    lines = [f"L{a:.3f},{(1 - v / high) * height:.2f}L{b:.3f},{(1 - v / high) * height:.2f}" for a, b, v in points]
    return "M" + "".join(lines)[1:]


def _labels(names: list[str], y: float) -> Markup:
    """Block names, bottom to top, below their columns; every second or third one where there are very many."""
    every = math.ceil(len(names) / _MOST_LABELS)
    return join(
        el(
            "svg",
            el("text", _short(name), transform="translate(3.5,0) rotate(-90)", text_anchor="end"),
            x=_percent(i + 0.5, len(names)), y=f"{y:g}", width="1", height="1", overflow="visible",
        )
        for i, name in enumerate(names)
        if i % every == 0
    )  # fmt: skip


def _label_room(names: list[str]) -> float:
    return 6.3 * max((len(_short(n)) for n in names), default=0) + 6


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else "…" + name[1 - _LONGEST_LABEL :]


def _grid(v: float, chart: int) -> Markup:
    return el("line", x1="0", x2="100%", y1=_at(v, chart), y2=_at(v, chart), class_="wb-grid")


def _tick(y: float, text: str) -> Markup:
    return el("text", text, x=_AXIS - 8, y=f"{y + 3.5:g}", text_anchor="end")


def _at(v: float, chart: int) -> float:
    """Height of a fraction of the scale; the top is left free for the highest number."""
    return round(chart - v * (chart - 14), 2)


def _percent(i: float, n: int) -> str:
    return f"{100 * i / max(n, 1):.4g}%"
