"""The errors the workbench raises on purpose.

Every message is one sentence with the value, the rule it breaks and the nearest valid choice; every error
is raised before anything is written or changed.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BudgetError",
    "FileFormatError",
    "InputError",
    "InputWarning",
    "NoiseWarning",
    "NotApplicable",
    "SurgeryError",
    "TraceError",
    "UnknownName",
    "WorkbenchError",
    "first_line",
    "unknown",
]


class WorkbenchError(Exception):
    """The base of every error raised on purpose."""


class InputError(WorkbenchError, ValueError):
    """A value the caller gave breaks a rule."""


class UnknownName(InputError):
    """A model, target, block pattern, option or key that does not exist."""


class TraceError(WorkbenchError):
    """torch.export cannot turn the module into a graph."""


class NotApplicable(WorkbenchError):
    """A transform that does not apply: names the block and the rule."""


class SurgeryError(WorkbenchError):
    """A plan that cannot be carried out on the module (the graph alone can still be estimated)."""


class BudgetError(WorkbenchError):
    """No plan meets the budgets: names the wall. nearest: the state that comes nearest, None where there is none."""

    nearest: object = None

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: an honest no is no crash, so the sentence stands without a traceback."""
        lines = [f"{type(self).__name__}: {self}"]
        if self.nearest is not None:
            lines += [
                f"The nearest: {self.nearest!r}",
                "Take it by: except wb.errors.BudgetError as no: session = no.nearest",
            ]
        return lines


class FileFormatError(WorkbenchError, ValueError):
    """A recipe, session or measurement file that is damaged or of another version."""


class InputWarning(UserWarning):
    """Inputs that were taken otherwise than they were given."""


class NoiseWarning(UserWarning):
    """Images that look like random numbers, where pictures are needed."""


def unknown(what: str, value: object, choices: Iterable[str]) -> UnknownName:
    """The error for a name that does not exist, with the nearest one that does.

    >>> str(unknown("target", "ethos-u65-521", ["ethos-u65-512", "ethos-u55-128"]))
    "unknown target 'ethos-u65-521'; the nearest is 'ethos-u65-512'"
    """
    names = sorted(set(choices))
    near = get_close_matches(str(value), names, n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    return UnknownName(f"unknown {what} {value!r}{hint}")


def first_line(error: BaseException) -> str:
    """What another package's error says first, without a full stop; its class where it says nothing.

    >>> first_line(ValueError("no such layer."))
    'no such layer'
    """
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
