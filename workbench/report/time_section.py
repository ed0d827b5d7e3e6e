"""The page's drill-down: every block opened into its operators, with what limits each, and why it takes its time."""

from collections.abc import Mapping

from ..advice import block_words
from ..advice.finding import WAITS_FOR
from ..advice.findings import suspected
from ..advice.parts import group_of
from ..estimators import Estimate
from ..graph import Block, Graph, Op
from ..metrics import change_text, metric_text, quantity_text, shape_text
from ..state import State
from .markup import Markup, el
from .page_tables import change_cell
from .palette import heat

__all__ = ["bound_words", "opened_blocks"]


def opened_blocks(state: State, estimate: Estimate, before: Mapping[str, float], top: float) -> Markup:
    """One part per block, in execution order, closed until it is opened.

    before: latencies of the blocks as the model was opened; empty where nothing was changed. top: share at the hot end
    of the colours.
    """
    reasons: dict[str, list[str]] = {}
    for item in suspected(state):
        reasons.setdefault(item.block, []).append(f"{item.text[:1].upper()}{item.text[1:]}.")
    latencies = dict(zip(estimate.blocks["name"], estimate.blocks["latency_ms"], strict=True))
    return el(
        "div",
        *(
            _block(state.graph, block, estimate, reasons.get(block.name, []), latencies[block.name], before, top)
            for block in state.graph.blocks
        ),
        class_="wb-opened",
    )


def bound_words(bound: str) -> str:
    """What an operator waits for, in one word."""
    return {"compute": "array"}.get(bound, WAITS_FOR.get(bound, bound))


def _block(
    graph: Graph,
    block: Block,
    estimate: Estimate,
    reasons: list[str],
    latency: float,
    before: Mapping[str, float],
    top: float,
) -> Markup:
    share = latency / estimate.latency_ms if estimate.latency_ms else 0.0
    change, mood = change_cell(change_text(before.get(block.name), latency))
    summary = el(
        "summary",
        el("i", class_=f"wb-share wb-heat-{heat(share, top)}"),
        el("code", block.name),
        " ",
        el("span", block_words(graph, block), class_="wb-muted"),
        " ",
        el("span", metric_text("latency_ms", latency), class_="wb-number"),
        " ",
        el("span", quantity_text(share, "share"), class_="wb-number"),
        *([" ", el("span", change, class_=f"wb-number {mood}")] if before else []),
    )
    spent = estimate.detail.latency_ms
    timed = [graph.by_name[name] for name in block.ops if spent.get(name, 0.0) > 0]
    most = max((spent[op.name] for op in timed), default=1.0)
    rows = [_operator(op, block, spent[op.name], most, estimate.detail.bound.get(op.name, "compute")) for op in timed]
    heads = [
        ("operator", "wb-text"),
        ("output", "wb-text wb-roomy"),
        ("", "wb-text wb-bars"),
        ("latency", ""),
        ("bound by", "wb-text"),
    ]
    head = el(
        "tr",
        *(el("th", text, scope="col", class_=cls or None) if text else el("td", class_=cls) for text, cls in heads),
    )
    table = el("table", el("thead", head), el("tbody", *rows)) if rows else el("p", "It takes no time of its own.")
    notes = [el("ul", *(el("li", text) for text in reasons))] if reasons else []
    return el("details", summary, *notes, table, class_="wb-block", data_latency=f"{latency:.6g}")


def _operator(op: Op, block: Block, latency: float, most: float, bound: str) -> Markup:
    path = op.module.removeprefix(block.name).removeprefix(".") or op.kind
    bar = el("rect", width=f"{100 * latency / most:.1f}%", height="9", y="1", rx="1")
    return el(
        "tr",
        el("td", el("code", path), " ", el("span", _singular(group_of(op)), class_="wb-muted"), class_="wb-text"),
        el("td", shape_text(op.shape), class_="wb-text wb-roomy"),
        el("td", el("svg", bar, width="100%", height="11", aria_hidden="true"), class_="wb-bars"),
        el("td", metric_text("latency_ms", latency)),
        el("td", bound_words(bound), class_="wb-text"),
        data_bound=bound,
    )


def _singular(group: str) -> str:
    """One of a group, as far as English forms its plural with an s."""
    return group[:-1] if group.endswith("s") and not group.endswith("ss") else group
