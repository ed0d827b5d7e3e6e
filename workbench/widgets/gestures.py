"""What a command from the browser means, and the sentence that answers it."""

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..metrics import change_text
from ..recipe import Recipe, from_step
from ..state import State
from ..transforms import Transform, describe

__all__ = ["edit_of", "effect_text", "sentence", "whole_number"]


def edit_of(command: Mapping[str, Any]) -> tuple[Transform | Recipe, str]:
    """What a command applies, and its name: one transform from the form, or the steps of a row, one change for undo.

    Raises what `from_step` does.
    """
    steps = command.get("steps")
    if steps is None:
        transform = from_step({"transform": command.get("transform"), **command.get("params", {})})
        return transform, describe(transform)
    transforms = tuple(from_step(step) for step in steps)
    if not transforms:
        raise InputError("steps is empty; a step is needed, such as {'transform': 'FuseIBN'}")
    if len(transforms) == 1:
        return transforms[0], describe(transforms[0])
    recipe = Recipe(str(command.get("name") or "several steps"), transforms)
    return recipe, recipe.name


def whole_number(command: Mapping[str, Any], key: str) -> int:
    """A whole number of a command; raises InputError for anything else."""
    value = command.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{key} is {value!r}; it must be a whole number")
    return value


def effect_text(before: State, after: State) -> str:
    """The change of latency, of arithmetic where no latency is known."""
    a, b = before.try_estimate, after.try_estimate
    if a is None or b is None:
        return f"{change_text(before.graph.macs, after.graph.macs)} MACs"
    return f"{change_text(a.latency_ms, b.latency_ms)} latency (estimated)".replace("±0 %", "no change of")


def sentence(text: str) -> str:
    """The first line, ended with a full stop; no capital, because it may begin with a block's name."""
    line = (text.strip().splitlines() or ["It did not work"])[0]
    return line + ("" if line.endswith((".", "!", "?")) else ".")
