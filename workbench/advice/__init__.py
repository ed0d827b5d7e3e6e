"""Advice: what ails a network on a target, which steps mend it, and the plan that meets budgets."""

from .budgets import Met, ScoreBudget, Steps, meet, meet_score
from .edit_price import UNTRAINED
from .findings import findings
from .losses import losses_of
from .suggestions import suggest

__all__ = ["UNTRAINED", "Met", "ScoreBudget", "Steps", "findings", "losses_of", "meet", "meet_score", "suggest"]
