"""What every transform is: a small frozen dataclass of parameters with one method, `plan`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Self

from ..errors import unknown
from ..graph import Graph, Plan
from ..targets import Target

__all__ = ["Blocks", "Transform"]

# A selector (see `select.py`) or several of them.
Blocks = str | tuple[str, ...]


@dataclass(frozen=True)
class Transform(ABC):
    """A step an expert takes on a network.

    It holds only its parameters, reads graphs, and makes plans: it never touches weights or changes a graph. An
    unknown parameter raises UnknownName with the nearest.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        names = [f.name for f in fields(cls)]
        for name in options:
            if name not in names:
                raise unknown(f"option of {cls.__name__}", name, names)
        return super().__new__(cls)

    @abstractmethod
    def plan(self, graph: Graph, target: Target) -> Plan:
        """The edits this transform makes on `graph` for `target`.

        Raises NotApplicable, naming a block and the rule, where none of the selected blocks can take it, and
        UnknownName where a selector names no block.
        """
