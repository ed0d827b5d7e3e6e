"""What the bench says in words: findings by block, budgets."""

from typing import Any

import pandas as pd

from ..metrics import METRICS, metric_text
from ..recipe import to_step
from ..state import State
from ..transforms import Transform, describe

__all__ = ["budget_view", "findings_view"]

_MOST = 60  # findings that are sent


def findings_view(findings: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict per finding: block, rule, severity, text, and the step that mends it with its code."""
    rows = []
    for finding in findings.head(_MOST).to_dict("records"):
        mend = finding["mend"]
        has = isinstance(mend, Transform)
        rows.append(
            {
                "block": str(finding["block"]),
                "rule": str(finding["rule"]),
                "severity": str(finding["severity"]),
                "text": str(finding["finding"]),
                "mend": describe(mend) if has else "",
                "steps": [to_step(mend)] if has else [],
            }
        )
    return rows


def budget_view(budgets: dict[str, float], state: State) -> dict[str, Any]:
    """Metric -> value of its budget, text, whether it is met (None where unknown)."""
    figures = state.figures
    shown: dict[str, Any] = {}
    for name, value in budgets.items():
        figure = figures[name]
        met = None if figure is None else bool(figure <= value * (1 + 1e-9))
        shown[name] = {"value": value, "text": metric_text(name, value), "met": met, "label": METRICS[name].short}
    return shown
