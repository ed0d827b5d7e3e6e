"""Advice: what ails a network on a target, which steps mend it, and the plan that meets budgets."""

from .budgets import Met, meet
from .findings import findings
from .losses import losses_of
from .suggestions import suggest

__all__ = ["Met", "findings", "losses_of", "meet", "suggest"]
