"""The page's memory: what is alive at every step, for the reader to walk through, and the peak for paper."""

import json
from collections.abc import Sequence
from typing import Any

from ..advice import Step, live_steps
from ..estimators import Estimate
from ..graph import Graph
from ..metrics import metric_text, quantity_text
from .markup import Markup, el

__all__ = ["peak_panel"]


def peak_panel(graph: Graph, estimate: Estimate) -> Markup | None:
    """The tensors alive at the peak, with every other step's as data that the page's script walks through."""
    steps = live_steps(graph, estimate)
    if not steps:
        return None
    peak = max(range(len(steps)), key=lambda i: steps[i].live_bytes)
    top = steps[peak]
    largest = max((size for _, size in top.tensors), default=1) or 1
    rows = [
        el(
            "li",
            el("code", _maker(graph, name)),
            " ",
            el("span", quantity_text(size, "bytes"), class_="wb-number"),
            el("i", style=f"width:{100 * size / largest:.1f}%"),
        )
        for name, size in top.tensors
    ]
    head = el("p", f"Step {peak + 1} of {len(steps)}, the peak: ", el("code", _runs(graph, top)), " ",
              el("b", f"{metric_text('peak_activation_bytes', top.live_bytes)} alive"), class_="wb-step")  # fmt: skip
    data = json.dumps(_walk(graph, steps), separators=(",", ":"), ensure_ascii=False)
    return el("div", head, el("ul", *rows), class_="wb-alive", data_steps=data, data_peak=peak)


def _walk(graph: Graph, steps: Sequence[Step]) -> dict[str, Any]:
    """All steps, short: names once, and per step its place on the axis of blocks, what runs, bytes and tensors."""
    blocks = [block.name for block in graph.blocks]
    places = [blocks.index(step.block) if step.block in blocks else -1 for step in steps]
    for i, place in enumerate(places):
        if place < 0:
            places[i] = places[i - 1] if i else 0
    inside = {place: places.count(place) for place in set(places)}
    passed: dict[int, int] = {}
    at = []
    for place in places:
        number = passed[place] = passed.get(place, -1) + 1
        at.append(round((place + (number + 0.5) / inside[place]) / max(len(blocks), 1), 5))
    sizes = {name: size for step in steps for name, size in step.tensors}
    order = {name: i for i, name in enumerate(sizes)}
    return {
        "tensors": [[_maker(graph, name), size, quantity_text(size, "bytes")] for name, size in sizes.items()],
        "steps": [
            [
                x,
                _runs(graph, step),
                metric_text("peak_activation_bytes", step.live_bytes),
                [order[n] for n, _ in step.tensors],
            ]
            for x, step in zip(at, steps, strict=True)
        ],
    }


def _runs(graph: Graph, step: Step) -> str:
    op = graph.by_name.get(step.op)
    return step.op if op is None else f"{op.module or op.name} ({op.kind})"


def _maker(graph: Graph, tensor: str) -> str:
    """What made a tensor."""
    op = graph.by_name.get(tensor)
    if op is None:
        return tensor
    return "input" if op.kind == "input" else op.module or op.name
