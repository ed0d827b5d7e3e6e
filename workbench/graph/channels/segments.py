"""Segments of channels and where they stand: what the pass over the channels answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ChannelLayout", "Channels", "Segment", "source_channels"]


@dataclass(frozen=True)
class Segment:
    """Consecutive channels that always have one width, wherever they stand.

    name: module path of the layer that makes it ("blocks.1.0.conv_pw"; "path:1", "path:2" where one layer's
    channels are several segments).
    multiple: its width must be a multiple of this. chunks: its channels stand in that many equal chunks (the
    groups of a grouped convolution), which grow and shrink alike.
    frozen: why it cannot be resized ("" where it can). no_pad: why widening it with zeros would change the
    function ("" where it would not).
    """

    name: str
    width: int
    multiple: int = 1
    chunks: int = 1
    frozen: str = ""
    no_pad: str = ""


@dataclass(frozen=True)
class ChannelLayout:
    """A tensor's channel axis as a sequence of segment names.

    Each channel stands for `repeat` consecutive elements: 49 behind the flattening of a 7x7 map, 2 behind a
    depthwise convolution with channel multiplier 2.
    """

    axis: int
    segments: tuple[str, ...]
    repeat: int = 1


@dataclass(frozen=True)
class Channels:
    """segments: by name. layout: of each tensor by name (absent where its channels cannot be followed).

    equal: sets of segments that are cut as equal parts of one tensor and must stay of one width.
    """

    segments: Mapping[str, Segment]
    layout: Mapping[str, ChannelLayout]
    equal: tuple[tuple[str, ...], ...] = ()

    def together(self, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """The names in sets that move as one: equal parts, where all of them are among the names; others alone.

        A name whose equal parts are not all among the names is left out.
        """
        index = {name: i for i, name in enumerate(names)}
        sets = {name: frozenset((name,)) for name in index}
        for parts in self.equal:
            joined = frozenset(parts).union(*(sets[name] for name in parts if name in sets))
            sets |= dict.fromkeys(joined, joined)
        whole = dict.fromkeys(sets[name] for name in index if sets[name] <= index.keys())
        return tuple(tuple(sorted(members, key=index.__getitem__)) for members in whole)

    def made_by(self, module: str) -> tuple[str, ...]:
        """Names of the segments the layer at this path makes."""
        return tuple(name for name in self.segments if name.partition(":")[0] == module)


def source_channels(segment: Segment, width: int, keep: Sequence[int] | None = None) -> tuple[int | None, ...]:
    """Where each channel of the resized segment comes from: an old index, or None for a new one.

    keep: old indices that stay when it shrinks (the first ones of every chunk where it is None); they must be
    spread evenly over the segment's chunks. New channels stand at the end of their chunk.

    >>> source_channels(Segment("conv", 4, chunks=2), 6)
    (0, 1, None, 2, 3, None)
    >>> source_channels(Segment("conv", 4), 2, keep=(3, 1))
    (1, 3)
    """
    old, new = segment.width // segment.chunks, width // segment.chunks
    sources: list[int | None] = []
    for chunk in range(segment.chunks):
        inside = range(chunk * old, (chunk + 1) * old)
        stay = list(inside)[:new] if keep is None else sorted(i for i in keep if i in inside)
        if keep is not None and new <= old and len(stay) != new:
            raise ValueError(f"{segment.name}: chunk {chunk} keeps {len(stay)} channels, {new} are asked for")
        sources += stay[:new] + [None] * (new - min(len(stay), new))
    return tuple(sources)
