"""How the cost follows a width: the curve behind the slider, with its knees, every point ready to be taken."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from ..estimators import estimate
from ..graph import Block
from ..metrics import TIMES, change_text, metric_text
from ..recipe import to_step
from ..report import steps_code
from ..space import Choice, option
from ..state import State
from ..transforms import DepthMultiplier, ExpandRatio, Transform
from .choices_view import ghost

__all__ = ["points", "widths", "with_knees"]

_RATIOS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
_MOST = 16  # points of a curve
_KNEE = 2.5  # times the middle step between neighbours

Point = dict[str, Any]


def widths(state: State, blocks: tuple[str, ...]) -> tuple[str, list[tuple[str, Transform]]]:
    """What the slider moves, and its places from narrow to wide: text, transform.

    One block: the width inside it, in steps of the target's channel multiple; none: all widths, by ratios.
    """
    if not blocks:
        return "Width of the whole network", [(f"{TIMES} {ratio:g}", DepthMultiplier(ratio)) for ratio in _RATIOS]
    block = next(b for b in state.graph.blocks if b.name == blocks[0])
    return f"Width inside {block.name}", [(str(width), _inside(block, width)) for width in _inner_widths(state, block)]


def points(state: State, places: list[tuple[str, Transform]]) -> Iterator[Point | None]:
    """A point for every place that applies (None where it does not), one at a time: text, latency_ms and its texts,
    code, steps to send back, ghost.
    """
    now = state.estimate
    for text, transform in places:
        applied = option(state.graph, state.target, Choice(text, (transform,)))
        if applied is None:
            yield None
            continue
        after = estimate(applied.graph, state.target, state.weight_values)
        drawn = ghost(state, applied.graph, after)
        # a curve has many points: of the bytes alive in a block the most is enough to draw
        blocks = {n: [ms, ms_text, [max(live)] if live else []] for n, (ms, ms_text, live) in drawn["blocks"].items()}
        yield {
            "text": text,
            "latency_ms": after.latency_ms,
            "latency_text": metric_text("latency_ms", after.latency_ms),
            "change": change_text(now.latency_ms, after.latency_ms),
            "knee": False,
            "code": f"session = {steps_code((transform,), '', 'session')}",
            "steps": [to_step(transform)],
            "ghost": {"totals": drawn["totals"], "blocks": blocks},
        }


def with_knees(curve: list[Point]) -> list[Point]:
    """The curve with the points marked behind which the cost jumps."""
    rises = [b["latency_ms"] - a["latency_ms"] for a, b in pairwise(curve)]
    usual = median(abs(rise) for rise in rises) if rises else 0.0
    return [{**point, "knee": rise > _KNEE * usual} for point, rise in zip(curve, [*rises, 0.0], strict=True)]


def _inner_widths(state: State, block: Block) -> list[int]:
    multiple = state.target.channel_multiple
    every = range(multiple, block.mid_width, multiple)
    stride = -(-len(every) // _MOST) if len(every) else 1
    return list(every[stride - 1 :: stride])


def _inside(block: Block, width: int) -> Transform:
    return ExpandRatio(round(width / max(1, block.width), 4), block.name)
