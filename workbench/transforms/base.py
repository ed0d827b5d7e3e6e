"""What every transform is: a small frozen dataclass of parameters with one method, `plan`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ..errors import unknown
from ..graph import Block, Graph, Plan
from ..hardware import Target

__all__ = ["Blocks", "Transform", "describe", "describe_fully"]

# A selector (see `select.py`) or several of them.
Blocks = str | tuple[str, ...]


@dataclass(frozen=True)
class Transform(ABC):
    """A step an expert takes on a network.

    It holds only its parameters, reads graphs, and makes plans: it never touches weights or changes a graph. An
    unknown parameter raises UnknownName with the nearest, a value that breaks a rule raises InputError.
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

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        """What advice and searches may try on this block alone: label -> transform that names the block in full.

        A label says what the option is, whatever the widths of the network: "narrow 0.5". Whether the option applies
        is found out by planning it. None by default.
        """
        return {}

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        """What advice and searches may try on the network as a whole, or on a range of it. None by default."""
        return ()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """The transform as the benchmarks and the tests of all transforms take it; by default without parameters."""
        return (cls(),)

    def to_dict(self) -> dict[str, Any]:
        """The parameters as plain data; `from_dict` gives the same transform back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def non_defaults(self) -> dict[str, Any]:
        """The parameters that differ from their defaults; `blocks` always, because it says where."""
        values = {f.name: (getattr(self, f.name), f.default) for f in fields(self)}
        return {name: value for name, (value, default) in values.items() if name == "blocks" or value != default}

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """The transform with these parameters, lists as tuples.

        >>> from workbench.transforms import FuseIBN
        >>> FuseIBN.from_dict({"blocks": ["blocks.1.*", "blocks.2.0"]})
        FuseIBN(blocks=('blocks.1.*', 'blocks.2.0'))
        """
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})


def describe(transform: Transform) -> str:
    """The transform as code, without parameters left at their defaults.

    >>> from workbench.transforms import FuseIBN
    >>> describe(FuseIBN(blocks="blocks.1.*"))
    "FuseIBN(blocks='blocks.1.*')"
    """
    return _called(transform, {name: value for name, value in transform.non_defaults().items() if value != "*"})


def describe_fully(transform: Transform) -> str:
    """The transform as code, with every parameter: a default that changes one day changes no record of a step.

    >>> from workbench.transforms import FuseIBN
    >>> describe_fully(FuseIBN())
    "FuseIBN(blocks='*')"
    """
    return _called(transform, {f.name: getattr(transform, f.name) for f in fields(transform)})


def _called(transform: Transform, parameters: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
    return f"{type(transform).__name__}({inside})"
