"""Advice: what ails a network on a target, which steps mend it, and the plan that meets budgets."""

from .budgets import Budgets, Met, meet
from .findings import findings
from .suggestions import suggestions

__all__ = ["Budgets", "Met", "findings", "meet", "suggestions"]
