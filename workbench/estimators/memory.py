"""Peak activation memory by replaying what lives when.

Passes run one by one in the order the accelerator issues them, none in stripes, no weights copied: what
`vela --disable-cascading --disable-buffering` reports as SRAM on Ethos-U55. The rules that make the replay the
compiler's are in `npu/operators/` (which passes there are, parts of a concatenation and paddings written in place) and
`npu/schedule/live_ranges.py` (from when to when a map lives, which output takes the place of an input).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .npu.passes import Pass
from .npu.schedule.dataflow import Dataflow
from .npu.schedule.live_ranges import live_ranges, usage

__all__ = ["Moment", "peak_bytes", "replay"]


@dataclass(frozen=True)
class Moment:
    """While a pass runs: the number of the operator it works for, the bytes alive (what it reads and makes included)
    and the tensors they are: (name, bytes).
    """

    op: int
    live_bytes: int
    tensors: tuple[tuple[str, int], ...]


def replay(passes: Sequence[Pass]) -> tuple[Moment, ...]:
    """What lives while each pass runs, in order."""
    dataflow = Dataflow.of(passes)
    count = len(passes)
    times = range(0, 2 * count, 2)
    ranges = live_ranges(passes, dataflow, [False] * count, times, set(dataflow.bytes), {})
    born = {name: makers[0] for name, makers in dataflow.writers.items()}
    moments = []
    for i, pass_ in enumerate(passes):
        alive = [r for r in ranges if r.start <= 2 * i <= r.end]
        # tensors that share a place follow each other
        tensors = tuple(
            (max((n for n in r.names if born.get(n, -1) <= i), key=lambda n: born.get(n, -1)), r.size) for r in alive
        )
        moments.append(Moment(pass_.sources[0], sum(size for _, size in tensors), tensors))
    return tuple(moments)


def peak_bytes(passes: Sequence[Pass]) -> int:
    """The most bytes alive while any pass runs."""
    dataflow = Dataflow.of(passes)
    count = len(passes)
    ranges = live_ranges(passes, dataflow, [False] * count, range(0, 2 * count, 2), set(dataflow.bytes), {})
    return max(usage(ranges, 2 * count + 3))
