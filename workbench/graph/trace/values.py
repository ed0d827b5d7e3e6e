"""What the tracer knows of the values between exported nodes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Constant", "FeatureMap", "Pieces", "tensors"]


@dataclass(eq=False)
class _Storage:
    """Memory that feature maps share; version: counts the writes into it."""

    version: int = 0


@dataclass(eq=False)
class FeatureMap:
    """A feature map: the operator that makes it, and the memory it stands in (views share one).

    version: of the storage when it was made; where the storage has a later one, its values are stale.
    """

    name: str
    shape: tuple[int, ...]
    storage: _Storage = field(default_factory=_Storage)
    version: int = 0

    def share(self, other: "FeatureMap") -> None:
        """Stand in the memory of another one, as views do."""
        self.storage, self.version = other.storage, other.version

    def write(self, name: str) -> None:
        """Hold what the operator of that name writes into it; other views of its memory become stale."""
        self.storage.version += 1
        self.name, self.version = name, self.storage.version


@dataclass(eq=False)
class Constant:
    """Computed from parameters, buffers and literals only.

    roots: state_dict keys it is computed from. key: its own where it is one itself. number: its value where it is one
    number. view: whether it shares memory with another constant.
    """

    name: str
    shape: tuple[int, ...]
    module: str
    roots: tuple[str, ...] = ()
    key: str = ""
    number: float | None = None
    view: bool = False


@dataclass(eq=False)
class Pieces:
    """What split, chunk and unbind make; every piece becomes an operator when it is taken.

    shapes: one a piece. drop: whether the axis, of one element a piece, is dropped.
    """

    source: Any
    axis: int
    shapes: tuple[tuple[int, ...], ...]
    drop: bool


def tensors(values: Iterable[Any]) -> Iterator[Any]:
    """The feature maps and constants among the arguments, lists included, in their order."""
    for value in values:
        if isinstance(value, FeatureMap | Constant):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(value)
