"""Candidates of a space: drawn, bred, or found by the integer program, and planned on the network.

    n[s]       choice of slot s, its number; 0 keeps the slot as it is
    p          price, ms: the network's plus what each choice changes alone (`space.prices`), known of every candidate
    e[s, k]^2  what choice k of slot s loses alone; losses of several slots are taken to add up (`advice.edit_price`)

Prices and losses that add up say where to look. What is planned is estimated whole, and only that is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..advice.edit_price import edit_price
from ..choices import Bound, choose
from ..errors import NotApplicable, UnknownName
from ..estimators import Budgets, Estimate, WeightValues, estimate
from ..graph import Graph
from ..hardware import Target
from ..space import Prices, Space, option
from ..surgery.losses import Losses
from ..transforms import compose
from .fronts import front

__all__ = ["Candidates", "Numbers", "additive_losses", "costs_of"]

Numbers = tuple[int, ...]

DRAWN = 4_000  # candidates drawn, of which those that promise most are kept: cheap, as prices and losses add up
_TRIES = 64
_LARGEST = 1e3  # a loss that is not finite: the edited module does not run


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a study's candidates are made of.

    values: how the weights are distributed. losses: e^2 [slots, choices], nan where a slot has no such choice.
    """

    space: Space
    graph: Graph
    target: Target
    values: WeightValues
    prices: Prices
    losses: np.ndarray
    budgets: Budgets

    # ---- planned ---------------------------------------------------------------------------------------------------

    def planned(self, numbers: Numbers) -> tuple[str, Mapping[str, float]] | None:
        """Digest of the candidate's network and its costs; None where it does not apply or misses a budget."""
        try:
            steps = compose(self.space.candidate(numbers).transforms, self.graph, self.target)
        except (NotApplicable, UnknownName):  # the latter where another choice took the block out
            return None
        graph = steps[-1].graph if steps else self.graph
        whole = estimate(graph, self.target, self.values)
        return None if any(numbers) and self.budgets.missed(whole) else (graph.digest, costs_of(whole))

    def latency_ms(self, candidates: np.ndarray) -> np.ndarray:
        """Price of candidates [n, slots], ms."""
        return self.prices.latency_ms(candidates)

    def loss(self, candidates: np.ndarray) -> np.ndarray:
        """Loss of candidates [n, slots]: the root of the summed squares."""
        return np.asarray(np.sqrt(self.losses[np.arange(candidates.shape[1]), candidates].sum(1)))

    @property
    def unedited(self) -> Numbers:
        return (0,) * len(self.space.slots)

    # ---- drawn -----------------------------------------------------------------------------------------------------

    def drawn(self, count: int, rng: np.random.Generator) -> list[Numbers]:
        """Drawn by chance, spread evenly over the ranks of their prices.

        How many slots are edited is drawn first: where all choices were equally likely, nearly every slot would be.
        """
        sample = self._sample(max(8 * count, 64), rng)
        ranked = sample[np.argsort(self.latency_ms(sample), kind="stable")]
        places = np.unique(((np.arange(count) + rng.random(count)) / max(count, 1) * len(ranked)).astype(int))
        return [_numbers(row) for row in ranked[np.minimum(places, len(ranked) - 1)]]

    def promising(self, count: int, rng: np.random.Generator) -> list[Numbers]:
        """The best of many drawn by chance: front after front of price and loss."""
        sample = self._sample(DRAWN, rng)
        return [_numbers(sample[i]) for i in peeled(self.latency_ms(sample), -self.loss(sample), count)]

    def twins(self, count: int, rng: np.random.Generator) -> list[Numbers]:
        """One edit alone each, of different slots first."""
        edits = [(s, k) for s, width in enumerate(self.space.widths) for k in range(1, width)]
        order = [edits[i] for i in rng.permutation(len(edits))]
        rank: dict[int, int] = {}
        rounds = [rank.setdefault(s, -1) for s, _ in order]
        for place, (slot, _) in enumerate(order):
            rank[slot] += 1
            rounds[place] = rank[slot]
        chosen = [order[i] for i in np.argsort(rounds, kind="stable")[:count]]
        return [_replaced(self.unedited, slot, choice) for slot, choice in chosen]

    def _sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        widths = np.array(self.space.widths)
        edited = rng.random((count, len(widths))) < rng.random((count, 1))
        numbers = 1 + (rng.random((count, len(widths))) * (widths - 1)).astype(int)
        return np.where(edited & (widths > 1), numbers, 0)

    # ---- bred ------------------------------------------------------------------------------------------------------

    def crossed(self, mother: Numbers, father: Numbers, rng: np.random.Generator) -> Numbers:
        """Every slot from either parent."""
        return tuple(m if coin else f for m, f, coin in zip(mother, father, rng.random(len(mother)) < 0.5, strict=True))

    def mutated(self, parent: Numbers, rng: np.random.Generator, tries: int = 8) -> Numbers:
        """One slot changed, to what no other of a few changes beats in both price and loss."""
        open_slots = [s for s, width in enumerate(self.space.widths) if width > 1]
        changed = []
        for slot in rng.choice(open_slots, tries):
            others = [k for k in range(self.space.widths[slot]) if k != parent[slot]]
            changed.append(_replaced(parent, int(slot), int(rng.choice(others))))
        rows = np.array(changed)
        return changed[int(rng.choice(front(self.latency_ms(rows), -self.loss(rows))))]

    # ---- by the integer program ----------------------------------------------------------------------------------

    def programmed(self, count: int) -> list[Numbers]:
        """The least loss at prices spread between the cheapest and the network's own, exactly, where both add up.

        Half of them without a choice for the network as a whole, whose changes add up with those of blocks least; the
        others under one such choice after the other.
        """
        wholes = [s for s, slot in enumerate(self.space.slots) if not slot.block]
        fixed = [dict.fromkeys(wholes, 0)]
        fixed += [{**fixed[0], s: k} for s in wholes for k in range(1, self.space.widths[s])]
        shares = np.linspace(0.95, 0.05, max(2, count // 2))
        answers = [self._program(share, fixed[0]) for share in shares[: (count + 1) // 2]]
        others = fixed[1:] or fixed
        coarse = np.linspace(0.9, 0.1, max(1, -(-count // (2 * len(others)))))
        answers += [self._program(share, slots) for share in coarse for slots in others]
        return list(dict.fromkeys(answer for answer in answers if answer is not None))[:count]

    def _program(self, share: float, fixed: Mapping[int, int]) -> Numbers | None:
        """The least loss at a price that is `share` of the way from the cheapest, as the fixed slots stand, up to the
        network's own. fixed: the choice of every slot of the network: its factor scales what blocks add up to, as in
        `Prices`, and where it stands the price is linear in the choices of blocks.
        """
        base = float(self.prices.base[0])
        widths = self.space.widths
        factor = float(np.prod([1 + self.prices.changes[0, s, k] / base for s, k in fixed.items()]))
        changes = [
            np.zeros(width) if s in fixed else self.prices.changes[0, s, :width] / base
            for s, width in enumerate(widths)
        ]
        forbidden = [[s in fixed and k != fixed[s] for k in range(width)] for s, width in enumerate(widths)]
        cheapest = factor * (1 + sum(float(row.min()) for row in changes))
        limits = [cheapest + share * max(0.0, 1 - cheapest)]
        if self.budgets.latency_ms is not None:
            limits.append(self.budgets.latency_ms / base)
        amounts = [row.tolist() for row in changes]
        costs = [self.losses[s, :width].tolist() for s, width in enumerate(widths)]
        # milliseconds are enough: a loss of a thousandth more changes no ranking
        return choose(costs, [Bound(amounts, limit / factor - 1) for limit in limits], forbidden, gap=1e-3)

    @cached_property
    def labels(self) -> list[list[str]]:
        return [[choice.label for choice in slot.choices] for slot in self.space.slots]


def additive_losses(space: Space, graph: Graph, target: Target, losses: Losses | None) -> np.ndarray:
    """e^2 of every choice alone, [slots, choices]; nan where a slot has no such choice.

    losses: of edits of the network; None where its weights are untrained: the share of the arithmetic that goes.
    """
    squares = np.full((len(space.slots), max(space.widths, default=1)), np.nan)
    for s, slot in enumerate(space.slots):
        for k, choice in enumerate(slot.choices):
            alone = option(graph, target, choice, slot.block) if choice.transforms else None
            squares[s, k] = 0.0 if alone is None else min(edit_price(graph, alone, losses), _LARGEST) ** 2
    return squares


def costs_of(whole: Estimate) -> dict[str, float]:
    """Figures of an estimate by name, the latency's interval among them."""
    low, high = whole.latency_interval_ms
    return {**whole.totals(), "latency_low": low, "latency_high": high}


def peeled(price: np.ndarray, value: np.ndarray, count: int) -> list[int]:
    """The numbers of `count` candidates: those of the front, those of the front without them, and so on.

    >>> peeled(np.array([1.0, 2.0, 1.5, 3.0]), np.array([1.0, 3.0, 0.5, 2.0]), 3)
    [0, 1, 2]
    """
    left = np.arange(len(price))
    order: list[int] = []
    while len(left) and len(order) < count:
        layer = front(price[left], value[left])
        order += left[layer].tolist()
        left = np.delete(left, layer)
    return order[:count]


def _numbers(row: Sequence[int] | np.ndarray) -> Numbers:
    return tuple(int(number) for number in row)


def _replaced(numbers: Numbers, slot: int, choice: int) -> Numbers:
    return (*numbers[:slot], choice, *numbers[slot + 1 :])
