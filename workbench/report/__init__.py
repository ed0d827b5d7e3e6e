"""Sessions for people to read: the static picture, the page that is sent around, tables with units."""

from .document import page
from .notebook import notebook
from .overview import picture
from .tables import METRICS, Metric, change_text, compare_table, metric_text, shape_text

__all__ = [
    "METRICS",
    "Metric",
    "change_text",
    "compare_table",
    "metric_text",
    "notebook",
    "page",
    "picture",
    "shape_text",
]
