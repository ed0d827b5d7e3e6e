"""Surgery: plans carried out on modules and weights, and what that did to the function."""

from .build import build
from .compress import recompress
from .fidelity import fidelity

__all__ = ["build", "fidelity", "recompress"]
