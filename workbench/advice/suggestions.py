"""Steps ranked by what they gain for what they lose."""

from itertools import combinations

import pandas as pd

from ..estimators import Estimate, WeightValues, delta_ms, estimate
from ..graph import Graph
from ..hardware import Target
from ..transforms import describe
from .options import Loss, Option, block_options, network_options, option

__all__ = ["suggestions"]

_LEAST_LOSS = 1e-3  # an exact step does not count as infinitely good
_LEAST_GAIN = 2e-3  # of the latency
_LOOKED_AT = 40  # the steps that gain most; the loss of others is not measured
_PAIRED = 10
_MORE = 1.05  # a pair is shown where it gains so much more than its parts


def suggestions(graph: Graph, target: Target, values: WeightValues, loss: Loss, n: int) -> pd.DataFrame:
    """The n best: steps (to hand to `apply`), what, latency_ms and the other changes (estimated), loss, gain_per_loss.

    latency_percent over loss ranks them: percent of the latency gained per unit of relative error. Steps are single
    ones, of one block and of the network, and pairs that gain more together than apart. One that makes the estimate
    incomplete is left out.
    """
    base = estimate(graph, target, values)
    single = [o for some in block_options(graph, target).values() for o in some if len(o.steps) == 1]
    every = {o.graph.digest: o for o in (*network_options(graph, target), *single)}  # the same by two names once
    gains = {o: -delta_ms(graph, o.graph, target, values) for o in every.values()}
    worth = [o for o in gains if gains[o] > _LEAST_GAIN * base.latency_ms]
    worth.sort(key=lambda o: -gains[o])
    rows = [_row(o, base, estimate(o.graph, target, values), loss.of(o.plans, o.block)) for o in worth[:_LOOKED_AT]]
    ranked = sorted(zip(rows, worth, strict=False), key=lambda pair: -float(str(pair[0]["gain_per_loss"])))
    for (one, a), (two, b) in combinations(ranked[:_PAIRED], 2):
        both = option(graph, target, (*a.steps, *b.steps)) if type(a.steps[0]) is not type(b.steps[0]) else None
        if both is None:
            continue
        lost = (float(str(one["loss"])) ** 2 + float(str(two["loss"])) ** 2) ** 0.5
        row = _row(both, base, estimate(both.graph, target, values), lost)
        if -float(str(row["latency_ms"])) > _MORE * (gains[a] + gains[b]):
            rows.append(row)
    table = pd.DataFrame([row for row in rows if row["complete"]], columns=list(_COLUMNS))
    table = table.sort_values("gain_per_loss", ascending=False, ignore_index=True).head(n)
    return table.drop(columns="complete")


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
        "steps": option.steps,
        "what": " + ".join(map(describe, option.steps)),
        "latency_ms": change,
        "latency_percent": percent,
        "sram_bytes": after.sram_bytes - base.sram_bytes,
        "params": after.params - base.params,
        "loss": loss,
        "gain_per_loss": -percent / max(loss, _LEAST_LOSS),
        "complete": len(after.cpu_ops) <= len(base.cpu_ops),
    }
