"""Graph and task -> accuracy: what can be said of a network before it is trained."""

from .evidence import evidence, keep
from .features import Features
from .forecast import Forecast, Question, forecast, forecast_unedited
from .zero_shot import rank_together, zero_shot

__all__ = [
    "Features",
    "Forecast",
    "Question",
    "evidence",
    "forecast",
    "forecast_unedited",
    "keep",
    "rank_together",
    "zero_shot",
]
