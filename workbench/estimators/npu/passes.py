"""Passes: the operations an accelerator issues, in the order it issues them."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

__all__ = ["ELEMENTWISE", "Block", "Link", "Map", "Pass", "Values", "Work", "kept_hash", "up"]

Number = TypeVar("Number", int, np.ndarray)
ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Minimum", "Maximum", "LeakyRelu", "Abs", "CLZ", "SHL", "SHR", "Asr", "Div", "Neg", "RSub"}
)
_STRIPED = ELEMENTWISE | {"Conv2D", "DepthwiseConv2D", "AvgPool", "MaxPool", "Quantize", "MemoryCopy"}
_KINDS = {
    "Conv2D": "conv",
    "FullyConnected": "conv",
    "DepthwiseConv2D": "depthwise",
    "Transpose": "turn",
    "MatMul": "product",
}


def kept_hash(self: Any) -> int:
    """Hash of a frozen dataclass, computed once: what is looked up in caches again and again uses it."""
    try:
        found: int = self._hash
    except AttributeError:
        found = hash(tuple([self.__dict__[name] for name in self.__dataclass_fields__]))
        self.__dict__["_hash"] = found
    return found


class Block(NamedTuple):
    """The tile a pass is cut into: (rows, columns, channels) of its input and output, and of the micro-tile.

    part_kernel: whether the multipliers work on taps of the kernel first, else on input channels.
    """

    ifm: tuple[int, int, int]
    ofm: tuple[int, int, int]
    micro: tuple[int, int, int]
    part_kernel: bool


def up(n: Number, m: Any) -> Number:
    """n, a number or an array, rounded up to a multiple of m."""
    return -(-n // m) * m


class Map(NamedTuple):
    """A feature map [height, width, channels].

    bricks: stored in bricks of 16 channels (NHCWB16), else channels last. A scalar has one element.
    """

    height: int
    width: int
    channels: int
    bricks: bool = True
    bits: int = 8

    @property
    def elements(self) -> int:
        return self.height * self.width * self.channels

    @property
    def stored_bytes(self) -> int:
        channels = up(self.channels, 16) if self.bricks else self.channels
        return self.height * self.width * channels * self.bits // 8


class Link(NamedTuple):
    """An operator that runs on a pass's output before it is written: an activation or a chained elementwise one.

    op: the compiler's name ("Relu", "LUT", "Add"). other: the map it reads besides; None where there is none.
    bits: of an element of its output.
    """

    op: str
    other: Map | None = None
    other_name: str = ""
    bits: int = 8


@dataclass(frozen=True)
class Work:
    """What of a pass its cost depends on."""

    op: str
    ifm: Map
    ofm: Map
    ifm2: Map | None
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    weight_bytes: int
    chain: tuple[Link, ...]
    whole: Map | None
    turn: tuple[int, int, int] | None
    sparse: bool = False

    __hash__ = kept_hash

    @cached_property
    def kind(self) -> str:
        """What does the work: "conv", "depthwise", "pool", "elementwise"; "turn" and "product", put together of others
        on the U55 and U65, "pool" and "conv" on the U85.
        """
        return "elementwise" if self.op in ELEMENTWISE else _KINDS.get(self.op, "pool")

    @cached_property
    def written_bytes(self) -> int:
        """Bytes of the map it writes: that of the last operator chained on it."""
        bits = next((link.bits for link in reversed(self.chain) if link.op in ELEMENTWISE), self.ofm.bits)
        return self.ofm._replace(bits=bits).stored_bytes

    @cached_property
    def ifm_bytes(self) -> int:
        """Of its first input, whole."""
        return self.ifm.stored_bytes

    @cached_property
    def ofm_bytes(self) -> int:
        """Of its output, whole."""
        return self.ofm.stored_bytes

    @cached_property
    def ifm2_bytes(self) -> int:
        """Of its second input, whole."""
        return self.ifm2.stored_bytes if self.ifm2 is not None else 0

    @cached_property
    def stripable(self) -> bool:
        """Whether it can be made stripe by stripe."""
        chained = any(link.op in ELEMENTWISE for link in self.chain)
        return self.op in _STRIPED and not chained and self.turn is None

    @cached_property
    def may_overwrite(self) -> bool:
        """Whether its stripes may be written over those it reads."""
        alone = self.op in ELEMENTWISE or (self.op in _STRIPED and self.kernel == (1, 1) and "Pool" in self.op)
        return alone and self.ifm.channels == self.ofm.channels

    @cached_property
    def one_to_one(self) -> bool:
        """Whether it makes one element of one element, so that these may lie in the same place."""
        alone = self.kernel == (1, 1) and self.op in ("AvgPool", "MaxPool", "Quantize", "MemoryCopy")
        return alone or self.op in ELEMENTWISE

    @property
    def outputs(self) -> int:
        """Output channels, before a turn."""
        if self.turn is None:
            return self.ofm.channels
        return (self.ofm.height, self.ofm.width, self.ofm.channels)[self.turn.index(2)]

    @property
    def turns_channels(self) -> bool:
        """Whether the channels it makes are written as rows or columns."""
        return self.turn is not None and self.turn[2] != 2

    def part(self, rows: int, rows_in: int, channels: int) -> "Work":
        """The part of it that makes `rows` rows of `channels` channels of `rows_in` rows."""
        ifm, ofm, ifm2 = self.ifm, self.ofm, self.ifm2
        if ifm2 is not None and ifm2.height > rows_in:
            ifm2 = Map(rows_in, ifm2.width, ifm2.channels, ifm2.bricks, ifm2.bits)
        return Work(
            self.op,
            Map(min(rows_in, ifm.height), ifm.width, ifm.channels, ifm.bricks, ifm.bits),
            Map(rows, ofm.width, channels, ofm.bricks, ofm.bits),
            ifm2,
            self.kernel,
            self.stride,
            self.dilation,
            self.weight_bytes,
            self.chain,
            self.whole,
            self.turn,
            self.sparse,
        )


@lru_cache(maxsize=1 << 18)
def _work(*of: Any) -> Work:
    """The same object for the same work, wherever it is found, so that caches find it by identity."""
    return Work(*of)


@dataclass(frozen=True)
class Values:
    """How often each int8 value is there: shares[v + 255] of value v, as the bytes of a float64 array (hashable).

    sparse: whether of every four input channels two weights are zero (2:4).
    """

    data: bytes
    sparse: bool = False

    @property
    def shares(self) -> np.ndarray:
        return np.frombuffer(self.data)


class _Pass(NamedTuple):
    op: str
    sources: tuple[int, ...]
    inputs: tuple[str, ...]
    output: str
    ifm: Map
    ofm: Map
    ifm2: Map | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    weight_bytes: int = 0
    weights: str = ""
    values: Values | None = None
    chain: tuple[Link, ...] = ()
    whole: Map | None = None
    turn: tuple[int, int, int] | None = None
    sparse: bool = False


class Pass(_Pass):  # a tuple, as hundreds are made for every estimate; a subclass, to keep what is worked out of it
    """One operation of the accelerator.

    op: the compiler's name ("Conv2D", "DepthwiseConv2D", "FullyConnected", "AvgPool", "MaxPool", "Add", "Mul",
    "MemoryCopy", "ReduceSum", ...). sources: numbers of the lowered operators it does the work of (the first one
    is charged). ifm2: the second input of an elementwise operation. kernel, stride, dilation: (rows, columns).
    weight_bytes: as stored, compressed. weights: their name, as several passes may share them. values: how they are
    distributed, None where unknown. inputs, output: tensor names. whole: the map `ofm` is a part of, where a
    concatenation is written in place. turn: the order a TRANSPOSE gives rows, columns and channels. sparse: whether
    weights that are zero, two of every four input channels, are left out (U85).
    """

    @cached_property
    def work(self) -> Work:
        chain = tuple([Link(link.op, link.other, "", link.bits) for link in self.chain]) if self.chain else ()
        return _work(
            self.op, self.ifm, self.ofm, self.ifm2, self.kernel, self.stride, self.dilation, self.weight_bytes,
            chain, self.whole, self.turn, self.sparse,
        )  # fmt: skip

    @property
    def kind(self) -> str:
        return self.work.kind
