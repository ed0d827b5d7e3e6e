"""Surgery: plans carried out on modules and weights, and what that did to the function."""

from .build import build
from .building import build_state, example_inputs, measured_weights, require_one_image
from .compress import recompress
from .fidelity import fidelity
from .trial import require_buildable

__all__ = [
    "build",
    "build_state",
    "example_inputs",
    "fidelity",
    "measured_weights",
    "recompress",
    "require_buildable",
    "require_one_image",
]
