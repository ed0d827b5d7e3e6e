"""What is trained next: four strategies over one pool of candidates.

    zero-shot     scores without training rank the pool; the trials go to their fronts with the price
    single-shot   a supernet's ranking in their place
    multishot     evolution: each child is bred from trained candidates of the fronts, and trained
    hybrid        a pool from the integer program and the prices, ranked by what costs no training; then the engine
                  (`engine.py`) pays for what is expected to add most to the front, and children of the front join it

Each begins with the unedited network, trained as long as the others; part of the trials are controls, which nothing
favours: drawn at random, and one edit alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..forecast.zero_shot import TOGETHER, rank_together
from .candidates import Candidates, Numbers, peeled
from .engine import REFIT, first_rows, next_row
from .options import Options
from .row import Row
from .surrogate import Pool, fit

__all__ = ["CHILDREN", "Proposal", "Strategy", "View", "strategy_of", "together"]

CHILDREN = 8  # of the hybrid's front, after every REFIT trained ones
_BRED = 200  # attempts at a child that is not in the ledger yet
_AGREEMENT = 0.3  # Spearman between a score and the accuracies, from which on it is a feature


class Proposal(NamedTuple):
    """A candidate to be added. kind: one of `row.KINDS`."""

    numbers: Numbers
    kind: str


@dataclass(frozen=True)
class View:
    """What a strategy sees: the ledger as it is now."""

    rows: Sequence[Row]
    candidates: Candidates
    options: Options

    @cached_property
    def rng(self) -> np.random.Generator:
        """Drawn from alike whenever as many are trained and stored, so that a search goes on as it would have."""
        return np.random.default_rng([self.options.seed, len(self.finished), len(self.rows)])

    @cached_property
    def finished(self) -> list[Row]:
        return [row for row in self.rows if row.state in ("trained", "stopped")]

    @cached_property
    def trained(self) -> list[Row]:
        return [row for row in self.rows if row.trained]

    @cached_property
    def waiting(self) -> list[Row]:
        return [row for row in self.rows if row.state == "waiting"]

    @property
    def price(self) -> str:
        """The cost that is looked at now: one after another, where there are several."""
        costs = self.options.costs
        return costs[len(self.finished) % len(costs)] if costs else ""

    def prices(self, rows: Sequence[Row]) -> np.ndarray:
        return np.array([row.costs[self.price] if self.price else 0.0 for row in rows])

    def controls(self) -> list[Proposal]:
        """The candidates that nothing favours, random ones and twins alike."""
        count = round(self.options.controls * self.options.trials)
        rng = np.random.default_rng([self.options.seed, 1])
        twins = [Proposal(numbers, "twin") for numbers in self.candidates.twins(count // 2, rng)]
        return twins + [Proposal(n, "random") for n in self.candidates.drawn(count - count // 2, rng)]


class Strategy(ABC):
    """What is added to the pool, and what of it is trained next."""

    @property
    @abstractmethod
    def scores(self) -> tuple[str, ...]:
        """What the candidates are ranked by, before any is trained."""

    @abstractmethod
    def pool(self, view: View) -> Iterator[Proposal]:
        """Candidates to begin with, in order."""

    @abstractmethod
    def due(self, view: View) -> int:
        """How many children are to be added before the next candidate is chosen."""

    @abstractmethod
    def children(self, view: View) -> Iterator[Proposal]:
        """Candidates to add then: the first that applies and is new, and so on."""

    @abstractmethod
    def next(self, view: View) -> Row | None:
        """The waiting candidate to train next; None where there is none."""


@dataclass(frozen=True)
class Ranked(Strategy):
    """The pool's candidates by the fronts of one score and the price."""

    score: str

    @property
    def scores(self) -> tuple[str, ...]:
        return (self.score,)

    def pool(self, view: View) -> Iterator[Proposal]:
        return _initial(view)

    def due(self, view: View) -> int:
        return 0

    def children(self, view: View) -> Iterator[Proposal]:
        return iter(())

    def next(self, view: View) -> Row | None:
        if (first := _first_of(view.waiting, ("unedited", "twin", "random"))) is not None:
            return first
        if not view.waiting:
            return None
        values = together(view.waiting) if self.score == "zero_shot" else _scores(view.waiting, self.score)
        return view.waiting[peeled(view.prices(view.waiting), values, 1)[0]]


