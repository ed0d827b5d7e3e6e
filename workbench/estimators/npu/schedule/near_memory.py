"""Near memory that passes need, and what lives beside them, while cascades are built.

Where feature maps may be far, none of them needs any; what a cascade needs is then its rolling and weight buffers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .live_ranges import LiveRange, near_ranges, usage
from .program import Program
from .striping import Striping

__all__ = ["Lifetimes", "NearMemory", "PeakBeside", "near_memory"]


@dataclass(frozen=True)
class Lifetimes:
    """When feature maps that cannot be far live.

    ranges: by tensor. times: when every pass runs. inputs, outputs: the feature map each pass goes through and the one
    it makes. bytes: by tensor.
    """

    ranges: Mapping[str, LiveRange]
    times: Sequence[int]
    inputs: Sequence[str]
    outputs: Sequence[str]
    bytes: Mapping[str, int]


@dataclass(frozen=True)
class NearMemory:
    """Near memory by pass: beside[i] bytes of what else lives while pass i runs, own[i] bytes of its own feature maps.

    lifetimes: None where feature maps may be far.
    """

    beside: Sequence[int]
    own: Sequence[int]
    lifetimes: Lifetimes | None = None

    def total(self, i: int) -> int:
        """Bytes of pass i outside a cascade, with what lives beside it."""
        return self.own[i] + self.beside[i]

    def part(self, first: int, last: int, beside: Sequence[int]) -> "NearMemory":
        """That of passes first..last, numbered from 0, with other bytes beside."""
        stop, lifetimes = last + 1, self.lifetimes
        if lifetimes is not None:
            names = lifetimes.inputs[first:stop], lifetimes.outputs[first:stop]
            lifetimes = Lifetimes(lifetimes.ranges, lifetimes.times[first:stop], *names, lifetimes.bytes)
        return NearMemory(beside, self.own[first:stop], lifetimes)


def near_memory(program: Program, striping: Striping) -> NearMemory:
    """Near memory of every pass with these stripes."""
    passes, dataflow = program.passes, program.dataflow
    if program.machine.spills:
        return NearMemory([0] * len(passes), [0] * len(passes))
    ranges = near_ranges(program, striping)
    used = usage(ranges, program.duration)
    by_name = {name: live_range for live_range in ranges for name in live_range.names}
    inputs = [dataflow.primary_input(pass_) for pass_ in passes]
    own = []
    for pass_, cascaded, ifm in zip(passes, striping.cascaded, inputs, strict=True):
        in_place = not cascaded and ifm in by_name and by_name[ifm] is by_name[pass_.output]
        own.append(dataflow.bytes.get(ifm, 0) + (0 if in_place else dataflow.bytes[pass_.output]))
    beside = [used[t] - n for t, n in zip(striping.times, own, strict=True)]
    outputs = [pass_.output for pass_ in passes]
    return NearMemory(beside, own, Lifetimes(by_name, striping.times, inputs, outputs, dataflow.bytes))


class PeakBeside:
    """The most bytes that live beside a cascade while it grows pass by pass; its input is counted once."""

    def __init__(self, memory: NearMemory, lifetimes: Lifetimes, first: int) -> None:
        self._memory, self._lifetimes = memory, lifetimes
        self._input = lifetimes.ranges.get(lifetimes.inputs[first])
        self._at_first = max(0, memory.beside[first])
        self._while_input_lives = self._afterwards = 0

    def grow(self, i: int) -> int:
        """The peak once pass i is the last of the cascade."""
        beside = max(0, self._memory.beside[i])
        input_range, lifetimes = self._input, self._lifetimes
        if input_range is not None and input_range.start <= lifetimes.times[i] <= input_range.end:
            counted = any(lifetimes.ranges.get(name) is input_range for name in lifetimes.outputs[i - 1 : i + 1])
            beside = beside if counted else max(0, beside - input_range.size)
            self._while_input_lives = max(self._while_input_lives, beside)
        else:
            self._afterwards = max(self._afterwards, beside)
        return max(self._afterwards, self._at_first, self._while_input_lives)
