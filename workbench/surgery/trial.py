"""Steps tried on the network itself when they are taken, so that what surgery cannot do is known at once.

A graph does not show what a module's own code counts on: widths it slices at, sizes it pads to, parameters it shares or
computes. timm's and torch's own classes are known; of any other the plan is carried out, without images, and the result
compared with the plan.
"""

import copy
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..errors import NotApplicable, SurgeryError
from ..graph import Graph
from ..graph.paths import around
from ..state import Base, State
from .building import built_without_images, example_inputs

__all__ = ["require_buildable"]

_KNOWN = ("timm.", "torch.nn.modules.")


def require_buildable(state: State) -> None:
    """Raise NotApplicable, with the block and the rule, where the state's last change cannot be carried out.

    Networks of timm's own are not tried, as surgery knows their classes: that keeps `apply` at milliseconds.
    """
    if not _is_known(state.base):
        step = state.changes[-1]
        try:
            built = built_without_images(state)
        except SurgeryError as error:
            raise NotApplicable(f"{step} cannot be carried out: {error}") from error
        idle = _runs_in_training_only(state.base.module, state.base.graph)
        if not idle or not _learns(state.base.module, example_inputs(state.baseline)):
            return
        if not _learns(built, example_inputs(state)):
            cls = type(built.get_submodule(idle)).__name__
            raise NotApplicable(
                f"{step} cannot be carried out: {idle} ({cls}) runs in training only and reads channels that would "
                f"change; open the network without it, or select other blocks"
            )


@lru_cache(maxsize=64)
def _is_known(base: Base) -> bool:
    """Whether the network is timm's, with nothing in it that its user changed or gave rules for."""
    if base.width_rules:
        return False
    if not base.custom:
        return True
    classes = [cls for _, cls in base.graph.modules]
    return classes[0].startswith("timm.") and all(cls.startswith(_KNOWN) for cls in classes) and _untouched(base.module)


def _untouched(module: nn.Module) -> bool:
    """Whether no parameter is shared, no forward function exchanged and no hook set."""
    keys = [key for key, _ in module.named_parameters(remove_duplicate=False)]
    shared = len(keys) != len(list(module.parameters()))
    patched = any("forward" in vars(m) or m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    return not shared and not patched


def _runs_in_training_only(module: nn.Module, graph: Graph) -> str:
    """Path of the first module with parameters of which nothing runs in evaluation mode, "" where there is none."""
    running = {path for op in graph.ops for path in around(op.module)}
    running |= {path for op in graph.ops for p in op.params for path in around(p.name.rpartition(".")[0])}
    holders = (path for path, inside in module.named_modules() if path and any(True for _ in inside.parameters()))
    return next((path for path in holders if path not in running), "")


@torch.no_grad()
def _learns(module: nn.Module, inputs: tuple[object, ...]) -> bool:
    """Whether the module runs in training mode on a batch of two."""
    pair = pytree.tree_map(lambda leaf: torch.cat([leaf, leaf]) if isinstance(leaf, Tensor) else leaf, inputs)
    try:
        copy.deepcopy(module).train()(*pair)
    except Exception:  # whatever the module's own code raises
        return False
    return True
