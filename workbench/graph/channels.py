"""Which channels move together: ordered segments of every tensor's channel dimension."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ir import Graph

__all__ = ["Channels", "Layout", "Segment", "trace_channels"]


@dataclass(frozen=True)
class Segment:
    """A run of channels that always has one width, wherever it appears.

    name: module path of the operator that makes it first ("blocks.1.0.conv_pw").
    multiple: its width must be a multiple of this. frozen: why it cannot be resized ("" where it can).
    no_pad: why it cannot be widened with zeros ("" where it can: widening is then exact).
    """

    name: str
    width: int
    multiple: int = 1
    frozen: str = ""
    no_pad: str = ""


@dataclass(frozen=True)
class Layout:
    """A tensor's channel axis as a sequence of segment names; each channel stands for `repeat` elements (flatten)."""

    axis: int
    segments: tuple[str, ...]
    repeat: int = 1


@dataclass(frozen=True)
class Channels:
    """segments: by name. layout: tensor name -> its Layout (absent where channels cannot be followed)."""

    segments: Mapping[str, Segment]
    layout: Mapping[str, Layout]


def trace_channels(graph: "Graph") -> Channels:
    raise NotImplementedError
