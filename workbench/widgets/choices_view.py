"""The what-if table: steps that may be taken on the selected blocks, what each would change, ranked by time.

A row is plain data. Its price (milliseconds) comes from the window around the edit and is there at once; the row is
`ghost`ed, drawn on totals and both tracks without asking again, once its network was estimated whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..estimators import Estimate, delta_ms, estimate
from ..graph import Graph
from ..metrics import METRICS, change_text, difference_text, metric_text
from ..recipe import to_step
from ..report import steps_code
from ..space import Choice, Option, block_choices, network_choices, option
from ..state import State
from ..transforms import Transform, describe
from .tracks import live_by_block

__all__ = ["PricedChoice", "choices_for", "estimated", "ghost", "priced", "row"]


@dataclass(frozen=True)
class PricedChoice:
    """A choice that applies. blocks: those it changes, none for the whole network. latency_ms: the change."""

    option: Option
    blocks: tuple[str, ...]
    latency_ms: float

    @property
    def choice(self) -> Choice:
        return self.option.choice

    @property
    def graph(self) -> Graph:
        """The network after it."""
        return self.option.graph


def choices_for(graph: Graph, blocks: Sequence[str]) -> Iterator[tuple[Choice, tuple[str, ...]]]:
    """Choices to try, with the blocks they change.

    blocks: one, its own choices; several, those that all of them offer under one label, taken together; none, those of
    the network and the single ones of every block.
    """
    offers = {block.name: block_choices(graph, block) for block in graph.blocks if not blocks or block.name in blocks}
    if not blocks:
        yield from ((choice, ()) for choice in network_choices(graph))
        yield from ((c, (name,)) for name, offered in offers.items() for c in offered if len(c.transforms) == 1)
    elif len(offers) == 1:
        yield from ((choice, (name,)) for name, offered in offers.items() for choice in offered)
    elif offers:
        first, *others = offers.values()
        for choice in first:
            same = [next((c for c in offered if c.label == choice.label), None) for offered in others]
            if all(same):
                together = [choice, *(c for c in same if c is not None)]
                yield Choice(choice.label, _joined([c.transforms for c in together])), tuple(offers)


def _joined(each: Sequence[tuple[Transform, ...]]) -> tuple[Transform, ...]:
    """The transforms of several blocks' choices: one for all blocks where they differ in the block alone."""
    joined: list[Transform] = []
    for alike in zip(*each, strict=True):
        names = tuple(str(t.blocks) for t in alike)
        one = replace(alike[0], blocks=names)
        joined += [one] if all(replace(t, blocks=names) == one for t in alike) else alike
    return tuple(joined)


def priced(state: State, choice: Choice, blocks: tuple[str, ...]) -> PricedChoice | None:
    """The choice with the time it saves; None where it does not apply."""
    applied = option(state.graph, state.target, choice, blocks[0] if len(blocks) == 1 else "")
    if applied is None or not applied.steps or applied.graph.digest == state.graph.digest:
        return None
    change = delta_ms(state.graph, applied.graph, state.target, state.weight_values)
    return PricedChoice(applied, blocks, change)


def row(state: State, item: PricedChoice, after: Estimate | None = None) -> dict[str, Any]:
    """A row: what, where, code, steps (to send back), the changes as texts; `ghost` where `after` is at hand."""
    now, transforms = state.estimate, item.choice.transforms
    latency = item.latency_ms if after is None else after.latency_ms - now.latency_ms
    where = "whole network" if not item.blocks else item.blocks[0] if len(item.blocks) == 1 else _count(item.blocks)
    cells = {
        "latency_ms": _cell("latency_ms", now.latency_ms, now.latency_ms + latency),
        "sram_bytes": None if after is None else _cell("sram_bytes", now.sram_bytes, after.sram_bytes),
        "peak_activation_bytes": None
        if after is None
        else _cell("peak_activation_bytes", now.peak_activation_bytes, after.peak_activation_bytes),
        "params": _cell("params", state.graph.params, item.graph.params),
    }
    return {
        "id": f"{item.choice.label}@{','.join(item.blocks)}",
        "what": item.choice.label if item.blocks else describe(transforms[0]),
        "where": where,
        "code": f"session = {steps_code(transforms, item.choice.label if len(transforms) > 1 else '', 'session')}",
        "steps": [to_step(transform) for transform in transforms],
        "cells": cells,
        "incomplete": after is not None and len(after.cpu_ops) > len(now.cpu_ops),
        "ghost": None if after is None else ghost(state, item.graph, after),
    }


def ghost(state: State, graph: Graph, after: Estimate) -> dict[str, Any]:
    """How another network would be drawn over this one.

    totals: by metric: text, change, mood, value. blocks: number of a block that changes -> its latency in ms, its text,
    and the bytes alive at each of its steps; a block that goes has none.
    """
    now = state.estimate
    old, new = now.totals(), after.totals()
    latency = dict(zip(after.blocks["name"], after.blocks["latency_ms"], strict=True))
    live, live_then = live_by_block(state.graph, now), live_by_block(graph, after)
    changes = {}
    for number, (name, before) in enumerate(zip(now.blocks["name"], now.blocks["latency_ms"], strict=True)):
        then = float(latency.get(name, 0.0))
        alive = live_then.get(name, [])
        if abs(then - before) > 1e-9 or alive != live[name]:
            changes[str(number)] = [round(then, 6), metric_text("latency_ms", then), alive]
    return {"totals": {name: _total(name, old[name], new[name]) for name in METRICS}, "blocks": changes}


def estimated(state: State, item: PricedChoice) -> Estimate:
    """The whole network after the choice."""
    return estimate(item.graph, state.target, state.weight_values)


def _total(name: str, old: float, new: float) -> dict[str, Any]:
    return {"text": metric_text(name, new), "change": change_text(old, new), "value": new, "mood": _mood(old, new)}


def _cell(name: str, old: float, new: float) -> dict[str, Any]:
    """A change: its number (to sort by), its text, the percent, whether it is better."""
    difference = "±0" if new == old else difference_text(name, new - old).replace("-", "\N{MINUS SIGN}")
    return {"value": new - old, "text": difference, "percent": change_text(old, new), "mood": _mood(old, new)}


def _mood(old: float, new: float) -> str:
    return "same" if abs(new - old) < 1e-12 else "better" if new < old else "worse"


def _count(blocks: Sequence[str]) -> str:
    return f"{len(blocks)} blocks"
