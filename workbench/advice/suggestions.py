"""Steps ranked by what they gain for what they lose, or, where the weights are untrained, by what they gain."""

from itertools import combinations, islice

import pandas as pd

from ..errors import InputError, NotApplicable
from ..estimators import Estimate, delta_ms, estimate
from ..space import Choice, Option, block_options, network_options, option
from ..state import Images, State
from ..surgery.losses import Losses
from ..table import Table
from ..transforms import Transform, describe
from .edit_price import UNTRAINED
from .losses import losses_of

__all__ = ["suggest"]

_LEAST_LOSS = 1e-3  # an exact step does not count as infinitely good
_LEAST_GAIN = 2e-3  # of the latency
_LOOKED_AT = 40  # the steps that gain most; the loss of others is not measured
_PAIRED = 10
_MORE = 1.05  # a pair is shown where it gains so much more than its parts


def suggest(state: State, n: int, images: Images | None) -> pd.DataFrame:
    """The n best: steps (to hand to `apply`), what, latency_ms and the other changes (estimated), loss, gain_per_loss.

    images: see `losses_of`. latency_percent over loss ranks them: percent of the latency gained per unit of relative
    error. Where the weights are untrained loss and gain_per_loss are NaN, the latency gained ranks, and
    `.attrs["note"]` says so. Steps are single ones, of one block and of the network, and pairs that gain more together
    than apart. One that makes the estimate incomplete is left out.
    """
    if not isinstance(n, int) or n < 1:
        raise InputError(f"n is {n!r}; it must be a whole number of at least 1, such as 10")
    graph, target, values = state.graph, state.target, state.weight_values
    losses = losses_of(state, images)
    base = estimate(graph, target, values)
    single = [o for options in block_options(graph, target).values() for o in options if len(o.steps) == 1]
    every = {o.graph.digest: o for o in (*network_options(graph, target), *single)}  # the same by two names once
    gains = {o: -delta_ms(graph, o.graph, target, values) for o in every.values()}
    worth = [o for o in gains if gains[o] > _LEAST_GAIN * base.latency_ms]
    worth.sort(key=lambda o: -gains[o])
    rows = [_row(o, base, estimate(o.graph, target, values), _loss(o, losses)) for o in worth[:_LOOKED_AT]]
    by, ascending = ("gain_per_loss", False) if losses is not None else ("latency_ms", True)
    ranked = sorted(zip(rows, worth, strict=False), key=lambda pair: float(str(pair[0][by])), reverse=not ascending)
    for (row_a, a), (row_b, b) in combinations(ranked[:_PAIRED], 2):
        both = _pair(state, a, b)
        if both is None:
            continue
        together = (float(str(row_a["loss"])) ** 2 + float(str(row_b["loss"])) ** 2) ** 0.5
        row = _row(both, base, estimate(both.graph, target, values), together)
        if -float(str(row["latency_ms"])) > _MORE * (gains[a] + gains[b]):
            rows.append(row)
    kept = [row for row in rows if row["complete"]]
    table = Table(kept, columns=list(_COLUMNS), changes=("latency_ms", "sram_bytes", "params"))
    table = table.sort_values(by, ascending=ascending, ignore_index=True)
    rows_kept = islice((i for i, steps in enumerate(table["steps"]) if _applies(state, steps)), n)
    table = table.loc[list(rows_kept)].reset_index(drop=True).drop(columns="complete")
    if losses is None:
        table.attrs["note"] = f"{UNTRAINED}; the steps that gain most stand first"
    return table


def _loss(option: Option, losses: Losses | None) -> float:
    return float("nan") if losses is None else losses.of(option.plans, option.block)


def _applies(state: State, steps: tuple[Transform, ...]) -> bool:
    """Whether `apply` takes the steps: on a module of one's own they are tried there."""
    try:
        state.apply(*steps)
    except NotApplicable:
        return False
    return True


def _pair(state: State, a: Option, b: Option) -> Option | None:
    """Two options of different transforms, one after the other; None where the second does not apply."""
    if type(a.transforms[0]) is type(b.transforms[0]):
        return None
    transforms = (*a.transforms, *b.transforms)
    return option(state.graph, state.target, Choice(" + ".join(map(describe, transforms)), transforms))


_COLUMNS = (
    "steps",
    "what",
    "latency_ms",
    "latency_percent",
    "sram_bytes",
    "params",
    "loss",
    "gain_per_loss",
    "complete",
)


def _row(option: Option, base: Estimate, after: Estimate, loss: float) -> dict[str, object]:
    change = after.latency_ms - base.latency_ms
    percent = 100 * change / base.latency_ms
    return {
        "steps": option.transforms,
        "what": " + ".join(map(describe, option.transforms)),
        "latency_ms": change,
        "latency_percent": percent,
        "sram_bytes": after.sram_bytes - base.sram_bytes,
        "params": after.params - base.params,
        "loss": loss,
        "gain_per_loss": -percent / max(loss, _LEAST_LOSS),
        "complete": len(after.cpu_ops) <= len(base.cpu_ops),
    }
