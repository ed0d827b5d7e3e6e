"""Advice: what ails a network on a target and why, which steps mend it, and the plan that meets budgets."""

from .block_names import block_words
from .budgets import meet
from .edit_price import UNTRAINED, untrained_badge
from .finding import Finding
from .findings import causes, findings, gain_text
from .live_bytes import Step, live_bytes, live_steps
from .losses import losses_of
from .parts import Part, time_parts
from .priced_network import Met, Steps
from .score_budget import ScoreBudget, meet_score
from .suggestions import suggest
from .why import headline, why

__all__ = [
    "UNTRAINED",
    "Finding",
    "Met",
    "Part",
    "ScoreBudget",
    "Step",
    "Steps",
    "block_words",
    "causes",
    "findings",
    "gain_text",
    "headline",
    "live_bytes",
    "live_steps",
    "losses_of",
    "meet",
    "meet_score",
    "suggest",
    "time_parts",
    "untrained_badge",
    "why",
]
