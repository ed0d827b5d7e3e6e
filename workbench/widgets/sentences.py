"""What the bench says in words: the first sentence for a newcomer, findings by block, the code of a branch."""

from typing import Any

import pandas as pd

from ..metrics import METRICS, metric_text
from ..recipe import to_step
from ..state import Applied, State
from ..transforms import Transform, describe
from .choices_view import code_of

__all__ = ["branch_code", "budget_view", "findings_view", "first_sentence"]

_MOST = 60  # findings that are sent


def first_sentence(state: State, findings: pd.DataFrame) -> str:
    """What the network costs, how few blocks take half of it, and the costliest cause."""
    estimate = state.try_estimate
    if estimate is None:
        return ""
    blocks = estimate.blocks.sort_values("share", ascending=False)
    count = int((blocks["share"].cumsum() < 0.5).sum()) + 1
    first = blocks.iloc[0]
    most = f"{100 * first['share']:.0f} %"
    half = f"{count} of its {len(blocks)} blocks take half of it, {first['name']} the most ({most})"
    alone = f"one of its {len(blocks)} blocks, {first['name']}, takes {most} of it"
    text = f"{metric_text('latency_ms', estimate.latency_ms)} estimated: {half if count > 1 else alone}."
    timed = findings[(findings["rule"] != "memory peak") & (findings["block"] != "")]
    if len(timed):
        cause = timed.iloc[0]
        text += f" First to mend, {cause['block']}: {cause['finding']}."
    return text


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


def branch_code(state: State) -> str:
    """Every gesture of the branch as a cell of Python; weights are no code and stand as a comment."""
    base = state.base
    model = "module" if base.custom else repr(base.name)
    size = "" if base.input_size is None else f", input_size={tuple(base.input_size)!r}"
    more = ", pretrained=True" if base.weights == "pretrained" else ""
    lines = ["import workbench as wb", "", f"session = wb.open({model}, target={state.target.name!r}{size}{more})"]
    for change in state.changes:
        if isinstance(change, Applied):
            lines.append(code_of(change.recipe or str(change), [step.transform for step in change.steps]))
        else:
            lines.append(f"# {change}: kept in the session's file, session.save(...)".replace("\n", " "))
    lines += [f"session = session.annotate({path!r}, {text!r})" for path, text in state.annotations]
    return "\n".join(lines)
