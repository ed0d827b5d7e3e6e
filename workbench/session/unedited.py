"""The network before the steps applied since weights were learned, and what is measured of networks edited from it.

Figures are kept under WORKBENCH_HOME by content (data, weights, plans), so that each is measured once.
"""

import copy
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError
from ..files import home, write_atomic
from ..forecast import Features
from ..forecast.answers import Outputs, distance_between, outputs_of
from ..forecast.zero_shot import quick_scores
from ..progress import shown
from ..state import Base, Change, Size, State, tensors_of
from ..surgery import build_state
from ..surgery.carry_out import carry_out
from ..training import Task, score
from ..training.checkpoints import digest_of
from ..training.scoring import logits
from .fitting import fitted, images_of_both
from .learning import images_of, learned_on, size_of

__all__ = ["Unedited", "unedited_of"]

_FORMAT = 1  # figures of another one are measured again
_PICTURES = 256  # that steps are fitted on
_SCORED = 32  # of them, that zero-shot scores are of
_MOST_KEPT = 2  # each holds a module
_KEPT: "OrderedDict[tuple[Base, tuple[Change, ...], str], Unedited]" = OrderedDict()

Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class Unedited:
    """state: before the steps. data: the task that is asked about. module: built, never changed."""

    state: State
    data: Task
    module: nn.Module

    @property
    def score(self) -> float:
        """On the pictures for validation."""
        return self._judged["score"]

    def features(self, edited: State, fit: bool) -> Features:
        """Of a network edited from this one. fit: whether to fit it; what was kept of one that was fitted is taken in
        any case.
        """
        graph = self.state.graph
        return Features(
            unedited_score=self._judged["score"],
            unedited_loss=self._judged["loss"],
            unedited_params=graph.params,
            unedited_macs=graph.macs,
            unedited_naswot=self._scores["naswot"],
            unedited_zico=self._scores["zico"],
            params=edited.graph.params,
            macs=edited.graph.macs,
            **self._carried(edited),
            **self._fitted(edited, fit),
        )

    @cached_property
    def _digest(self) -> str:
        """Of data, network and weights."""
        return digest_of(_FORMAT, self.data.digest, self.state.graph.digest, tensors_of(self.module))

    @cached_property
    def _judged(self) -> Figures:
        return _kept(self._file("unedited"), lambda: _judged(self.module, self.data, size_of(self.state)))

    @cached_property
    def _scores(self) -> Figures:
        return _kept(self._file("unedited scores"), lambda: self._quick_scores(self.module, self.state))

    def _quick_scores(self, module: nn.Module, state: State) -> Figures:
        return quick_scores(module, images_of(state, self.data, _PICTURES)[:_SCORED])

    @cached_property
    def _outputs(self) -> Outputs:
        return outputs_of(self.module, self.data, size_of(self.state))

    def _carried(self, edited: State) -> Figures:
        def measured() -> Figures:
            module, rules = copy.deepcopy(self.module), edited.base.width_rules
            carry_out(module, self.state.graph, edited.plans_since_learned, None, width_rules=rules)
            distance = self._distance(module, size_of(edited))
            return {"carried_distance": distance} | self._quick_scores(module, edited)

        return _kept(self._file("carried", edited), measured)

    def _fitted(self, edited: State, fit: bool) -> Figures:
        def measured() -> Figures:
            images = images_of_both(self.state, edited, self.data, _PICTURES)
            with shown("fitting") as progress:
                module = fitted(edited, self.state, self.module, images, progress).module
            size = size_of(edited)
            judged = {f"fitted_{name}": value for name, value in _judged(module, self.data, size).items()}
            return {"fitted_distance": self._distance(module, size)} | judged

        file = self._file("fitted", edited)
        return _kept(file, measured) if fit else _read(file) or {}

    def _distance(self, module: nn.Module, size: Size) -> float:
        return distance_between(outputs_of(module, self.data, size), self._outputs, self.data)

    def _file(self, stage: str, edited: State | None = None) -> Path:
        plans = "" if edited is None else repr(edited.plans_since_learned)
        return home() / "features" / self._digest / f"{stage}-{digest_of(plans)}.json"


def unedited_of(before: State, data: Task) -> Unedited:
    """Of a state without steps since its weights were learned; the last ones are kept.

    Raises InputError, before anything is measured, where the weights did not learn the task.
    """
    size_of(before)
    key = before.base, before.changes, data.digest
    if key not in _KEPT:
        _check_learned(before, data)
        module = build_state(before).to(memory_format=torch.channels_last)
        data.check(logits(module, images_of(before, data, 1)), before.model_name)
        _KEPT[key] = Unedited(before, data, module)
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return _KEPT[key]


def _check_learned(before: State, data: Task) -> None:
    learned, base = before.learned, before.base
    call = f"finetune({data.name!r}) before the steps"
    if before.untrained:
        raise InputError(f"the weights are untrained, so there is no score to forecast; {call} makes one")
    if learned is not None and not learned_on(learned, data):
        raise InputError(f"the network has {learned}, so {data.name} has no score to forecast; {call} makes one")
    if learned is None and (base.weights == "pretrained" or (base.source is not None and base.source.anew)):
        raise InputError(
            f"the weights ({base.weights_source}) never learned {data.name}, so there is no score to forecast; {call} "
            f"makes one"
        )


def _judged(module: nn.Module, data: Task, size: Size) -> Figures:
    judged = score(module, data, size)
    return {"score": judged.value, "loss": judged.loss}


def _kept(file: Path, measure: Callable[[], Figures]) -> Figures:
    """The figures of a file; measured, and the file written, where there is no whole one."""
    figures = _read(file)
    if figures is None:
        figures = measure()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(figures).encode())
    return figures


def _read(file: Path) -> Figures | None:
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return figures if isinstance(figures, dict) else None
