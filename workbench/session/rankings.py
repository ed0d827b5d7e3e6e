"""Scores that a search's own process gives its candidates, beside the zero-shot scores that its workers compute.

    forecast   what each is expected to score once it is trained (`Session.forecast`), for the hybrid
    supernet   minus the cross-entropy of its path of a trained supernet, on the pictures that are chosen on

Each is a `search.loop.Ranking`: candidates, and those that are trained -> scores by the candidate's number.
"""

from collections.abc import Mapping, Sequence

from ..errors import InputError, SurgeryError
from ..graph import Graph
from ..hardware import Target
from ..progress import shown
from ..search.loop import Ranking
from ..search.options import Options
from ..search.row import Row
from ..search.sandwich import train
from ..search.supernet import Supernet, rank, supernet
from ..space import Slot, Space
from ..state import AnyState
from ..surgery.library import BlockLibrary, fill
from ..surgery.local_choices import BlockChoice, LeftOut, divided, local_choices
from ..training import Task, named
from .block_library import library_of
from .forecast import forecast_beside
from .searched import Searched

__all__ = ["local_space", "rankings"]


def rankings(searched: Searched[AnyState], task: Task) -> Mapping[str, Ranking]:
    """Those that the study's strategy looks at, by name."""
    if searched.options.strategy == "hybrid":
        return {"forecast": _forecasts(searched, task)}
    if searched.options.strategy == "single-shot":
        return {"supernet": _ranked_by_supernet(searched, task)}
    return {}


def local_space(space: Space, graph: Graph, target: Target) -> Space:
    """The slots and choices of a space that a supernet can hold: those that change one block alone.

    Raises InputError where there is none.
    """
    local = {(choice.block, choice.label) for choice in local_choices(space, graph, target)[0]}
    slots = (
        Slot(slot.block, tuple(c for c in slot.choices if not c.transforms or (slot.block, c.label) in local))
        for slot in space.slots
        if slot.block
    )
    kept = Space(tuple(slot for slot in slots if len(slot.choices) > 1))
    if not kept.slots:
        raise InputError(
            "single-shot needs choices that change one block alone, and the space has none; hybrid does without"
        )
    return kept


def _forecasts(searched: Searched[AnyState], task: Task) -> Ranking:
    def scores(candidates: Sequence[Row], trained: Sequence[Row]) -> dict[int, dict[str, float]]:
        forecasts = {}
        for row in candidates:
            forecast = forecast_beside(_after(searched, row), task)
            if forecast is not None:
                forecasts[row.number] = {"forecast": forecast.score}
        return forecasts

    return scores


def _ranked_by_supernet(searched: Searched[AnyState], task: Task) -> Ranking:
    def scores(candidates: Sequence[Row], trained: Sequence[Row]) -> dict[int, dict[str, float]]:
        base, options = searched.base, searched.options
        paths = {row.number: _choices(searched, row) for row in candidates}
        choices = list(dict.fromkeys(choice for path in paths.values() for choice in path))
        if not choices:
            return {number: {"supernet": 0.0} for number in paths}
        library = library_of(base, task, options.pictures, options.distil)
        net = _trained_supernet(library, choices, task, options)
        judged = rank(net, [net.path_of(path) for path in paths.values()], task)
        return {number: {"supernet": -score.loss} for number, score in zip(paths, judged, strict=True)}

    return scores


def _trained_supernet(
    library: BlockLibrary, choices: Sequence[BlockChoice], task: Task, options: Options
) -> Supernet:
    with shown("block library") as progress:
        for entry in fill(library, choices, progress):
            if isinstance(entry, LeftOut):
                raise SurgeryError(f"{entry.label} of {entry.block} is in no supernet: {entry.reason}")
    schedule = {**task.schedule, **options.schedule, "epochs": options.epochs, "seed": options.seed}
    with shown("supernet") as progress:
        return train(supernet(library, choices), task, named(schedule), progress)


def _choices(searched: Searched[AnyState], row: Row) -> tuple[BlockChoice, ...]:
    after = _after(searched, row)
    return divided(searched.base.graph, after.plans_since_learned)[0]


def _after(searched: Searched[AnyState], row: Row) -> AnyState:
    """The session with a candidate's steps."""
    transforms = searched.space.candidate(row.choices).transforms
    return searched.base.apply(*transforms) if transforms else searched.base
