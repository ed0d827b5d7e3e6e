"""A network whose blocks have options, each with its price, and the integer program that takes one of each block.

With t the change of latency, w of weights, e the price, m the most feature maps alive in the block, each of an option c
of a block b alone (c = 0: as it is), an integer program (`choices.py`) solves

    min  sum e[b,c]^2 x[b,c]      so that   sum_c x[b,c] = 1,   sum t x <= T,   sum w x <= W,   m[b,c] > M: x[b,c] = 0

Latencies and weights nearly add up over blocks; memory is a maximum over them. What does not add up shows when the
whole is estimated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..choices import Bound, choose
from ..estimators import Budgets, Estimate, WeightValues, alone, delta_ms, estimate, weight_values
from ..graph import Graph
from ..space import Choice, Option, block_options, option
from ..state import State
from ..transforms import Transform
from .live_bytes import live_bytes

__all__ = [
    "Met",
    "PricedNetwork",
    "Row",
    "Steps",
    "assembled",
    "cheapest",
    "fastest",
    "planned_values",
    "priced_network",
]

_TOO_MUCH = 1.5  # an option that loses more than a function that is nothing to do with the block's is none
_SLACK = 1e-9

Steps = tuple[Transform, ...]


@dataclass(frozen=True)
class Met:
    """Steps that meet the budgets by the estimate, and the loss they are predicted to cost.

    parts: the steps that belong together, a part each: those on the whole network first, then those of one block.
    price: the loss (relative error), or, of untrained weights, the root of the share of arithmetic lost.
    """

    parts: tuple[Steps, ...]
    price: float
    estimate: Estimate

    @property
    def steps(self) -> Steps:
        return tuple(step for part in self.parts for step in part)


@dataclass(frozen=True)
class Row:
    """An option of a block (None: as it is) and what it changes."""

    option: Option | None
    price: float
    latency_ms: float
    params: int
    live_bytes: int


@dataclass(frozen=True)
class PricedNetwork:
    """A network, narrowed or not, and the options of its blocks, the first always as it is.

    transforms, price: those that narrowed it, and what they cost.
    """

    transforms: Steps
    price: float
    graph: Graph
    blocks: tuple[tuple[Row, ...], ...]
    estimate: Estimate

    def without(self, refused: Sequence[Steps]) -> "PricedNetwork":
        """The network without these options."""
        blocks = (
            tuple(row for row in rows if row.option is None or row.option.transforms not in refused)
            for rows in self.blocks
        )
        return replace(self, blocks=tuple(blocks))


def planned_values(state: State) -> WeightValues:
    """How weights are taken to be distributed while options are compared: untrained ones do not decide."""
    return weight_values(state.graph, None) if state.untrained else state.weight_values


def priced_network(
    state: State, narrowed: Option, narrowing: float, prices: Mapping[tuple[str, str], float], memory: bool
) -> PricedNetwork:
    """The network narrowed, with the options of its blocks that are worth a look.

    narrowing: its price. prices: of each block's options. memory: whether feature maps matter, so that every option is
    estimated whole.
    """
    target, values = state.target, planned_values(state)
    plain = alone(narrowed.graph, target, values) if state.untrained else None  # as before anything was compiled
    whole = plain or estimate(narrowed.graph, target, values)
    live = live_bytes(narrowed.graph, whole) if memory else {}
    blocks = []
    for block, options in block_options(narrowed.graph, target).items():
        rows = [Row(None, 0.0, 0.0, 0, live.get(block, 0))]
        for o in options:
            price = prices.get(o.key, float("inf"))
            if price <= _TOO_MUCH:
                alive = live_bytes(o.graph, estimate(o.graph, target, values)).get(block, 0) if memory else 0
                change = delta_ms(narrowed.graph, o.graph, target, values)
                rows.append(Row(o, price, change, o.graph.params - narrowed.graph.params, alive))
        blocks.append(tuple(rows))
    return PricedNetwork(narrowed.transforms, narrowing, narrowed.graph, tuple(blocks), whole)


def fastest(network: PricedNetwork, most: float | None = None) -> tuple[int, ...] | None:
    """The options of the least latency, per block its number; None where no choice keeps the prices' sum to `most`."""
    return choose(_latencies(network), [] if most is None else [_price_bound(network, most)])


def cheapest(network: PricedNetwork, budgets: Budgets) -> tuple[int, ...] | None:
    """The options of the least price, per block its number; None where no choice meets the budgets."""
    whole = network.estimate
    latency = [[row.latency_ms for row in rows] for rows in network.blocks]
    cost = [  # among equal prices the faster
        [row.price**2 + 1e-6 * share for row, share in zip(rows, shares, strict=True)]
        for rows, shares in zip(network.blocks, _latencies(network), strict=True)
    ]
    bounds = []
    if budgets.latency_ms is not None:
        bounds.append(Bound(latency, budgets.latency_ms - whole.latency_ms))
    if budgets.model_kib is not None:
        bytes_each = whole.weight_bytes / max(network.graph.params, 1)
        left = (budgets.model_kib * 1024 - whole.weight_bytes) / bytes_each
        bounds.append(Bound([[row.params for row in rows] for rows in network.blocks], left))
    forbidden = None
    if budgets.sram_kib is not None:
        # cascades keep less alive than the feature maps of their steps; the share is taken to stay
        share = max(whole.peak_activation_bytes, 1) / max(whole.sram_bytes, 1)
        most = budgets.sram_kib * 1024 * share + _SLACK
        forbidden = [[row.live_bytes > most for row in rows] for rows in network.blocks]
    return choose(cost, bounds, forbidden)


def _latencies(network: PricedNetwork) -> list[list[float]]:
    """What each option changes of the latency, a share of the whole's; times 1e-6 it never outweighs a price."""
    return [[row.latency_ms / max(network.estimate.latency_ms, 1e-9) for row in rows] for rows in network.blocks]


def _price_bound(network: PricedNetwork, most: float) -> Bound:
    """Prices add up to at most so much, in hundredths of the score, as the solver tells sums apart."""
    return Bound([[100 * row.price for row in rows] for rows in network.blocks], 100 * most)


def assembled(state: State, network: PricedNetwork, chosen: tuple[int, ...]) -> Met:
    """The plan of the options chosen, a number per block, estimated as a whole."""
    rows = [rows[c] for rows, c in zip(network.blocks, chosen, strict=True)]
    parts = tuple(row.option.transforms for row in rows if row.option is not None)
    taken = option(network.graph, state.target, Choice("", tuple(step for part in parts for step in part)))
    assert taken is not None, "options of different blocks do not exclude each other"
    price = (network.price**2 + sum(row.price**2 for row in rows)) ** 0.5
    parts = (network.transforms, *parts) if network.transforms else parts
    return Met(parts, price, estimate(taken.graph, state.target, state.weight_values))
