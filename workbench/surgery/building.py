"""The module of a state: the weights last learned, and the steps taken since carried out on them."""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..errors import InputError, SurgeryError
from ..graph import Graph, Plan, as_built
from ..hardware import Weights
from ..progress import Progress, shown
from ..state import Applied, Base, Change, Learned, State, check_images, check_weights, tensors_of, weights_of
from .build import build

__all__ = ["build_state", "built_without_images", "example_inputs", "measured_weights", "require_one_image"]

_MOST_KEPT = 2  # built modules
_BUILT: OrderedDict[tuple[Base, tuple[Change, ...]], nn.Module] = OrderedDict()
# Weights that were learned -> the module that has them: what later steps of one history are all carried out on.
_MODULES: WeakKeyDictionary[Learned, nn.Module] = WeakKeyDictionary()


def build_state(state: State, calibration: torch.Tensor | None = None, distil: int = 0) -> nn.Module:
    """The edited model, a module of its own class, in evaluation mode.

    calibration: images [N, C, H, W] on which replaced blocks are fitted and batch norms re-estimated. distil: training
    steps a fitted block towards the outputs of the one it replaces, on those images.
    Raises InputError for images the network does not read, SurgeryError where a plan cannot be carried out.
    """
    if not isinstance(distil, int) or isinstance(distil, bool) or distil < 0:
        raise InputError(f"distil is {distil!r}; it must be a whole number of steps, 0 or more, such as 300")
    if distil and calibration is None:
        raise InputError(f"distil={distil} learns from images: give them as calibration=")
    if calibration is not None:
        require_one_image(state, "calibration")
        check_images(calibration, "calibration", state.input_size)
    if calibration is None or not state.plans_since_learned:
        return copy.deepcopy(built_without_images(state))
    if not distil:
        return _built(state, calibration)
    with shown("distilling") as progress:
        return _built(state, calibration, distil, progress)


def built_without_images(state: State) -> nn.Module:
    """What `build_state` makes without calibration, shared and never changed; the last ones are kept.

    A step that is tried when it is taken, compiled and exported is built once.
    """
    if not state.plans_since_learned:
        return state.base.module if state.learned is None else _with_learned(state)
    key = state.base, state.changes
    module = _BUILT.get(key)
    if module is None:
        module = _BUILT[key] = _built(state)
        while len(_BUILT) > _MOST_KEPT:
            _BUILT.popitem(last=False)
    return module


def _built(
    state: State, calibration: torch.Tensor | None = None, distil: int = 0, progress: Progress | None = None
) -> nn.Module:
    """The steps since weights were last learned, carried out on the module that has them."""
    learned, base = state.learned, state.base
    start, graph = (base.module, base.graph) if learned is None else (_with_learned(state), learned.graph)
    plans, inputs = state.plans_since_learned, base.example_inputs
    return build(start, graph, plans, calibration, distil, progress, inputs, base.width_rules)


def measured_weights(state: State) -> tuple[Graph, Weights | None, str]:
    """The graph and the weights that a compiler is given for a state, and whose weights they are, in words.

    Weights None: seeded random values, because a freshly created model's residual branches may be all zero, or because
    the edited module cannot be built.
    """
    learned = state.learned
    if learned is None and state.base.weights == "initial":
        return state.graph, None, "seeded random values, the model is untrained"
    try:
        weights = weights_of(tensors_of(built_without_images(state)))
    except SurgeryError as error:
        return state.graph, None, f"seeded random values, because the edited module cannot be built ({error})"
    return as_built(state.graph), weights, state.base.weights_source if learned is None else learned.source


def require_one_image(state: State, what: str) -> None:
    """Raise InputError, naming what it is for, where the network does not read one tensor of images."""
    inputs = state.base.example_inputs
    if inputs is not None and not (len(inputs) == 1 and isinstance(inputs[0], torch.Tensor) and inputs[0].dim() == 4):
        count = len(state.base.graph.inputs)
        reads = f"{count} inputs" if count > 1 else f"an input of shape {state.base.graph.inputs[0].shape}"
        raise InputError(f"{what} takes images of a network that reads one; {state.model_name} reads {reads}")


def example_inputs(state: State) -> tuple[Any, ...]:
    """Inputs of the shapes the network reads (batch 1), the same ones each time."""
    inputs = state.base.example_inputs
    if inputs is not None:
        return inputs
    assert state.input_size is not None
    return (torch.randn(1, *state.input_size, generator=torch.Generator().manual_seed(0)),)


def _with_learned(state: State) -> nn.Module:
    """The module with the weights last learned, before the steps taken since; shared, never changed."""
    learned = state.learned
    assert learned is not None
    if learned not in _MODULES:
        earlier = state.changes[: state.changes.index(learned)]
        plans = [plan for change in earlier if isinstance(change, Applied) for plan in change.plans]
        module = _carried_out(state.base, plans) if plans else state.base.copy()
        check_weights(module, learned.weights, learned.source, state.model_name)
        module.load_state_dict(learned.weights)
        _MODULES[learned] = module
    return _MODULES[learned]


def _carried_out(base: Base, plans: Sequence[Plan]) -> nn.Module:
    """The module as it was opened with plans carried out."""
    return build(base.module, base.graph, plans, inputs=base.example_inputs, width_rules=base.width_rules)
