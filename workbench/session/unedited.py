"""The network before the steps applied since weights were learned, and what is measured of networks edited from it.

Figures are kept under WORKBENCH_HOME by content (data, weights, plans), so that each is measured once.
"""

import copy
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from ..errors import InputError
from ..files import home, write_atomic
from ..forecast import Features
from ..forecast.answers import Outputs, distance_between, outputs_of
from ..forecast.features import features_of
from ..state import Base, Change, State, tensors_of
from ..surgery import build_state
from ..surgery.carry_out import carry_out
from ..training import Task, score
from ..training.checkpoints import digest_of
from ..training.scoring import logits
from .learning import learned_on, size_of

__all__ = ["Unedited", "unedited_of"]

_FORMAT = 1  # figures of another one are measured again
_MOST_KEPT = 2  # each holds a module
_KEPT: "OrderedDict[tuple[Base, tuple[Change, ...], str], Unedited]" = OrderedDict()

Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class Unedited:
    """state: before the steps. data: the task that is asked about. module: built, never changed."""

    state: State
    data: Task
    module: nn.Module

    @cached_property
    def score(self) -> float:
        """On the pictures for validation."""
        return self._kept("", lambda: {"score": score(self.module, self.data, size_of(self.state)).value})["score"]

    def features(self, edited: State) -> Features:
        """Of a network edited from this one."""

        def measured() -> Figures:
            module, rules = copy.deepcopy(self.module), edited.base.width_rules
            carry_out(module, self.state.graph, edited.plans_since_learned, None, width_rules=rules)
            outputs = outputs_of(module, self.data, size_of(edited))
            return {"distance": distance_between(outputs, self._outputs, self.data)}

        distance = self._kept(repr(edited.plans_since_learned), measured)["distance"]
        return features_of(self.state.graph, edited.graph, self.score, distance)

    @cached_property
    def _outputs(self) -> Outputs:
        return outputs_of(self.module, self.data, size_of(self.state))

    @cached_property
    def _digest(self) -> str:
        """Of data, network and weights."""
        return digest_of(_FORMAT, self.data.digest, self.state.graph.digest, tensors_of(self.module))

    def _kept(self, plans: str, measure: Callable[[], Figures]) -> Figures:
        """The figures of a file; measured, and the file written, where there is no whole one."""
        file = home() / "features" / self._digest / f"{digest_of(plans)}.json"
        try:
            figures = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            figures = measure()
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, json.dumps(figures).encode())
        return dict(figures)


def unedited_of(before: State, data: Task) -> Unedited:
    """Of a state without steps since its weights were learned; the last ones are kept.

    Raises InputError, before anything is measured, where the weights did not learn the task.
    """
    size = size_of(before)
    key = before.base, before.changes, data.digest
    if key not in _KEPT:
        _check_learned(before, data)
        module = build_state(before).to(memory_format=torch.channels_last)
        data.check(logits(module, torch.zeros(1, *size)), before.model_name)
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
