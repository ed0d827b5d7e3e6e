"""Training: tasks with their data, heads for them, one deterministic loop, scores with intervals."""

from .detection import Detection
from .distance import Distance, distance
from .heads import HEADS, Detector, Segmenter
from .lookup import EMBEDDED, reference_of, resolve_task
from .loop import Schedule, Trained, fit, named
from .parts import Part, check_chosen_on, check_judged
from .scores import Difference, Score
from .scoring import prepared, score, score_with
from .segmentation import Segmentation
from .tasks import Classification, Task

__all__ = [
    "EMBEDDED",
    "HEADS",
    "Classification",
    "Detection",
    "Detector",
    "Difference",
    "Distance",
    "Part",
    "Schedule",
    "Score",
    "Segmentation",
    "Segmenter",
    "Task",
    "Trained",
    "check_chosen_on",
    "check_judged",
    "distance",
    "fit",
    "named",
    "prepared",
    "reference_of",
    "resolve_task",
    "score",
    "score_with",
]
