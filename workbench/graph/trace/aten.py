"""The exporter's vocabulary: the kind of every ATen operator and its attributes, as `kinds.py` lists them.

Pure Python: `tracer.py` binds the arguments by the operator's schema and hands them over with every tensor
replaced by its shape (a tuple). A rule returns None where the operator is used in a way the graph has no kind
for; it then keeps the exporter's name.
"""

from collections.abc import Mapping

from ..kinds import ARITHMETIC, KINDS
from .aten_dimensions import DIMENSION_RULES
from .aten_layers import LAYER_RULES
from .aten_rule import Rule

__all__ = ["BROADCASTING", "OF_SHAPES", "PARAMETERS", "PASS_THROUGH", "RULES", "VIEWS"]

# Identities at inference; their consumers read what they read.
PASS_THROUGH = frozenset(
    "dropout feature_dropout alpha_dropout alias detach contiguous clone to _to_copy type_as positive lift_fresh_copy "
    "dropout_ feature_dropout_ alpha_dropout_".split()
)
# Operators whose output shares memory with their input: an in-place write to one is seen by the other.
VIEWS = frozenset(
    "view reshape view_as reshape_as flatten unflatten squeeze unsqueeze transpose permute t movedim swapaxes slice "
    "select narrow split split_with_sizes chunk unbind tensor_split expand expand_as".split()
)
# Operators that read the shape of a tensor and nothing else: what they make is constant.
OF_SHAPES = frozenset("zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty".split())
# Operators that broadcast their inputs, so that an explicit expand in front of them does nothing.
BROADCASTING = frozenset(name + end for name in ARITHMETIC - {"addcmul"} for end in ("", "_"))
# Arguments that are the operator's own parameters rather than feature maps; these kinds have ATen's names.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    name: kind.params for name, kind in KINDS.items() if "weight" in kind.params
}
RULES: Mapping[str, Rule] = {**LAYER_RULES, **DIMENSION_RULES}
