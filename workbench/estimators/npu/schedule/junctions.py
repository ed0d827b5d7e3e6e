"""Which passes can run stripe by stripe behind one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ..feature_map import BRICK
from ..passes import Pass, PassSpec
from ..rounding import ceil_div, round_up
from .dataflow import Dataflow
from .program import Program

__all__ = ["Junctions"]


@dataclass(frozen=True)
class Junctions:
    """What does not depend on stripes of every pass and its junction with the next one.

    specs: of the passes. joins: whether the next pass can read it stripe by stripe. in_place: whether it may write its
    rolling buffer over the one it reads.
    """

    specs: tuple[PassSpec, ...]
    joins: tuple[bool, ...]
    in_place: tuple[bool, ...]

    @classmethod
    def of(cls, program: Program) -> Self:
        passes, dataflow = program.passes, program.dataflow
        specs = tuple([pass_.spec for pass_ in passes])
        readers = dataflow.readers
        joins, in_place = [], []
        for i, (pass_, spec) in enumerate(zip(passes, specs, strict=True)):
            in_place.append(spec.may_overwrite and len(readers.get(dataflow.primary_input(pass_), ())) == 1)
            alone = i + 1 < len(specs) and specs[i + 1].stripable and readers[pass_.output] == [i + 1]
            joins.append(alone and _joins(dataflow, pass_, passes[i + 1]))
        return cls(specs, tuple(joins), tuple(in_place))

    def part(self, first: int, last: int) -> "Junctions":
        """Those of passes first..last, numbered from 0."""
        stop = last + 1
        return Junctions(self.specs[first:stop], self.joins[first:stop], self.in_place[first:stop])

    def rolling_bytes(self, i: int, rows: Sequence[int], rows_in: Sequence[int]) -> int:
        """Bytes of the rolling buffer between pass i and the next, for stripes of so many rows made and read."""
        read = rows_in[i + 1]
        row_bytes = self.specs[i + 1].ifm.width * round_up(self.specs[i].ofm.channels, BRICK)
        return ceil_div(rows[i] + read, read) * read * row_bytes

    def whole_bytes(self, i: int) -> int:
        """Bytes of what pass i reads and writes, whole."""
        ifm, ofm = self.specs[i].ifm_bytes, self.specs[i].ofm_bytes
        return ifm if self.in_place[i] and ifm == ofm else ifm + ofm


def _joins(dataflow: Dataflow, pass_: Pass, reader: Pass) -> bool:
    """Whether the cascade goes through the very feature map that a pass writes."""
    if dataflow.primary_input(reader) != pass_.output or dataflow.is_shared(pass_.output):
        return False
    return pass_.ofm.bricks and reader.ifm.bricks and reader.ifm[:3] == pass_.ofm[:3]
