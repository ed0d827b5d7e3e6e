"""The state of a network under work: a base, the changes made to it, the target it is looked at on, and notes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import pandas as pd

from ..errors import InputError, WorkbenchError, unknown
from ..estimators import Estimate, WeightValues, block_table, estimate, is_calibrated
from ..graph import Graph, Plan
from ..hardware import Measurement, Target, resolve
from ..metrics import METRICS, metric_text
from ..recipe import Recipe
from ..transforms import Step, describe_fully
from .base import Base, Size
from .changes import Applied, Change, Edit, Learned, LearnedScore, applied
from .notes import digest_at, notes_table, places
from .tables import Delta, ScoreForecast, comparison, delta, history

__all__ = ["AnyState", "State"]


@dataclass(frozen=True, repr=False)
class State:
    """A model, the changes made to it, and a target. Every method gives back a new state; none is changed.

    changes: in the order they were made; `undo` takes the last one back. undone: what `redo` brings back, the next one
    last; no part of what a state is. annotations: (path of a block, a module or an operator, text) of every note, ""
    for the whole network. noted_of: per note a digest of what it speaks of, as it was when it was noted.
    """

    base: Base
    target: Target
    changes: tuple[Change, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    undone: tuple[Change, ...] = field(default=(), compare=False)
    noted_of: tuple[str, ...] = field(default=(), compare=False)

    # ---- what it is ---------------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        return self.base.name

    @property
    def input_size(self) -> Size | None:
        """(channels, height, width) of the images it reads now; None where the model was opened with example inputs."""
        if self.base.input_size is None:
            return None
        _, channels, height, width = self.graph.inputs[0].shape
        return channels, height, width

    @property
    def graph(self) -> Graph:
        """The network after the last change."""
        return self.changes[-1].graph if self.changes else self.base.graph

    @property
    def steps(self) -> tuple[Step, ...]:
        """The transforms applied since the model was opened, each with its plan and the network after it."""
        return _steps(self.changes)

    @property
    def learned(self) -> Learned | None:
        """The weights that were last learned or given; None where they are still the base's."""
        return next((change for change in reversed(self.changes) if isinstance(change, Learned)), None)

    @property
    def weights_source(self) -> str:
        """Where the weights come from, in words: how they were learned, then the file they started from.

        "initial" are timm's own from seed 0; what a file does not fill starts anew and is named.
        """
        learned, base = self.learned, self.base.weights_source
        if learned is None:
            return base
        return learned.source if self.base.source is None else f"{learned.source}, from {base}"

    @property
    def untrained(self) -> bool:
        """Whether nothing was ever learned, so that no loss of an edit means anything."""
        return self.learned is None and self.base.untrained

    @property
    def plans_since_learned(self) -> tuple[Plan, ...]:
        """The plans of the steps taken since weights were last learned or given, which surgery has to carry out."""
        learned = self.learned
        recent = self.changes if learned is None else self.changes[self.changes.index(learned) + 1 :]
        return tuple(step.plan for step in _steps(recent))

    @property
    def weight_values(self) -> WeightValues:
        """How the weights are distributed that the steps since then carry on."""
        return self.base.weight_values if self.learned is None else self.learned.values

    @property
    def baseline(self) -> Self:
        """The model as it was opened, on this target."""
        return replace(self, changes=(), annotations=(), undone=(), noted_of=())

    @property
    def path(self) -> tuple[Self, ...]:
        """The states from the opened model to this one, one change apart."""
        earlier = (replace(self, changes=self.changes[:count], undone=()) for count in range(1, len(self.changes)))
        return (self.baseline, *earlier, self) if self.changes else (self,)

    # ---- what it costs -------------------------------------------------------------------------------------------

    @property
    def estimate(self) -> Estimate:
        """What the network is predicted to cost; raises WorkbenchError where the target is not calibrated."""
        if not is_calibrated(self.target):
            raise WorkbenchError(
                f"{self.target.name} is not calibrated, so there is no estimate; verify() compiles for real, "
                f"and wb.targets() lists the calibrated ones"
            )
        return estimate(self.graph, self.target, self.weight_values)

    @property
    def try_estimate(self) -> Estimate | None:
        """The estimate, or None where the target is not calibrated."""
        return self.estimate if is_calibrated(self.target) else None

    @property
    def figures(self) -> Mapping[str, float | None]:
        """The figures that `METRICS` names, estimated or counted; None where the target is not calibrated."""
        counts = {"params": self.graph.params, "macs": self.graph.macs}
        estimate = self.try_estimate
        return {name: counts[name] if name in counts else getattr(estimate, name, None) for name in METRICS}

    @property
    def learned_score(self) -> LearnedScore | None:
        """The score of the weights as they were learned; None where none were, and where steps came after them."""
        last = self.changes[-1] if self.changes else None
        return last.score if isinstance(last, Learned) else None

    @property
    def blocks(self) -> pd.DataFrame:
        """One row per block: name (timm path), kind, shape, latency_ms and share (estimated), macs, params.

        Where the target is not calibrated the latency columns are NaN and `.attrs["note"]` says so.
        """
        if is_calibrated(self.target):
            return self.estimate.blocks
        table = block_table(self.graph)
        table.attrs["note"] = f"{self.target.name} is not calibrated: latencies are unknown (NaN), not zero"
        return table

    @property
    def history(self) -> pd.DataFrame:
        """One row per step: transform with its parameters, the recipe it came with, estimated latency and change; where
        weights were learned also their score then, with its interval and count.
        """
        return history(self._rows())

    def compare(self, other: "State | Measurement | None" = None) -> pd.DataFrame:
        """Before (`other`, or the model as it was opened) and after (this state), one row per metric.

        other: a session, or a measured file as the baseline, such as `target.measure("deployed.tflite")`. The last row
        is the score, where weights were learned for a network as it is: `evaluate(...).against(...)` says whether two
        differ, picture by picture.
        """
        return self._comparison(other, None)

    def _comparison(self, other: "State | Measurement | None", forecast: ScoreForecast | None) -> pd.DataFrame:
        before = self.baseline if other is None else other
        if not isinstance(before, State):
            return comparison(before, self.figures, None, self.learned_score, forecast)
        return comparison(before.figures, self.figures, before.learned_score, self.learned_score, forecast)

    def preview(self, *edits: Edit) -> Delta:
        """What `apply` would change (estimated), without applying."""
        return self._difference(self.apply(*edits), None)

    def _difference(self, after: "State", forecast: ScoreForecast | None) -> Delta:
        estimates = (self.try_estimate, after.try_estimate)
        return delta(self.figures, after.figures, all(e is None or e.complete for e in estimates), forecast)

    # ---- change --------------------------------------------------------------------------------------------------

    def apply(self, *edits: Edit) -> Self:
        """The state after transforms, recipes or recipe files; each argument is one change for `undo`.

        A recipe's transforms are planned here, for this graph and target. All of it applies or none: raises
        NotApplicable (the block and the rule) or InputError and leaves everything as it was.
        """
        if not edits:
            raise InputError("apply needs a transform, a Recipe or the path of a recipe file")
        state = self
        for edit in edits:
            try:
                state = state.after(applied(edit, state.graph, state.target))
            except WorkbenchError as error:
                earlier = ", ".join(map(str, state.changes[len(self.changes) :]))
                if not earlier:
                    raise
                raise type(error)(f"after {earlier}: {error}") from error
        return state

    def after(self, change: Change) -> Self:
        """The state after one more change; what was undone is gone."""
        return replace(self, changes=(*self.changes, change), undone=())

    def undo(self) -> Self:
        """The state before the last change; `redo` on it comes back here. Notes stay."""
        if not self.changes:
            raise InputError("nothing to undo: no step has been applied yet")
        return replace(self, changes=self.changes[:-1], undone=(*self.undone, self.changes[-1]))

    def redo(self) -> Self:
        """The state last left by `undo`."""
        if not self.undone:
            raise InputError("nothing to redo: redo takes back an undo")
        return replace(self, changes=(*self.changes, self.undone[-1]), undone=self.undone[:-1])

    def annotate(self, path: str, text: str) -> Self:
        """A note on a block, a module or an operator ("" for the whole network, as it is on this branch).

        Notes are what was learned: undo keeps them, and `notes` says which speak of what has changed since.
        """
        names = [name for graph in (self.graph, self.base.graph) for name in places(graph)]
        if path and path not in names:
            raise unknown("block or module", path, names)
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"a note needs a text, not {text!r}")
        noted_of = (*self.noted_of, *[""] * (len(self.annotations) - len(self.noted_of)), digest_at(self.graph, path))
        return replace(self, annotations=(*self.annotations, (path, text)), noted_of=noted_of)

    @property
    def notes(self) -> pd.DataFrame:
        """One row per note: where (a path, "" for the whole network), note, since.

        since: "as it was" when it was noted, "changed since", "no longer there"; "" for notes of older files.
        """
        return notes_table(self.graph, self.annotations, self.noted_of)

    def on(self, target: str | Target) -> Self:
        """The same network on another target: the same plans, not planned again, so that only the target differs.

        To plan a recipe for the other target, apply it there: `session.baseline.on(target).apply(recipe)`.
        """
        return replace(self, target=resolve(target))

    def to_recipe(self, name: str | None = None, description: str = "") -> Recipe:
        """The steps as a recipe, made for the target they were planned on."""
        if not self.steps:
            raise InputError("a recipe needs at least one step, and none has been applied yet")
        target = self.steps[-1].planned_on.name
        return Recipe(
            name or f"{self.model_name}-{target}", tuple(s.transform for s in self.steps), target, description
        )

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input_size)) if self.input_size else "example inputs"
        steps = f"{len(self.steps)} step{'' if len(self.steps) == 1 else 's'}"
        last = self.changes[-1] if self.changes else None
        steps += f" ({last.recipe})" if isinstance(last, Applied) and last.recipe else ""
        weights = f"; weights {self.weights_source}" if self.base.source is not None else ""
        estimate = self.try_estimate
        if estimate is None:
            cost = "not calibrated"
        else:
            latency, sram = (metric_text(name, getattr(estimate, name)) for name in ("latency_ms", "sram_bytes"))
            cost = f"{latency} estimated, SRAM {sram}"
            cost += "" if estimate.complete else f", incomplete ({len(estimate.cpu_ops)} operators not counted)"
        return f"<{type(self).__name__} {self.model_name} {size} on {self.target.name}: {cost}, {steps}{weights}>"

    def _rows(self) -> Iterator[tuple[str, str, float | None, str]]:
        """What was done, the recipe it came with, the estimated latency in ms after it, the score it was learned to."""
        calibrated, values = is_calibrated(self.target), self.base.weight_values

        def latency(graph: Graph) -> float | None:
            return estimate(graph, self.target, values).latency_ms if calibrated else None

        start = "" if self.base.source is None else f" with {self.base.source.file}"
        yield f"opened{start}", "", latency(self.base.graph), ""
        for change in self.changes:
            if isinstance(change, Learned):
                values = change.values
                yield str(change), "", latency(change.graph), str(change.score or "")
            else:
                for step in change.steps:
                    yield describe_fully(step.transform), change.recipe, latency(step.graph), ""


AnyState = TypeVar("AnyState", bound=State)  # what goes in comes out: a Session stays one


def _steps(changes: tuple[Change, ...]) -> tuple[Step, ...]:
    return tuple(step for change in changes if isinstance(change, Applied) for step in change.steps)
