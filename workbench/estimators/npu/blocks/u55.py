"""The block configuration of a pass on the U55 and U65.

Rules: Ethos-U Vela 5.2, block search of the U55. All OFM blocks whose IFM block and accumulators fit the internal
buffer compete; the one that fetches the fewest bytes for every output element wins.

    h, w, d       rows, columns, channels of the competing OFM blocks
    rows, cols    rows and columns of their IFM blocks
    bank          1 KiB of the internal buffer (SHRAM)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..feature_map import FeatureMap, Size
from ..hashing import cached_hash
from ..machine import Machine
from ..passes import PassSpec
from ..rounding import ceil_div, round_up
from .config import BlockConfig, Kernel
from .search import candidate_depths, cheapest

__all__ = ["U55Array", "array_of", "matmul_blocks", "part_kernel_first", "search_block"]

_LIMIT = (32, 64, 128)
_BANK = 1024  # bytes
_POINT = Kernel((1, 1), (1, 1), (1, 1))


@dataclass(frozen=True)
class U55Array:
    """One core.

    microblock: (rows, columns, channels). banks: of the internal buffer; *_granule: banks that IFM blocks (of
    elementwise operators, of 32 bits) and accumulators are allocated in. output_cycles: cycles of the output stage per
    element, by the kinds that `cycles.output_stage` numbers. activation_cycles: by lookup table, of a ReLU, without.
    """

    microblock: Size
    banks: int
    ifm_granule: int
    elementwise_ifm_granule: int
    ifm32_granule: int
    accumulator_granule: int
    output_cycles: tuple[float, float, float, float, float, float, float, float]
    activation_cycles: tuple[float, float, float]

    __hash__ = cached_hash


_ARRAYS = {
    ("u55", 32): U55Array((1, 1, 4), 16, 2, 2, 4, 4, (2.0, 3.0, 3.0, 3.0, 4.0, 6.0, 1.0, 2.0), (1.0, 1.0, 0.0)),
    ("u55", 64): U55Array((1, 1, 8), 16, 2, 2, 4, 4, (1.0, 1.5, 1.5, 1.5, 2.0, 3.0, 0.5, 1.0), (1.0, 1.0, 0.0)),
    ("u55", 128): U55Array((1, 2, 8), 24, 4, 4, 8, 8, (0.75, 1.25, 0.75, 0.75, 1.0, 1.5, 0.25, 0.5), (1.0, 0.5, 0.0)),
    ("u55", 256): U55Array(
        (2, 2, 8), 48, 8, 8, 16, 16, (0.625, 1.125, 0.5, 0.375, 0.5, 0.75, 0.125, 0.25), (1.0, 0.25, 0.0)
    ),
    ("u65", 256): U55Array(
        (2, 2, 8), 48, 8, 8, 16, 16, (0.625, 1.125, 0.5, 0.375, 0.5, 0.75, 0.125, 0.25), (1.0, 0.25, 0.0)
    ),
    ("u65", 512): U55Array(
        (2, 2, 8), 48, 8, 8, 16, 16, (0.3125, 0.5625, 0.25, 0.1875, 0.25, 0.375, 0.0625, 0.125), (0.5, 0.125, 0.0)
    ),
}


def array_of(machine: Machine) -> U55Array:
    """The MAC array of one core."""
    return _ARRAYS[machine.family, machine.macs]


class _Problem(NamedTuple):
    """What the search depends on: spec.kind and the shapes; scalar: whether an input is one element; lut: whether an
    activation is looked up; sums_channels: whether the operator adds up channels.
    """

    kind: str
    ifm: Size
    ifm_bits: int
    ofm: Size
    kernel: Kernel = _POINT
    scalar: bool = False
    lut: bool = False
    sums_channels: bool = False

    @property
    def keeps_channels(self) -> bool:
        """Whether an output channel is made of one input channel."""
        return self.kind in ("elementwise", "depthwise") or (self.kind == "pool" and not self.sums_channels)


class _Candidates(NamedTuple):
    """OFM blocks that compete, as arrays that broadcast to [depths, heights, widths].

    heights: h, or the real height where a convolution along rows alone has one row. rows, cols: of the IFM block;
    ifm_depth: its channels.
    """

    h: np.ndarray
    w: np.ndarray
    d: np.ndarray
    heights: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    ifm_depth: np.ndarray


def search_block(machine: Machine, spec: PassSpec, ifm: FeatureMap, ofm: FeatureMap) -> BlockConfig:
    """The block configuration of a pass that makes `ofm` from `ifm`."""
    if spec.kind == "matmul":
        return matmul_blocks(machine, spec)[1]
    scalar = spec.ifm2 is not None and min(spec.ifm2.elements, spec.ifm.elements) == 1
    larger = spec.ifm2 if spec.ifm2 is not None and spec.ifm2.elements > ifm.elements else ifm
    lut = any(link.op in ("LUT", "Sigmoid", "Tanh") for link in spec.chain) or spec.op == "LUT"
    kernel = Kernel(spec.kernel, spec.stride, spec.dilation, spec.upscale)
    problem = _Problem(spec.kind, larger.size, ifm.bits, ofm.size, kernel, scalar, lut, spec.op == "ReduceSum")
    return _search(array_of(machine), problem)


@lru_cache(maxsize=16384)
def _search(array: U55Array, problem: _Problem) -> BlockConfig:
    """The OFM block that fits and fetches the fewest bytes for every output element."""
    ifm, kernel = problem.ifm, problem.kernel
    part_kernel = problem.kind == "conv" and part_kernel_first(ifm[2], kernel.elements, problem.ifm_bits)
    ifm_depth = round_up(min(ifm[2], 16 if part_kernel else 32), 8)
    top = [round_up(min(n, most), m) for n, most, m in zip(problem.ofm, _LIMIT, array.microblock, strict=True)]
    depths = candidate_depths(array.microblock[2], top[2], problem.ofm[2])
    blocks = _candidates(array, problem, top, depths, ifm_depth)
    cost = _fetched_bytes(problem, blocks)
    read_area = blocks.rows * blocks.cols
    cost = np.where(ifm[0] * ifm[1] * ifm[2] < read_area * (blocks.ifm_depth * 2), cost / np.float32(2), cost)
    cost = np.where(_fits(array, problem, blocks), cost, np.inf)
    i, j, k = cheapest(cost, blocks.h, blocks.w, blocks.rows, blocks.cols, ifm)
    depth = depths[i]
    ifm_block = int(blocks.rows[j, 0]), int(blocks.cols[k]), depth if problem.keeps_channels else ifm_depth
    return BlockConfig(ifm_block, (int(blocks.h[j, 0]), int(blocks.w[k]), depth), array.microblock, part_kernel)


def _candidates(
    array: U55Array, problem: _Problem, top: Sequence[int], depths: Sequence[int], ifm_depth: int
) -> _Candidates:
    """All OFM blocks up to `top`, in steps of the microblock."""
    uh, uw, _ = array.microblock
    ofm, kernel = problem.ofm, problem.kernel
    d = np.array(depths)[:, None, None]
    h, w = np.arange(uh, top[0] + 1, uh)[:, None], np.arange(uw, top[1] + 1, uw)
    one_row = ofm[0] == 1 and kernel.size[0] == 1 and uh == 2
    return _Candidates(
        h, w, d,
        heights=np.minimum(h, ofm[0]) if one_row else h,
        rows=round_up(ceil_div((h - 1) * kernel.stride[0] + kernel.subkernel_reach[0], kernel.upscale), uh),
        cols=round_up(ceil_div((w - 1) * kernel.stride[1] + kernel.subkernel_reach[1], kernel.upscale), uw),
        ifm_depth=d if problem.keeps_channels else np.array(ifm_depth),
    )  # fmt: skip


def _fits(array: U55Array, problem: _Problem, blocks: _Candidates) -> np.ndarray:
    """Whether IFM block and accumulators, each double-buffered, fit the banks."""
    elementwise, bits = problem.kind == "elementwise", problem.ifm_bits
    granule = array.elementwise_ifm_granule if elementwise else array.ifm_granule
    if bits == 32:
        granule = array.ifm32_granule
    reserved = 2 if array.banks > 16 else 0
    free = array.banks - max(2 if problem.lut else 0, reserved)
    ifm_bytes = blocks.rows * blocks.cols * round_up(blocks.ifm_depth * (bits // 8), 8)
    ifm_banks = round_up(ceil_div(ifm_bytes, _BANK) * 2, granule)
    if elementwise:
        fits: np.ndarray = 2 + ifm_banks * (1 if problem.scalar and bits <= 16 else 2) <= free
        return fits
    accumulator_bytes = blocks.heights * blocks.w * (round_up(blocks.d, 8) * 4)
    accumulators = round_up(ceil_div(accumulator_bytes, _BANK) * 2, array.accumulator_granule)
    fits = 2 + ifm_banks <= free - accumulators
    return fits


def _fetched_bytes(problem: _Problem, blocks: _Candidates) -> np.ndarray:
    """Bytes of IFM and weights fetched for every output element, float32 as the compiler computes them."""
    f32 = np.float32
    ifm, ofm, kernel = problem.ifm, problem.ofm, problem.kernel
    elements = ofm[0] * ofm[1] * ofm[2]
    if problem.kind == "elementwise":
        return f32(elements) / (blocks.h * blocks.w * blocks.d).astype(f32)
    across = ceil_div(ofm[0], blocks.heights) * ceil_div(ofm[1], blocks.w)
    taps = kernel.elements if problem.kind in ("conv", "depthwise") else 0
    weights = (taps * ifm[2] * across).astype(f32)
    if problem.kind != "depthwise":
        weights = weights * (ofm[2] / blocks.d.astype(f32) * blocks.d).astype(f32)
    read = (blocks.rows * blocks.cols * (ifm[2] * kernel.subkernels)).astype(f32)
    read = read * (ofm[1] / blocks.w.astype(f32)) * (ofm[0] / blocks.heights.astype(f32))
    if not problem.keeps_channels:
        read = read * ceil_div(ofm[2], blocks.d)
    cost: np.ndarray = ((read + weights) / f32(elements)).astype(f32)
    return cost


def matmul_blocks(machine: Machine, spec: PassSpec) -> tuple[BlockConfig, BlockConfig]:
    """Block configurations of the two passes that make a column of a matrix product: products of elements, and their
    sums.
    """
    array = array_of(machine)
    assert spec.ifm2 is not None
    batches = spec.ofm.height
    left = _split(spec.ifm.size)
    column = (batches, 1, spec.ifm2.channels)
    larger = column if column[0] * column[2] > left[0] * left[1] * left[2] else left
    products = _search(array, _Problem("elementwise", larger, 8, left))
    sums = _Problem("pool", left, 32, _split((batches, spec.ifm.width, 1)), sums_channels=True)
    return products, _search(array, sums)


def _split(shape: Size) -> Size:
    """A feature map split in two or three, so that one block need not wait for another."""
    axis = 0 if shape[0] > _LIMIT[0] else 1
    if shape[axis] <= _LIMIT[axis]:
        for parts in (3, 2):
            if shape[axis] >= 4 * parts:
                height, width, channels = (ceil_div(n, parts) if k == axis else n for k, n in enumerate(shape))
                return height, width, channels
    return shape


def part_kernel_first(channels: int, elements: int, bits: int = 8) -> bool:
    """Whether kernel elements rather than input channels fill the MAC units better."""
    if channels <= 8:
        return True
    by_depth = channels / round_up(channels, 32 if bits == 8 else 16)
    by_kernel = channels / round_up(channels, 8) * (elements / round_up(elements, 4 if bits == 8 else 2))
    return bool(by_kernel >= by_depth)
