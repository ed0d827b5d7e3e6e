"""Graph and task -> accuracy: what can be said of a network before it is trained."""

from .zero_shot import rank_together, zero_shot

__all__ = ["rank_together", "zero_shot"]
