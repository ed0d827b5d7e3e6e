"""The state of a network under work, as a value: opened, changed, looked at on a target, compared."""

from .base import Base, Size
from .changes import Applied, Change, Edit, Learned, applied
from .images import Images, check_images
from .opening import Head, create, open_base, prepare
from .own_module import own_copy
from .pretrained import weights_at_hand
from .state import AnyState, State
from .tables import Delta, Verification
from .weight_source import WeightSource, digest_of
from .weights import check_weights, read_weights, tensors_of, weights_of
from .width_rules import BlockWidths, WidthRule, WidthRules

__all__ = [
    "AnyState",
    "Applied",
    "Base",
    "BlockWidths",
    "Change",
    "Delta",
    "Edit",
    "Head",
    "Images",
    "Learned",
    "Size",
    "State",
    "Verification",
    "WeightSource",
    "WidthRule",
    "WidthRules",
    "applied",
    "check_images",
    "check_weights",
    "create",
    "digest_of",
    "open_base",
    "own_copy",
    "prepare",
    "read_weights",
    "tensors_of",
    "weights_at_hand",
    "weights_of",
]
