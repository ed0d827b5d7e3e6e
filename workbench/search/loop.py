"""The one loop of all strategies: fill a pool, score it, train what the strategy names, until nothing is left to gain.

All that is decided follows from the ledger, so a driver that was killed is followed by one that goes on from there: the
trials it was training wait again, and nothing else is lost.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import islice

import numpy as np

from ..errors import WorkbenchError, first_line
from ..progress import Progress
from ..recipe import to_step
from ..training import Score
from .candidates import Candidates, Numbers
from .comparison import ScoreOf, excess, front_rows, settled
from .options import Options
from .order import Answer, Order, Work
from .row import FINISHED, Row
from .score_files import read_score
from .storage import Process, Store, this_process
from .strategies import Proposal, Strategy, View

__all__ = ["PATIENCE", "Cancelled", "Ranking", "Search", "scores_of"]

PATIENCE = 12  # trained candidates, controls aside, that leave the front where it is, before a search ends
LOOK = 0.2  # seconds between two looks at what the drivers are told
BEAT = 5.0  # seconds between two signs of life
_LEAST_PEERS = 4  # trained candidates that are no dearer, before one may be called hopeless

# candidates to score, and those that are trained -> number -> scores by name
Ranking = Callable[[Sequence[Row], Sequence[Row]], Mapping[int, Mapping[str, float]]]


class Cancelled(Exception):
    """The drivers were told to end."""


@dataclass(eq=False)
class Search:
    """A search under way, in this process.

    template: an order without a candidate. width: how many orders are under way at once. rankings: scores that are
    computed here, by name; those that the strategy looks at.
    """

    store: Store
    options: Options
    candidates: Candidates
    strategy: Strategy
    work: Work
    executor: Executor
    template: Order
    width: int = 1
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    progress: Progress | None = None
    process: Process = field(default_factory=this_process)
    _under_way: dict[Future[Answer], tuple[str, Row]] = field(default_factory=dict)
    _place: int = 0  # of the trial that ended last
    _settled: tuple[int, bool] = (-1, False)  # asked with so many trained

    def run(self) -> None:
        """Search to the end. Raises Cancelled where the drivers are told to end, WorkbenchError where the unedited
        network cannot be trained; what is under way then waits again.
        """
        self.store.return_lost()
        ended = threading.Event()
        threading.Thread(target=self._live, args=(ended,), daemon=True).start()
        try:
            self._fill()
            while self._train():
                self._wait()
            while self._test():
                self._wait()
            self.store.note("status", {"stage": "done", "text": self._end_text()})
        finally:
            ended.set()
            for future in self._under_way:
                future.cancel()
            self.store.return_lost(self.process)

    def _live(self, ended: threading.Event) -> None:
        """Say that this driver lives, from a thread of its own: whatever else it does."""
        self.store.beat(self.process)
        while not ended.wait(BEAT):
            self.store.beat(self.process)

    # ---- the pool -------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Add the pool's candidates, those that are in the ledger aside."""
        if self.store.attributes.get("pool"):
            return
        view = self._view()
        taken = _taken(view)
        size = self.options.pool_size if self.strategy.scores else 0
        count = len(view.rows)
        for proposal in self.strategy.pool(view):
            if size and count >= size:
                break
            self._heed()
            count += self._add(proposal, taken)
            self._say("pool", count, size or count)
        self.store.note("pool", True)

    def _add(self, proposal: Proposal, taken: set[str | Numbers]) -> bool:
        """Store a candidate; False where it does not apply, misses a budget, or is in the ledger, whatever leads to it.

        taken: choices and networks of the ledger's candidates.
        """
        planned = None if proposal.numbers in taken else self.candidates.planned(proposal.numbers)
        taken.add(proposal.numbers)
        if planned is None or planned[0] in taken:
            return False
        graph, costs = planned
        row = Row(-1, proposal.numbers, proposal.kind, "waiting", graph, costs)
        self.store.add(row, self.candidates.space, excess(costs, self.options.limits))
        taken.add(graph)
        return True

    def _breed(self, view: View) -> bool:
        """Add the children that the strategy asks for now; whether there are any."""
        taken, due = _taken(view), self.strategy.due(view)
        lacking = due
        for proposal in self.strategy.children(view) if due else ():
            self._heed()
            lacking -= self._add(proposal, taken)
            if lacking <= 0:
                break
        return lacking < due

    # ---- the trials -----------------------------------------------------------------------------------------------

    def _train(self) -> bool:
        """Give work to the workers; False at the end."""
        view = self._view()
        trials = sum(row.state == "running" or (row.state in FINISHED and bool(row.driver)) for row in view.rows)
        enough = trials >= self.options.trials or self._is_settled(view)
        if self._paused and not enough:
            return True
        if not enough:
            if len(self._under_way) < self.width and self._breed(view):
                view = self._view()
            self._rank(view)
            self._submit(view, self.options.trials - trials)
        lacking = sum(not self._has(row, "zero_shot") for row in view.waiting)
        if lacking and not any(kind == "train" for kind, _ in self._under_way.values()):
            self._say("zero-shot", len(view.rows) - lacking, len(view.rows))
        else:
            ended = sum(row.state in FINISHED and bool(row.driver) for row in view.rows)
            self._say("training", ended, self.options.trials)
        return bool(self._under_way)

    def _submit(self, view: View, trials: int) -> None:
        """Orders for the workers that have nothing to do: candidates without scores first."""
        scored = {row.number for kind, row in self._under_way.values() if kind == "score"}
        lacking = [row for row in view.waiting if row.number not in scored and not self._has(row, "zero_shot")]
        for row in islice(lacking, max(0, self.width - len(self._under_way))):
            self._send("score", row, self.work.score, self._order(row))
        while not scored and not lacking and trials > 0 and len(self._under_way) < self.width:
            row_next = self.strategy.next(view)
            if row_next is None:
                break
            if self.store.claim(row_next, self.process):
                order = replace(self._order(row_next), floor=self._floor(view, row_next))
                self._send("train", row_next, self.work.train, order)
                trials -= 1
            if trials <= 0 or len(self._under_way) >= self.width:
                break
            view = self._view()
            if self.strategy.due(view):
                break

    def _send(self, kind: str, row: Row, function: Callable[[Order], Answer], order: Order) -> None:
        try:
            self._under_way[self.executor.submit(function, order)] = kind, row
        except (BrokenExecutor, RuntimeError) as error:
            raise WorkbenchError(f"the executor takes no more work: {first_line(error)}") from error

    def _wait(self) -> None:
        """Until something is done, or the drivers are told otherwise; what is done is stored."""
        paused = self._paused
        while self._heed() == paused:
            if not self._under_way:
                time.sleep(LOOK)
                continue
            done, _ = wait(self._under_way, LOOK, FIRST_COMPLETED)
            for future in done:
                self._store(future, *self._under_way.pop(future))
            if done:
                return

    def _store(self, future: Future[Answer], kind: str, row: Row) -> None:
        try:
            answer = future.result()
        except BrokenExecutor:
            self._fail(kind, row, "its worker died")
        except Exception as error:  # of a worker: whatever building and training raise costs this candidate alone
            self._fail(kind, row, f"{type(error).__name__}: {first_line(error)}")
            if row.kind == "unedited":
                raise WorkbenchError(f"the unedited network cannot be trained: {first_line(error)}") from error
        else:
            self._finish(kind, row, answer)

    def _fail(self, kind: str, row: Row, reason: str) -> None:
        if kind == "test":
            self.store.note(f"test/{row.number}", {"reason": reason})
        else:
            self.store.finish(row, "failed", {"reason": reason})

    def _finish(self, kind: str, row: Row, answer: Answer) -> None:
        if kind == "score":
            self.store.score(row, "zero_shot", answer.result)
        elif kind == "test":
            self.store.note(f"test/{row.number}", answer.result)
        else:
            self._place += 1
            result = dict(answer.result) | {"place": self._place}
            if answer.weights:
                result["weights"] = self.store.keep("weights", answer.weights)
            if answer.evidence:
                result["evidence"] = self.store.keep("evidence", answer.evidence)
            if result["epochs"] < self.options.epochs:
                reason = f"below {100 * result['floor']:.1f} % after its first epoch"
                self.store.finish(row, "stopped", result | {"reason": reason})
                return
            values = [result["accuracy"] if o == "accuracy" else row.costs[o] for o in self.options.objectives]
            self.store.finish(row, "trained", result, values)

    # ---- the end --------------------------------------------------------------------------------------------------

    def _is_settled(self, view: View) -> bool:
        """Asked once after every trained candidate."""
        count = len(view.trained)
        if self._settled[0] != count:
            patience = max(PATIENCE, self.options.trials // 3)
            self._settled = count, settled(view.rows, self.options.costs, patience, self._score_of)
        return self._settled[1]

    def _end_text(self) -> str:
        rows = self.store.rows()
        counts = {state: sum(row.state == state for row in rows) for state in FINISHED}
        text = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        if sum(counts.values()) < self.options.trials:
            moved = "the front did not move any more" if self._settled[1] else "no candidate is left"
            text += f" of {self.options.trials}: {moved}"
        return text

    def _test(self) -> bool:
        """Have the front judged on the test part, each candidate once; False where all are."""
        rows = front_rows(self.store.rows(), self.options.costs, self.options.limits)
        under_way = {row.number for _, row in self._under_way.values()}
        lacking = [row for row in rows if not row.test and row.number not in under_way and "weights" in row.result]
        for row in islice(lacking, max(0, self.width - len(self._under_way))):
            order = replace(self._order(row), weights=self.store.kept(row.result["weights"]))
            self._send("test", row, self.work.test, order)
        self._say("testing", len(rows) - len(lacking), len(rows))
        return bool(self._under_way)

    # ---- beside ---------------------------------------------------------------------------------------------------

    def _heed(self) -> bool:
        """End where the drivers are told to; whether they are told to pause."""
        if self.store.attributes.get("request") == "cancel":
            raise Cancelled
        return self._paused

    @property
    def _paused(self) -> bool:
        return bool(self.store.attributes.get("request") == "pause")

    @cached_property
    def _score_of(self) -> ScoreOf:
        return scores_of(self.store)

    def _view(self) -> View:
        view = View(self.store.rows(), self.candidates, self.options)
        self._place = max([self._place, *(row.result.get("place", 0) for row in view.rows)])
        return view

    def _has(self, row: Row, score: str) -> bool:
        """Whether the candidate has a score, or the strategy does not ask for it."""
        return score not in self.strategy.scores or any(name.partition("/")[0] == score for name in row.scores)

    def _rank(self, view: View) -> None:
        """Scores that this process computes, of the candidates that lack them."""
        for name, ranking in self.rankings.items():
            lacking = [row for row in view.waiting if not self._has(row, name)]
            if lacking:
                self._say(name, 0, len(lacking))
                for number, scores in ranking(lacking, view.trained).items():
                    self.store.score(next(row for row in lacking if row.number == number), name, scores)

    def _order(self, row: Row) -> Order:
        transforms = self.candidates.space.candidate(row.choices).transforms
        return replace(self.template, transforms=tuple(to_step(transform) for transform in transforms))

    def _floor(self, view: View, row: Row) -> float:
        """The median first epoch of trained candidates that are no dearer; 0 where they are few (median stopping:
        Golovin et al. 2017, "Google Vizier", section 3.2.2).
        """
        peers = [
            other.result["first_epoch"]
            for other in view.trained
            if all(other.costs[name] <= row.costs[name] for name in self.options.costs)
        ]
        controlled = row.kind in ("unedited", "twin", "random")  # trained to the end, whatever they promise
        return 0.0 if controlled or len(peers) < _LEAST_PEERS else float(np.median(peers))

    def _say(self, stage: str, done: int, total: int) -> None:
        status = {"stage": stage, "done": done, "total": total}
        if self.store.attributes.get("status") != status:
            self.store.note("status", status)
        if self.progress is not None:
            self.progress(f"{stage} {done}/{total}", done, total)


def _taken(view: View) -> set[str | Numbers]:
    """Choices and networks of the candidates in the ledger."""
    return {row.graph for row in view.rows} | {row.choices for row in view.rows}


def scores_of(store: Store) -> ScoreOf:
    """What reads the score of a trained candidate from its file, each once."""

    @cache
    def read(name: str) -> Score | None:
        return read_score(store.kept(name), name) if (store.folder / name).is_file() else None

    return lambda row: read(row.result["evidence"]) if "evidence" in row.result else None

