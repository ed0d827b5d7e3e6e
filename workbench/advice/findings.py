"""A linter for networks: what costs a target more than it should, with the numbers and the step that mends it."""

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd

from ..estimators import Estimate, WeightValues, delta_ms, estimate
from ..graph import Graph
from ..hardware import Target
from ..metrics import change_text, metric_text
from ..progress import Progress
from ..space import Choice, option
from ..state import State
from ..table import Table
from .finding import Finding, Suspicion
from .rules import suspicions

__all__ = ["causes", "findings", "gain_text", "suspected"]

_GAIN = 1e-3  # of the latency: what a mend brings at least
_LESS_MEMORY = 0.02  # of the peak


def findings(state: State, progress: Progress | None = None) -> pd.DataFrame:
    """One row per finding, the most severe first: severity, rule, block, share, finding, mend.

    severity: "high" from 10 % of the latency (of the memory peak) on, "medium" from 2 %, else "low". share: of the
    latency, between 0 and 1. finding: the numbers in words, and what the mend gains. mend: the step (a Transform) that
    applies and gains something, or None. progress: called with the block whose mends are tried.
    """
    rows = [
        (item.severity, item.rule, item.block, item.share, _sentence(state, item), item.mend)
        for item in causes(state, progress=progress)
    ]
    return Table(rows, columns=["severity", "rule", "block", "share", "finding", "mend"])


def causes(state: State, block: str | None = None, progress: Progress | None = None) -> tuple[Finding, ...]:
    """The same as values, with what every mend gains (estimated). block: None takes all of them."""
    raised = [item for item in suspected(state) if block is None or item.block == block]
    mended = []
    for number, item in enumerate(raised):
        if progress is not None:
            progress(item.block, number, len(raised))
        mended.append(_mended(item, state.graph, state.target, state.weight_values, state.estimate))
    return tuple(mended)


def suspected(state: State) -> Sequence[Suspicion]:
    """What the rules find, the largest share first, before any mend is tried."""
    return _suspected(state.graph, state.target, state.estimate)


@lru_cache(maxsize=16)  # a notebook asks for a sentence, findings and the reasons of a block one after the other
def _suspected(graph: Graph, target: Target, whole: Estimate) -> Sequence[Suspicion]:
    return tuple(sorted(suspicions(graph, target, whole), key=lambda item: -item.share))


@lru_cache(maxsize=512)
def _mended(suspicion: Suspicion, graph: Graph, target: Target, values: WeightValues, whole: Estimate) -> Finding:
    """The finding with the first mend that gains something."""
    item = Finding(suspicion.rule, suspicion.block, suspicion.share, suspicion.text)
    for step in suspicion.mends:
        mended = option(graph, target, Choice("", (step,)))
        if mended is None:
            continue
        if suspicion.saves == "memory":
            less = whole.peak_activation_bytes - estimate(mended.graph, target, values).peak_activation_bytes
            if less > _LESS_MEMORY * whole.peak_activation_bytes:
                return Finding(item.rule, item.block, item.share, item.text, step, 0.0, less, mended.graph)
        else:
            gain = -delta_ms(graph, mended.graph, target, values)
            if gain > _GAIN * whole.latency_ms:
                return Finding(item.rule, item.block, item.share, item.text, step, gain, 0, mended.graph)
    return item


def gain_text(state: State, item: Finding) -> str:
    """What the mend of a finding gains, in words; "" without a mend."""
    if item.mend is None:
        return ""
    name = type(item.mend).__name__
    if item.gain_bytes:
        return f"{name} saves {metric_text('peak_activation_bytes', item.gain_bytes)} of the peak"
    before = state.estimate.latency_ms
    return f"{name} gains {metric_text('latency_ms', item.gain_ms)} ({change_text(before, before - item.gain_ms)})"


def _sentence(state: State, item: Finding) -> str:
    gain = gain_text(state, item)
    return f"{item.text}; {gain}" if gain else item.text
