"""Steps tried on the network itself when they are taken, so that what surgery cannot do is known at once.

A graph does not show what a module's own code counts on: widths it slices at, sizes it pads to, parameters it shares or
computes. timm's and torch's own classes are known; of any other the plan is carried out, without images, and the result
compared with the plan.
"""

from functools import lru_cache

from torch import nn

from ..errors import NotApplicable, SurgeryError
from ..state import Base, State
from .building import build_state

__all__ = ["require_buildable"]

_KNOWN = ("timm.", "torch.nn.modules.")


def require_buildable(state: State) -> None:
    """Raise NotApplicable, with the block and the rule, where the state's last change cannot be carried out.

    Networks of timm's own are not tried, as surgery knows their classes: that keeps `apply` at milliseconds.
    """
    if not _is_known(state.base):
        try:
            build_state(state)
        except SurgeryError as error:
            raise NotApplicable(f"{state.changes[-1]} cannot be carried out: {error}") from error


@lru_cache(maxsize=64)
def _is_known(base: Base) -> bool:
    """Whether the network is timm's, with nothing in it that its user changed."""
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
