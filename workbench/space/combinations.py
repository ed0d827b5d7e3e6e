"""What may be done to a block: single options, narrower insides, and what of these goes together.

The widths of a block's inside are a ladder of choices "narrow SHARE", from every count of channels to a few that the
target likes:

    w             channels inside the block, its widest segment
    m             the multiple of channels that the target favours
    every count   1, 2, ..., w - 1      (in steps of what the layers' groups allow)
    favoured      m, 2 m, ... < w
    shares of n   k w / n rounded to m, k = 1 .. n - 1; of shares that give one width the nearest names it
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import combinations
from math import lcm

from ..graph import Block, Graph
from ..hardware import Target
from ..transforms import TRANSFORMS, ExpandRatio, Transform
from ..transforms.expand_ratio import LARGEST, inner_segments
from .slots import Choice

__all__ = ["block_edits", "combined", "every_width", "favoured_widths", "is_narrower", "shares"]

NARROW = "narrow *"
# Labels in the order in which they are taken; one of a row at most.
_SEQUENCE = (("kernel",), ("gate",), ("activation",), ("dense", "fuse"), (NARROW,))


def is_narrower(label: str) -> bool:
    """Whether a choice of this label ends in a narrower inside."""
    return fnmatchcase(label.rpartition(", ")[2], NARROW)


def block_edits(graph: Graph, block: Block) -> Mapping[str, Transform]:
    """Label -> what its transforms offer for a block, narrower insides left out; none for a head."""
    if block.kind == "head":
        return {}
    options: dict[str, Transform] = {}
    for transform in TRANSFORMS.values():
        options |= transform.block_options(graph, block)
    return {label: edit for label, edit in options.items() if not is_narrower(label)}


def combined(options: Mapping[str, Transform], most: int) -> Iterator[Choice]:
    """Choices of one to `most` options of a block, single ones first, each in the order in which they are taken."""
    ordered = {label: row for label in options if (row := _row(label)) is not None}
    for label, transform in options.items():
        yield Choice(label, (transform,))
    for count in range(2, most + 1):
        for labels in combinations(sorted(ordered, key=lambda label: ordered[label]), count):
            if len({ordered[label] for label in labels}) == count:
                yield Choice(", ".join(labels), tuple(options[label] for label in labels))


def _row(label: str) -> int | None:
    return next((i for i, row in enumerate(_SEQUENCE) if any(fnmatchcase(label, part) for part in row)), None)


def every_width(graph: Graph, block: Block) -> Sequence[int]:
    """The counts of channels that the block's inside may be narrowed to; none where no width is the block's own."""
    segments = inner_segments(graph, block)
    if block.kind == "head" or not segments:
        return ()
    widest = max(segments, key=lambda segment: segment.width)
    return range(widest.multiple, widest.width, widest.multiple)


def favoured_widths(graph: Graph, block: Block, target: Target) -> Sequence[int]:
    """Those of `every_width` that are multiples of the channels the target favours."""
    widths = every_width(graph, block)
    if not widths:
        return ()
    step = lcm(target.channel_multiple, widths[0])
    return range(step, widths[-1] + 1, step)


def shares(
    graph: Graph, block: Block, widths: Sequence[int], count: int | None, multiple: int | None = None
) -> Mapping[str, Transform]:
    """Label -> a narrower inside, for the block as it is at hand.

    widths: those it may take, evenly apart. count: shares of the whole, each rounded to one of `widths`; None: all of
    them. multiple: as for `ExpandRatio`; it must give these widths.
    """
    if not widths or block.mid_width < 1 or block.width < 1:
        return {}
    whole = max(segment.width for segment in inner_segments(graph, block))
    names = {width: width / whole for width in widths} if count is None else _nearest_shares(whole, widths, count)
    ratios = {f"narrow {round(share, 4):g}": width / whole for width, share in names.items()}
    expansion = block.mid_width / block.width
    return {
        label: ExpandRatio(ratio, block.name, multiple=multiple)
        for label, part in ratios.items()
        if 0 < (ratio := round(part * expansion, 4)) <= LARGEST
    }


def _nearest_shares(whole: int, widths: Sequence[int], count: int) -> Mapping[int, float]:
    """Width -> the share k / count that names it, the largest first."""
    step = widths[0]
    names: dict[int, float] = {}
    for share in (k / count for k in range(count - 1, 0, -1)):
        width = max(step, round(whole * share / step) * step)
        if width in widths and abs(share - width / whole) < abs(names.get(width, 2.0) - width / whole):
            names[width] = share
    return names
