"""The plan that meets budgets, tried on the module and checked by the compiler where the target has one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Generic

import torch

from .. import advice
from ..advice import UNTRAINED, Met, Steps, losses_of
from ..errors import BudgetError, NotApplicable
from ..estimators import Budgets
from ..metrics import number_text
from ..progress import Progress, shown
from ..recipe import Recipe
from ..state import AnyState
from ..training import Task
from .forecast import score_budget
from .verifying import verify

__all__ = ["meet", "watched_meet"]


def meet(
    state: AnyState,
    budgets: Budgets,
    images: torch.Tensor | None,
    accuracy: float | None = None,
    task: Task | None = None,
) -> AnyState:
    """See `Session.meet`. accuracy: of the session's task."""
    with shown("meeting budgets:") as progress:
        return watched_meet(state, budgets, progress, lambda state: None, images, accuracy, task)


def watched_meet(
    state: AnyState,
    budgets: Budgets,
    progress: Progress,
    candidate: Callable[[AnyState | None], None],
    images: torch.Tensor | None = None,
    accuracy: float | None = None,
    task: Task | None = None,
) -> AnyState:
    """The same without a bar. candidate: called with the state after each plan, before it is compiled."""
    plans = _Plans(state, budgets, accuracy)
    score = None if accuracy is None else score_budget(state, accuracy, task)
    losses = losses_of(state, images) if score is None else None

    def check(met: Met) -> Mapping[str, float]:
        candidate(plans.after(met))
        return plans.missed_when_compiled(met)

    try:
        if score is None:
            met = advice.meet(state, losses, budgets, check, plans.refusals, progress)
        else:
            met = advice.meet_score(state, score, budgets, check, plans.refusals, progress)
    except BudgetError as error:
        if isinstance(error.nearest, Met):
            error.nearest = plans.after(error.nearest)
        raise
    reached = plans.after(met)
    assert reached is not None, "a plan that is refused is none"
    return reached


@dataclass(frozen=True)
class _Plans(Generic[AnyState]):
    """Plans on a state, each applied once: a module of one's own is built and traced for it."""

    state: AnyState
    budgets: Budgets
    accuracy: float | None = None
    _applied: dict[tuple[Steps, float], AnyState | None] = field(default_factory=dict)

    def after(self, met: Met) -> AnyState | None:
        """The state after the plan, under a name that says its loss; None where the module does not take it."""
        if not met.steps:
            return self.state
        key = met.steps, met.price
        if key not in self._applied:
            try:
                self._applied[key] = self.state.apply(Recipe(self._name(met), met.steps))
            except NotApplicable:
                self._applied[key] = None
        return self._applied[key]

    def refusals(self, met: Met) -> Sequence[Steps]:
        """The parts of the plan that the module does not take; the last, where it takes each alone."""
        if self.after(met) is not None:
            return ()
        alone = (replace(met, parts=(part,), price=float("inf")) for part in met.parts)
        return [single.parts[0] for single in alone if self.after(single) is None] or met.parts[-1:]

    def missed_when_compiled(self, met: Met) -> Mapping[str, float]:
        """Budgets that the compiler finds missed, as `Budgets.missed` says them."""
        state = self.after(met)
        if state is None or not state.target.compiles_tflite:
            return {}
        compiled = verify(state)
        if compiled.status != "compiled" or compiled.latency_ms is None:
            return {}
        figures = replace(met.estimate, latency_ms=compiled.latency_ms, sram_bytes=compiled.sram_bytes or 0)
        return self.budgets.missed(figures)

    def _name(self, met: Met) -> str:
        values = {f.name: getattr(self.budgets, f.name) for f in fields(self.budgets)}
        values["accuracy"] = self.accuracy
        text = ", ".join(f"{name}={value:g}" for name, value in values.items() if value is not None)
        return f"meet({text}): {UNTRAINED if self.state.untrained else f'predicted loss {number_text(met.price)}'}"
