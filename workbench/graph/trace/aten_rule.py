"""What a rule for an ATen operator is given and answers."""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Arguments", "Attrs", "Operator", "Rule", "Shape", "as_pair", "plain", "positive_axis"]

Shape = tuple[int, ...]
Attrs = dict[str, Any]
Arguments = Mapping[str, Any]  # by the names of the operator's schema, every tensor replaced by its shape
Operator = tuple[str, Attrs]  # kind and attributes
Rule = Callable[[Arguments, Shape], Operator | None]  # arguments, output shape; None where the graph has no kind for it


def as_pair(value: Any) -> tuple[int, int]:
    """One number for both directions, or one for each."""
    if isinstance(value, int):
        return (value, value)
    return (int(value[0]), int(value[-1]))


def positive_axis(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    return axis % rank if rank else 0


def plain(kind: str) -> Rule:
    """The rule of an operator that has no attributes here."""
    return lambda arguments, out: (kind, {})