@dataclass(frozen=True)
class Evolution(Strategy):
    """Fronts of trained candidates breed; what is bred is trained."""

    @property
    def scores(self) -> tuple[str, ...]:
        return ()

    def pool(self, view: View) -> Iterator[Proposal]:
        yield Proposal(view.candidates.unedited, "unedited")
        yield from view.controls()
        first = max(2, view.options.trials // 6)
        yield from (Proposal(numbers, "program") for numbers in view.candidates.programmed(first))
        promising = view.candidates.promising(first, np.random.default_rng([view.options.seed, 2]))
        yield from (Proposal(numbers, "drawn") for numbers in promising)

    def due(self, view: View) -> int:
        return 0 if view.waiting else 1

    def children(self, view: View) -> Iterator[Proposal]:
        return _children(view)

    def next(self, view: View) -> Row | None:
        return view.waiting[0] if view.waiting else None


@dataclass(frozen=True)
class Hybrid(Strategy):
    """See the head of this file. rankings: scores at hand beside the zero-shot ones."""

    rankings: tuple[str, ...] = ()

    @property
    def scores(self) -> tuple[str, ...]:
        return ("zero_shot", *self.rankings)

    def pool(self, view: View) -> Iterator[Proposal]:
        return _initial(view)

    def due(self, view: View) -> int:
        bred = sum(row.kind in ("crossover", "mutation") for row in view.rows)
        return max(0, CHILDREN * ((len(view.finished) - _design(view)) // REFIT) - bred)

    def children(self, view: View) -> Iterator[Proposal]:
        return _children(view)

    def next(self, view: View) -> Row | None:
        if (first := _first_of(view.waiting, ("unedited", "twin", "random"))) is not None:
            return first
        rows = [row for row in view.rows if row.state != "failed"]
        places = {row.number: place for place, row in enumerate(rows)}
        price = view.prices(rows)
        paid = [row for row in rows if row.state != "waiting"]
        pool = Pool.of(_table(view, rows), price)
        design = _design(view)
        if len(paid) < design:
            # spread over choices and prices, beside the controls; by chance more where those are few
            chosen = first_rows(pool, price, 3 * design, view.options.seed)
            waiting = [place for place in chosen if rows[place].state == "waiting"]
            if waiting:
                return rows[waiting[0]]
        if not view.waiting:
            return None
        if len(paid) < design:
            return view.waiting[0]
        values = _values(view, paid)
        indices = np.array([places[row.number] for row in paid])
        surrogate = fit(pool, indices, values)
        return rows[next_row(pool, price, indices, values, surrogate)]


def strategy_of(name: str, rankings: Iterable[str] = ()) -> Strategy:
    """The strategy of a name. rankings: names of further scores at hand, which the hybrid looks at, too."""
    if name == "hybrid":
        return Hybrid(tuple(rankings))
    if name == "multishot":
        return Evolution()
    return Ranked("zero_shot" if name == "zero-shot" else "supernet")


def together(rows: Sequence[Row]) -> np.ndarray:
    """One number a candidate from its zero-shot scores, by its ranks among these (`rank_together`)."""
    columns = {name: _scores(rows, f"zero_shot/{name}") for name in TOGETHER}
    return rank_together(pd.DataFrame(columns)).to_numpy()


# ---- the pool ------------------------------------------------------------------------------------------------------


def _initial(view: View) -> Iterator[Proposal]:
    """The unedited network, the controls, the integer program's answers, and drawn ones that promise much."""
    yield Proposal(view.candidates.unedited, "unedited")
    yield from view.controls()
    size = view.options.pool_size
    yield from (Proposal(numbers, "program") for numbers in view.candidates.programmed(max(4, size // 4)))
    rng = np.random.default_rng([view.options.seed, 2])
    spread = [Proposal(numbers, "drawn") for numbers in view.candidates.drawn(size, rng)]
    promising = [Proposal(numbers, "drawn") for numbers in view.candidates.promising(2 * size, rng)]
    for place, proposal in enumerate(promising):  # every third without regard to losses, which rank flips belie
        if place % 2 == 0 and spread:
            yield spread.pop(0)
        yield proposal
    yield from spread


def _children(view: View) -> Iterator[Proposal]:
    """Children of candidates on the fronts of price and accuracy: crossed, mutated, or both."""
    if len(view.trained) < 2:
        yield from (Proposal(numbers, "drawn") for numbers in view.candidates.drawn(_BRED, view.rng))
        return
    accuracy = np.array([row.accuracy for row in view.trained])
    ranks = peeled(view.prices(view.trained), accuracy, len(view.trained))
    for _ in range(_BRED):
        # of three drawn the one of the better front
        mother, father = (view.trained[ranks[view.rng.integers(0, len(ranks), 3).min()]].choices for _ in range(2))
        if view.rng.random() < 0.5 and mother != father:
            yield Proposal(view.candidates.crossed(mother, father, view.rng), "crossover")
        else:
            yield Proposal(view.candidates.mutated(mother, view.rng), "mutation")


# ---- what the engine sees --------------------------------------------------------------------------------------------


def _design(view: View) -> int:
    """How many candidates are trained before the engine chooses, the unedited one and the controls among them."""
    controls = 1 + round(view.options.controls * view.options.trials)
    return min(view.options.trials, max(4, controls, view.options.trials // 3))


def _table(view: View, rows: Sequence[Row]) -> pd.DataFrame:
    """A row a candidate: its choices, and the scores that agree with the accuracies so far."""
    labels = view.candidates.labels
    table: dict[str, Any] = {
        f"slot {s}": [names[row.choices[s]] for row in rows] for s, names in enumerate(labels)
    }
    trained = [place for place, row in enumerate(rows) if row.trained]
    accuracy = pd.Series([rows[place].accuracy for place in trained])
    for name, values in _features(rows).items():
        own = pd.Series(values[trained])
        if len(trained) >= 2 * REFIT and own.nunique() > 1 and own.corr(accuracy, "spearman") > _AGREEMENT:
            table[name] = values
    return pd.DataFrame(table)


def _features(rows: Sequence[Row]) -> Mapping[str, np.ndarray]:
    """Scores of candidates by name, those that all of them have."""
    names = set.intersection(*(set(row.scores) for row in rows))
    features = {name: _scores(rows, name) for name in sorted(names) if not name.startswith("zero_shot/")}
    if all(f"zero_shot/{name}" in names for name in TOGETHER):
        features["together"] = together(rows)
    return features


def _values(view: View, paid: Sequence[Row]) -> np.ndarray:
    """Accuracies; of those still in training, or stopped, what the trained ones of nearest price have in the mean.

    A stopped one counts as its first epoch where that is less (constant liar: Ginsbourger et al. 2010, "Kriging is
    well-suited to parallelize optimization").
    """
    prices, own = view.prices(view.trained), view.prices(paid)
    accuracy = np.array([row.accuracy for row in view.trained])
    values = []
    for row, price in zip(paid, own, strict=True):
        nearest = accuracy[np.argsort(np.abs(prices - price), kind="stable")[:3]]
        expected = float(nearest.mean()) if len(nearest) else 0.0
        if row.trained:
            values.append(row.accuracy)
        elif row.state == "stopped":
            values.append(min(expected, float(row.result.get("first_epoch", expected))))
        else:
            values.append(expected)
    return np.array(values)


def _scores(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row.scores.get(name, float("nan")) for row in rows])


def _first_of(rows: Sequence[Row], kinds: Sequence[str]) -> Row | None:
    return next((row for kind in kinds for row in rows if row.kind == kind), None)

