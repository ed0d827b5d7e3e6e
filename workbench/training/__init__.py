"""Training: tasks with their data, heads for them, one deterministic loop, scores."""

from .detection import Detection
from .heads import HEADS, Detector, Segmenter
from .lookup import EMBEDDED, resolve_task
from .loop import Schedule, Trained, fit, named
from .scoring import Score, prepared, score, score_with
from .segmentation import Segmentation
from .tasks import Classification, Task

__all__ = [
    "EMBEDDED",
    "HEADS",
    "Classification",
    "Detection",
    "Detector",
    "Schedule",
    "Score",
    "Segmentation",
    "Segmenter",
    "Task",
    "Trained",
    "fit",
    "named",
    "prepared",
    "resolve_task",
    "score",
    "score_with",
]
