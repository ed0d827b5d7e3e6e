"""Passes: the operations the accelerator runs, one after the other.

    IFM, IFM2   input feature map; the second one of an elementwise operator or a matrix product
    OFM         output feature map

Operators go by the compiler's names: "Conv2D", "DepthwiseConv2D", "FullyConnected", "MatMul", "AvgPool", "MaxPool",
"ReduceSum", "Add", "Mul", "MemoryCopy", "Transpose", "Resize", "Relu", "LUT" (an activation by lookup table), ...
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from .feature_map import FeatureMap
from .hashing import cached_hash, computed_once
from .weight_histogram import WeightHistogram

__all__ = ["ELEMENTWISE", "ChainedOp", "Pass", "PassSpec"]

ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Minimum", "Maximum", "LeakyRelu", "Abs", "CLZ", "SHL", "SHR", "Asr", "Div", "Neg", "RSub"}
)
_STRIPABLE = ELEMENTWISE | {"Conv2D", "DepthwiseConv2D", "AvgPool", "MaxPool", "Quantize", "MemoryCopy"}
_POINTWISE = frozenset({"AvgPool", "MaxPool", "Quantize", "MemoryCopy", "Relu", "Relu6", "ReluN1To1", "LUT"})
_KINDS = {
    "Conv2D": "conv",
    "FullyConnected": "conv",
    "DepthwiseConv2D": "depthwise",
    "Transpose": "transpose",
    "MatMul": "matmul",
}
_U85_KINDS = {"transpose": "pool", "matmul": "conv"}


class ChainedOp(NamedTuple):
    """An operator that runs on a pass's output before it is written: an activation, or an elementwise one (U85).

    op: the compiler's name ("Relu", "LUT", "Add"). operand: the feature map it reads besides, None without one;
    operand_name: that tensor's name, "" where it is constant. bits: of an element of its output.
    """

    op: str
    operand: FeatureMap | None = None
    operand_name: str = ""
    bits: int = 8


@dataclass(frozen=True)
class PassSpec:
    """The part of a pass that its cost depends on: everything but the names of tensors. Fields as in `Pass`."""

    op: str
    ifm: FeatureMap
    ofm: FeatureMap
    ifm2: FeatureMap | None
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    weight_bytes: int
    chain: tuple[ChainedOp, ...]
    whole: FeatureMap | None
    transpose: tuple[int, int, int] | None
    sparse: bool = False
    upscale: int = 1

    __hash__ = cached_hash

    @computed_once
    def kind(self) -> str:
        """One of "conv", "depthwise", "pool", "elementwise", "transpose" and "matmul"."""
        return "elementwise" if self.op in ELEMENTWISE else _KINDS.get(self.op, "pool")

    def kind_on(self, family: str) -> str:
        """`kind` by the unit that computes it: the U85 transposes as it pools and multiplies matrices as it convolves;
        the U55 and U65 put both together of other operations.
        """
        kind = self.kind
        return _U85_KINDS.get(kind, kind) if family == "u85" else kind

    @computed_once
    def written_bytes(self) -> int:
        """Bytes of the feature map that is written: the output of the last elementwise operator in the chain."""
        if not self.chain:
            return self.ofm.stored_bytes
        bits = next((link.bits for link in reversed(self.chain) if link.op in ELEMENTWISE), self.ofm.bits)
        return self.ofm._replace(bits=bits).stored_bytes

    @computed_once
    def ifm_bytes(self) -> int:
        """Stored bytes of the IFM."""
        return self.ifm.stored_bytes

    @computed_once
    def ofm_bytes(self) -> int:
        """Stored bytes of the OFM."""
        return self.ofm.stored_bytes

    @computed_once
    def ifm2_bytes(self) -> int:
        """Stored bytes of the IFM2, 0 without one."""
        return self.ifm2.stored_bytes if self.ifm2 is not None else 0

    @computed_once
    def stripable(self) -> bool:
        """Whether it can run stripe by stripe, in a cascade."""
        chained = any(link.op in ELEMENTWISE for link in self.chain)
        return self.op in _STRIPABLE and not chained and self.transpose is None

    @computed_once
    def may_overwrite(self) -> bool:
        """Whether a stripe of its output may be written over the stripe it reads."""
        in_place = self.op in ELEMENTWISE or (self.op in _STRIPABLE and self.kernel == (1, 1) and "Pool" in self.op)
        return in_place and self.ifm.channels == self.ofm.channels

    @computed_once
    def one_to_one(self) -> bool:
        """Whether every output element depends on one element of each input, so that the OFM may replace an IFM."""
        pointwise = self.kernel == (1, 1) and self.op in _POINTWISE
        return pointwise or self.op in ELEMENTWISE

    @property
    def out_channels(self) -> int:
        """Output channels before a fused transpose."""
        return self.ofm.channels if self.transpose is None else self.ofm.size[self.transpose.index(2)]

    @property
    def transposes_channels(self) -> bool:
        """Whether a fused transpose writes its channels as rows or columns."""
        return self.transpose is not None and self.transpose[2] != 2

    def stripe(self, rows: int, rows_in: int, channels: int) -> "PassSpec":
        """The same operation on `rows_in` input rows that makes `rows` rows of `channels` output channels."""
        ifm, ofm, ifm2 = self.ifm, self.ofm, self.ifm2
        if ifm2 is not None and ifm2.height > rows_in:
            ifm2 = FeatureMap(rows_in, ifm2.width, ifm2.channels, ifm2.bricks, ifm2.bits)
        return PassSpec(
            self.op,
            FeatureMap(min(rows_in, ifm.height), ifm.width, ifm.channels, ifm.bricks, ifm.bits),
            FeatureMap(rows, ofm.width, channels, ofm.bricks, ofm.bits),
            ifm2,
            self.kernel,
            self.stride,
            self.dilation,
            self.weight_bytes,
            self.chain,
            self.whole,
            self.transpose,
            self.sparse,
            self.upscale,
        )


@lru_cache(maxsize=1 << 18)
def _interned(*fields: Any) -> PassSpec:
    """One object for equal fields, wherever they occur, so that cache lookups compare by identity."""
    return PassSpec(*fields)


class _Pass(NamedTuple):
    op: str
    sources: tuple[int, ...]
    inputs: tuple[str, ...]
    output: str
    ifm: FeatureMap
    ofm: FeatureMap
    ifm2: FeatureMap | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    weight_bytes: int = 0
    weight_name: str = ""
    weight_histogram: WeightHistogram | None = None
    chain: tuple[ChainedOp, ...] = ()
    whole: FeatureMap | None = None
    transpose: tuple[int, int, int] | None = None
    sparse: bool = False
    upscale: int = 1
    tensor_bytes: int = 0
    scratch_bytes: int = 0
    source_bytes: int = 0


class Pass(_Pass):  # a tuple, as every estimate makes hundreds; a subclass, because a cached property needs a __dict__
    """One operation of the accelerator.

    op: the compiler's name. sources: numbers of the lowered operators it does the work of; the first one is charged.
    inputs, output: tensor names. kernel, stride, dilation: (rows, columns). weight_bytes: encoded, as stored.
    weight_name: of the weights, which several passes may share. weight_histogram: how their values are distributed,
    None where unknown. chain: operators fused behind it. whole: the feature map that `ofm` is a part of, where the
    output is written into a larger one. transpose: the order a fused TRANSPOSE gives (rows, columns, channels).
    sparse: whether zero weights, two of every four input channels, are skipped (U85). upscale: rows and columns that
    every input element of a transposed convolution counts as, all but one of them zero (U55 and U65). tensor_bytes: of
    the memory that is kept for the output, 0 where it is that of `ofm` or `whole`. scratch_bytes: needed while it runs.
    source_bytes: of what `ifm` is a part of, 0 where it is all.
    """

    @computed_once
    def spec(self) -> PassSpec:
        chain = tuple([ChainedOp(link.op, link.operand, "", link.bits) for link in self.chain]) if self.chain else ()
        return _interned(
            self.op, self.ifm, self.ofm, self.ifm2, self.kernel, self.stride, self.dilation, self.weight_bytes,
            chain, self.whole, self.transpose, self.sparse, self.upscale,
        )  # fmt: skip

    @property
    def kind(self) -> str:
        return self.spec.kind

    def chained(self, link: ChainedOp, output: str, whole: FeatureMap | None = None) -> "Pass":
        """The pass with an operator behind its chain, which writes to `output`; spelt out as `with_weights` is."""
        return Pass(
            self.op, self.sources, self.inputs, output, self.ifm, self.ofm, self.ifm2, self.kernel, self.stride,
            self.dilation, self.weight_bytes, self.weight_name, self.weight_histogram, (*self.chain, link),
            whole or self.whole, self.transpose, self.sparse, self.upscale, self.tensor_bytes, self.scratch_bytes,
            self.source_bytes,
        )  # fmt: skip

    def with_weights(self, weight_bytes: int, sparse: bool) -> "Pass":
        """The pass with other encoded weights; spelt out because `_replace` takes twice as long."""
        return Pass(
            self.op, self.sources, self.inputs, self.output, self.ifm, self.ofm, self.ifm2, self.kernel, self.stride,
            self.dilation, weight_bytes, self.weight_name, self.weight_histogram, self.chain, self.whole,
            self.transpose, sparse, self.upscale, self.tensor_bytes, self.scratch_bytes,
            self.source_bytes,
        )  # fmt: skip
