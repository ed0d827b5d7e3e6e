"""Training: tasks with their data, one deterministic loop, scores."""

from .loop import Schedule, Trained, fit, named
from .scoring import Score, prepared, score, score_with
from .tasks import EMBEDDED, Classification, Task, resolve_task

__all__ = [
    "EMBEDDED",
    "Classification",
    "Schedule",
    "Score",
    "Task",
    "Trained",
    "fit",
    "named",
    "prepared",
    "resolve_task",
    "score",
    "score_with",
]
