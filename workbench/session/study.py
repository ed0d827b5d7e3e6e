"""A study: a search's ledger in its storage, what it says, and what its drivers are told."""

import json
import time
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any, Generic

import pandas as pd

from ..errors import WorkbenchError, unknown
from ..estimators import Budgets, estimate
from ..hardware import Target, resolve
from ..progress import shown
from ..recipe import Recipe, to_step
from ..report.study_figures import StudyPicture, study_picture
from ..search.candidates import costs_of
from ..search.comparison import front_rows, front_table
from ..search.effects import effects
from ..search.loop import scores_of
from ..search.options import Options
from ..search.row import Row, slot_names
from ..search.storage import Store, this_process
from ..search.strategies import together
from ..space import Space
from ..state import AnyState, Learned, read_weights
from ..transforms import Transform, compose
from .carry_out import carry_out, start
from .searched import Searched
from .status import Status, kill, status_of

__all__ = ["Study", "study_of"]

_SECOND = 1.0  # a driver that was told to end may take so long
_LOOK = 0.2


@dataclass(frozen=True, eq=False, repr=False)
class Study(Generic[AnyState]):
    """One search with its ledger, read anew from the storage whenever it is asked.

    searched: what it stands on. target: what the costs are of; `on` gives the study for another. budgets: that the
    front keeps to.
    """

    searched: Searched[AnyState]
    target: Target
    budgets: Budgets
    _costs: dict[str, Mapping[str, float]] = field(default_factory=dict)

    # ---- what it says -----------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        return self.searched.store

    @property
    def session(self) -> AnyState:
        """What the candidates are edits of, as it was when the search began."""
        return self.searched.session

    @property
    def space(self) -> Space:
        return self.searched.space

    @property
    def options(self) -> Options:
        return self.searched.options

    @property
    def task(self) -> str:
        """Name or folder."""
        return self.searched.task

    @property
    def name(self) -> str:
        return self.store.name

    @property
    def storage(self) -> str:
        """What `workbench.attach` opens it by."""
        return self.store.url

    @property
    def rows(self) -> list[Row]:
        """The candidates, costs on the study's target."""
        rows = self.store.rows()
        return rows if self._own_target else [replace(row, costs=self._costs_of(row)) for row in rows]

    @property
    def ledger(self) -> pd.DataFrame:
        """Every candidate with every figure, by trial.

        kind (why it was added: "unedited", "twin", "random", "program", "drawn", "crossover", "mutation"), state;
        accuracy with its 95 % interval low to high, loss, pictures (validation), first_epoch, fitted_accuracy, epochs,
        seed, seconds (trained); latency_ms with its 90 % interval, sram_bytes, ... (estimated, on the study's target);
        zero_shot/NAME, together (their common rank among all), and further scores; test_accuracy, test_low, test_high
        (of the front alone); graph (digest), reason (why it failed or was stopped), steps (hand them to `apply`),
        transforms (the same as JSON, as recipes write it), and a column a slot with the label of its choice.
        """
        rows = self.rows
        frame = pd.DataFrame([self._figures(row) for row in rows]).set_index("trial") if rows else pd.DataFrame()
        scored = [row for row in rows if "zero_shot/naswot" in row.scores]
        if scored:
            frame["together"] = pd.Series(together(scored), index=[row.number for row in scored])
        return frame

    @property
    def front(self) -> pd.DataFrame:
        """The candidates that no other beats in one objective and equals in the others, by rising cost.

        Chosen by accuracy on validation pictures: accuracy, low, high (95 %); same_as, the cheapest candidate of the
        front whose accuracy these pictures do not tell from this one's, <NA> where it is more accurate than all of
        them; difference to the one before, and against_unedited, in points, picture by picture. latency_ms ... macs
        (estimated). test_accuracy, test_low, test_high: reported once, of the front alone; NaN until the search has
        ended. steps: hand them to `apply`; `adopt` takes the index, the trial.
        """
        rows = self.rows
        front = front_rows(rows, self.options.costs, self.budgets)
        unedited = next((row for row in rows if row.kind == "unedited"), None)
        table = front_table(front, unedited, scores_of(self.store))
        table["steps"] = pd.Series({row.number: self._transforms(row) for row in front}, dtype=object)
        return table

    def explain(self) -> pd.DataFrame:
        """Where the gain comes from: what each choice adds to the accuracy, with its interval, and to the first cost.

        See `search.effects.effects`; few trained candidates leave wide intervals.
        """
        return effects(self.rows, self.space, (*self.options.costs, "latency_ms")[0])

    def plot(self) -> StudyPicture:
        """The front with intervals and budgets, and how candidates rank from score to score, up to what was trained."""
        costs = (*self.options.costs, "latency_ms")
        return study_picture(self.ledger, self.front, costs[0], self.target.name, vars(self.budgets), self._title)

    def adopt(self, trial: int) -> AnyState:
        """The session with a candidate's steps and the weights it was trained to; each a change for `undo`.

        trial: its number, the index of `front` and `ledger`. A candidate that was not trained comes without weights.
        Raises InputError where there is no such candidate, FileFormatError where its weights are missing or damaged.
        """
        row = next((row for row in self.store.rows() if row.number == trial), None)
        if row is None:
            raise unknown("trial", trial, [str(row.number) for row in self.store.rows()])
        session = self.searched.base
        if transforms := self._transforms(row):
            session = session.apply(Recipe(f"{self.name}, trial {row.number}", transforms))
        if name := row.result.get("weights"):
            weights = read_weights(self.store.kept(name), name)
            facts = {key: row.result[key] for key in ("low", "high", "pictures")}
            last = {"epoch": row.result["epochs"], "score": row.result["accuracy"], **facts}
            session = session.after(Learned(session.graph, weights, row.result["source"], (last,)))
        return session if self._own_target else session.on(self.target)

    def on(self, target: str | Target, budgets: Mapping[str, float] | None = None) -> "Study[AnyState]":
        """The same candidates, costs estimated on another target; nothing is trained. budgets: that its front keeps to.

        Accuracy does not depend on the target. What was searched for one is not the best for another: what was trained
        is what there is to choose from.
        """
        return replace(self, target=resolve(target), budgets=Budgets(**(budgets or {})), _costs={})
    # ---- how it runs ------------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """Where the search stands."""
        return status_of(self.store, self.options.trials)

    def wait(self, timeout_s: float | None = None) -> Status:
        """Until the search ends, or for so long; a bar shows how far it is. WorkbenchError where it failed."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with shown("searching:") as progress:
            while not (status := self.status).ended and (end is None or time.monotonic() < end):
                done = status.trained + status.stopped + status.failed
                progress(f"{status.stage} {status.text}", done, status.trials)
                self._sleep(end)
        if status.stage == "failed":
            raise WorkbenchError(f"the search failed: {status.text}")
        if status.stage == "stopped":
            raise WorkbenchError(f"nothing drives the search any more; resume() goes on. {self._log_tail()}".strip())
        return status

    def resume(self, executor: Executor | None = None, block: bool = False) -> "Study[AnyState]":
        """Go on, after a pause or whatever ended the search; trials that were under way are trained again.

        executor: trains for a search in this process, beside the drivers that there are: several machines, one storage
        and one WORKBENCH_HOME make a team. Where not given, a process drives it as before. block: wait for the end.
        """
        self.store.note("request", "run")
        if executor is not None or self.session.base.custom:
            with ExitStack() as stack:
                pool = executor or stack.enter_context(ThreadPoolExecutor(1))
                carry_out(self.searched, pool, stack.enter_context(shown("searching:")))
            return self
        if not self.store.drivers():
            start(self.store)
        if block:
            try:
                self.wait()
            except KeyboardInterrupt:
                self.cancel()
                raise
        return self

    def _sleep(self, end: float | None) -> None:
        """Until a driver says something new, or none is left; the ledger is not read for that."""
        status = self.store.attributes.get("status")
        while end is None or time.monotonic() < end:
            time.sleep(_LOOK)
            if self.store.attributes.get("status") != status or not self.store.drivers():
                return

    def pause(self) -> None:
        """Train nothing new until `resume`; what is in training is finished."""
        self.store.note("request", "pause")

    def cancel(self) -> None:
        """End within a second: what is in training is lost and waits again; `resume` goes on."""
        if self.status.ended:
            return
        self.store.note("request", "cancel")
        own, end = this_process(), time.monotonic() + _SECOND
        while (drivers := self.store.drivers()) and time.monotonic() < end:
            time.sleep(_LOOK / 2)
        for driver in drivers:
            if driver != own and driver.ended is False:
                kill(driver)
                self.store.return_lost(driver)
                self.store.end(driver)
        self.store.note("status", {"stage": "cancelled", "text": ""})

    @property
    def log(self) -> str:
        """What its driver process wrote."""
        path = self.store.folder / "driver.log"
        return path.read_text("utf-8", "replace") if path.is_file() else ""

    def __repr__(self) -> str:
        return f"<Study {self.name} ({self.options.strategy}) at {self.storage}: {self.status}>"

    def _repr_html_(self) -> str:
        return self.plot()._repr_html_()

    # ---- beside -----------------------------------------------------------------------------------------------------

    @property
    def _own_target(self) -> bool:
        return self.target == self.session.target

    @property
    def _title(self) -> str:
        return f"{self.session.model_name} on {self.target.name}, {self.options.strategy}: {self.status}"

    def _log_tail(self) -> str:
        lines = self.log.strip().splitlines()
        return f"The last line of its log: {lines[-1]}" if lines else ""

    def _transforms(self, row: Row) -> tuple[Transform, ...]:
        return self.space.candidate(row.choices).transforms

    def _costs_of(self, row: Row) -> Mapping[str, float]:
        """Estimated on the study's target; the candidate is the network that was planned for the session's."""
        if row.graph not in self._costs:
            base = self.searched.base
            steps = compose(self._transforms(row), base.graph, base.target)
            graph = steps[-1].graph if steps else base.graph
            self._costs[row.graph] = costs_of(estimate(graph, self.target, base.weight_values))
        return self._costs[row.graph]

    def _figures(self, row: Row) -> dict[str, Any]:
        trained = ("accuracy", "low", "high", "loss", "pictures", "first_epoch", "fitted_accuracy", "epochs", "seed")
        transforms = self._transforms(row)
        return {
            "trial": row.number,
            "kind": row.kind,
            "state": row.state,
            **{name: row.result.get(name, nan) if row.trained else nan for name in (*trained, "seconds")},
            **row.costs,
            **row.scores,
            **{f"test_{name}": row.test.get(name, nan) for name in ("accuracy", "low", "high")},
            "graph": row.graph,
            "reason": row.reason,
            "steps": transforms,
            "transforms": json.dumps([to_step(transform) for transform in transforms]),
            **{
                name: slot.choices[number].label
                for name, slot, number in zip(slot_names(self.space), self.space.slots, row.choices, strict=True)
            },
        }


def study_of(searched: Searched[AnyState]) -> Study[AnyState]:
    """The study, costs on the target it was searched for."""
    return Study(searched, searched.session.target, searched.options.limits)
