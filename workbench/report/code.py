"""A state as Python: the code that opens the model and makes every change again, to paste into a cell."""

from collections.abc import Sequence
from typing import Any

from ..hardware import Target
from ..state import Applied, Base, Change, Learned, State
from ..transforms import Transform, describe_fully

__all__ = ["change_code", "code", "steps_code", "target_code"]


def code(state: State) -> str:
    """The whole branch: `session` after it is the same network on the same target, with the same notes.

    What no code can bring stands as a comment beside the name that has to be there: a module of one's own (`module`),
    its inputs (`example_inputs`), a task (`task`), rules for widths (`width_rules`), and weights that were learned.
    """
    target = state.target
    if state.changes and isinstance(state.changes[0], Applied):
        target = state.changes[0].planned_on
    lines = ["import workbench as wb", "", f"session = {_open(state.base, target)}"]
    for change in state.changes:
        on = ""
        if isinstance(change, Applied) and change.planned_on != target:
            target = change.planned_on
            on = f".on({target_code(target)})"
        lines += _lines(change, on)
    if target != state.target:
        lines.append(f"session = session.on({target_code(state.target)})")
    lines += [f"session = session.annotate({path!r}, {text!r})" for path, text in state.annotations]
    return "\n".join(lines) + "\n"


def change_code(change: Applied, session: str) -> str:
    """The expression that applies a change to the session of that name (or expression)."""
    return steps_code([step.transform for step in change.steps], change.recipe, session)


def steps_code(transforms: Sequence[Transform], recipe: str, session: str) -> str:
    """The expression that applies transforms as one change; recipe: the name they come under, "" for a single one."""
    calls = [f"wb.{describe_fully(transform)}" for transform in transforms]
    if not recipe and len(calls) == 1:
        return f"{session}.apply({calls[0]})"
    steps = "".join(f"    {call},\n" for call in calls)
    return f"{session}.apply(wb.Recipe({recipe!r}, (\n{steps})))"


def target_code(target: Target) -> str:
    """The argument that names a target.

    >>> from workbench.hardware import resolve
    >>> target_code(resolve("ethos-u65-512")), target_code(resolve("ethos-u65-512").configured(strategy="size"))
    ("'ethos-u65-512'", "wb.Target.ethos_u('ethos-u65-512', strategy='size')")
    """
    options = target.describe()
    if isinstance(options, str):
        return repr(options)
    accelerator = options["accelerator"]
    return f"wb.Target.ethos_u({', '.join([repr(accelerator), *_keywords(options, 'accelerator')])})"


def _open(base: Base, target: Target) -> str:
    arguments = ["module" if base.custom else repr(base.name), f"target={target_code(target)}"]
    comments = [f"module: your {base.name}"] if base.custom else []
    if base.input_size is not None:
        arguments.append(f"input_size={base.input_size!r}")
    else:
        arguments.append("example_inputs=example_inputs")
        comments.append("example_inputs: what it reads, in a tuple")
    if base.classes is not None:
        arguments.append("task=task")
        comments.append(f"task: of {base.classes} classes, {base.head}")
    if base.weights == "pretrained":
        arguments.append("pretrained=True")
    elif base.weights == "checkpoint" and base.source is not None:
        arguments.append(f"checkpoint={base.source.file!r}")
    if base.width_rules:
        arguments.append("width_rules=width_rules")
        comments.append(f"width_rules: of {', '.join(cls.__name__ for cls in base.width_rules)}")
    comment = f"  # {'; '.join(_one_line(text) for text in comments)}" if comments else ""
    return f"wb.open({', '.join(arguments)}){comment}"


def _lines(change: Change, on: str) -> list[str]:
    if isinstance(change, Learned):
        return [f"# Here weights were learned: {_one_line(change.source)}. A session file brings them along, or again",
                "# session = session.finetune(...) or session.with_weights(...)"]  # fmt: skip
    return [f"session = {change_code(change, f'session{on}')}"]


def _keywords(options: dict[str, Any], but: str) -> list[str]:
    return [f"{name}={value!r}" for name, value in options.items() if name != but]


def _one_line(text: str) -> str:
    return " ".join(text.split())
