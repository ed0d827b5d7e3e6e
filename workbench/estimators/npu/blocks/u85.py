"""The block configuration of a pass on the U85.

Rules: Ethos-U Vela 5.2, block search of the U85. Of all OFM blocks whose IFM block and accumulators fit the internal
buffers, twice if possible, convolutions take the one that fetches the fewest bytes for every output element; depthwise
and pooling operators take one that covers the OFM well (`u85_cover`), elementwise ones fill a buffer
(`u85_elementwise`).

    h, w, d       rows, columns, channels of the competing OFM blocks
    rows, cols    rows and columns of their IFM blocks
    granule       rows, columns, channels that the IFM buffer is allocated in; by microblock and depth
"""

from functools import lru_cache
from math import ceil, gcd
from typing import NamedTuple

import numpy as np

from ..feature_map import BRICK, FeatureMap, Size
from ..machine import Machine
from ..passes import PassSpec
from ..rounding import round_up
from .config import BlockConfig, Kernel
from .search import candidate_depths, cheapest
from .u85_buffers import LIMIT, Buffers, ofm_granule
from .u85_cover import covering_blocks
from .u85_elementwise import chain_slot_bricks, elementwise_block
from .u85_engine import Engine, engine_of

__all__ = ["search_block"]


class _Problem(NamedTuple):
    """What the search depends on. kind: by the unit that computes it. bits: of an IFM element. bricks: whether the OFM
    is in brick format.
    """

    op: str
    kind: str
    ifm: Size
    ifm2: Size | None
    bits: int
    ofm: Size
    kernel: Kernel
    transpose: Size | None
    bricks: bool
    sparse: bool

    @property
    def larger_ifm(self) -> Size:
        """The larger of both inputs."""
        first, second = self.ifm, self.ifm2
        if second is not None and second[0] * second[1] * second[2] > first[0] * first[1] * first[2]:
            return second
        return first


class _Candidates(NamedTuple):
    """OFM blocks that compete, as arrays that broadcast to [depths, heights, widths].

    rows, cols: of the IFM block. ifm_depth: its channels in the buffer, held_depth: those of them that are held.
    """

    h: np.ndarray
    w: np.ndarray
    d: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    ifm_depth: np.ndarray
    held_depth: np.ndarray


def search_block(machine: Machine, spec: PassSpec, ifm: FeatureMap, ofm: FeatureMap) -> BlockConfig:
    """The block configuration of a pass that makes `ofm` from `ifm`."""
    kernel = Kernel(spec.kernel, spec.stride, spec.dilation)
    ifm2 = spec.ifm2.size if spec.ifm2 is not None else None
    problem = _Problem(
        spec.op, spec.kind_on("u85"), ifm.size, ifm2, ifm.bits, ofm.size, kernel, spec.transpose, ofm.bricks,
        spec.sparse,
    )  # fmt: skip
    return _search(engine_of(machine), problem)


@lru_cache(maxsize=16384)
def _search(engine: Engine, problem: _Problem) -> BlockConfig:
    op, kind, ofm, kernel = problem.op, problem.kind, problem.ofm, problem.kernel
    ifm = problem.larger_ifm
    part_kernel = kind == "conv" and op != "MatMul" and _part_kernel_first(ifm[2], kernel.elements, problem.sparse)
    microblock = _microblock(engine, problem, part_kernel)
    if kind == "elementwise":
        block = elementwise_block(engine, microblock, problem.ifm, problem.ifm2, problem.bits, ofm)
        return BlockConfig(block, block, microblock, False)
    granule, limit = ofm_granule(microblock, problem.transpose, problem.bricks)
    buffers = Buffers(engine, microblock, problem.bits, kernel, granule, limit)
    ifm_depth = _ifm_depth(engine, problem, microblock, part_kernel)
    if kind == "depthwise" or (kind == "pool" and op not in ("MemoryCopy", "Resize")):
        block, ifm_block = covering_blocks(buffers, ofm, ifm, ifm_depth if op == "ReduceSum" else 0)
        return BlockConfig(ifm_block, block, microblock, False)
    return _cheapest_block(buffers, problem, part_kernel, ifm_depth)


def _part_kernel_first(channels: int, elements: int, sparse: bool) -> bool:
    """Whether kernel elements rather than input channels fill the MAC units better."""
    step, least = (10, 4) if sparse else (5, 2)
    rounded = elements // step * step + max(elements % step, least)
    by_kernel = channels / round_up(channels, 16) * (elements / rounded)
    return bool(by_kernel >= channels / round_up(channels, 128 if sparse else 64))


def _ifm_depth(engine: Engine, problem: _Problem, microblock: Size, part_kernel: bool) -> int:
    """Channels of the IFM block of an operator that adds up channels."""
    if part_kernel:
        return 16
    sparse = problem.sparse and problem.op != "ReduceSum"
    if problem.bits == 32 or (engine.macs <= 256 and microblock[2] == 16 and not sparse):
        return 32
    return 128 if sparse and problem.bits == 8 else 64


def _microblock(engine: Engine, problem: _Problem, part_kernel: bool) -> Size:
    """Of the microblocks that can do the work, the one that computes the fewest elements in vain."""
    ofm = problem.ofm
    best, least_waste = engine.microblocks[0], -1
    for microblock in engine.microblocks:
        if _is_able(engine, problem, microblock == engine.shallow_microblock, part_kernel):
            rows, columns, channels = (round_up(n, m) for n, m in zip(ofm, microblock, strict=True))
            waste = rows * columns * channels - ofm[0] * ofm[1] * ofm[2]
            if least_waste < 0 or waste < least_waste:
                best, least_waste = microblock, waste
    return best


def _is_able(engine: Engine, problem: _Problem, shallow: bool, part_kernel: bool) -> bool:
    """Whether an operator can run with the shallow microblock, or with one of the others."""
    op, kind = problem.op, problem.kind
    if engine.macs >= 1024:
        if kind == "conv":
            return not shallow or op != "MatMul"
        return shallow or kind == "elementwise"
    if engine.macs == 512 or kind == "elementwise" or op == "Resize":
        return True
    if kind == "conv":
        return not shallow or (problem.kernel.size == (1, 1) and not part_kernel and problem.bits == 16)
    if op == "ReduceSum":
        return not shallow
    return shallow == (problem.bits == 8)


def _cheapest_block(buffers: Buffers, problem: _Problem, part_kernel: bool, ifm_depth: int) -> BlockConfig:
    """The OFM block that fits and fetches the fewest bytes for every output element."""
    ifm, resize = problem.larger_ifm, problem.op == "Resize"
    depths, blocks = _candidates(buffers, problem, ifm_depth)
    cost = _fetched_elements(problem, blocks)
    area = blocks.rows * blocks.cols
    cost = np.where(ifm[0] * ifm[1] * ifm[2] < area * (blocks.ifm_depth * 2), cost / np.float32(2), cost)
    ifm_bytes = area * (blocks.held_depth * (problem.bits // 8))
    accumulator_bytes = blocks.h * blocks.w * (round_up(blocks.d, BRICK) * 4)
    for copies in (2, 1):
        fits = (ifm_bytes * copies <= buffers.engine.ifm_bytes) & (
            accumulator_bytes * copies <= buffers.engine.accumulator_bytes
        )
        if resize:
            fits = np.ones_like(fits)
        if fits.any():
            break
    cost = np.where(fits, cost, np.inf)
    i, j, k = cheapest(cost, blocks.h, blocks.w, blocks.rows, blocks.cols, ifm, problem.op == "MatMul")
    rows, cols = np.broadcast_to(blocks.rows, cost.shape), np.broadcast_to(blocks.cols, cost.shape)
    ifm_block = int(rows[i, j, k]), int(cols[i, j, k]), ifm_depth if problem.kind == "conv" else depths[i]
    ofm_block = int(blocks.h[j, 0]), int(blocks.w[k]), depths[i]
    return BlockConfig(ifm_block, ofm_block, buffers.microblock, part_kernel)


def _candidates(buffers: Buffers, problem: _Problem, ifm_depth: int) -> tuple[list[int], _Candidates]:
    """All OFM blocks up to the limit, in steps of the granule, and their depths."""
    ofm, microblock, kernel = problem.ofm, buffers.microblock, problem.kernel
    step = buffers.granule[0], buffers.granule[1], max(microblock[2], buffers.granule[2])
    end = [
        round_up(max(min(n, most), s), m) for n, most, s, m in zip(ofm, buffers.limit, step, microblock, strict=True)
    ]
    if problem.op == "Resize":
        width = _resize_width(buffers.engine, problem.bits, problem.larger_ifm[1], ofm[1])
        step, end = (1, min(step[1], width), step[2]), [1, width, BRICK]
    depths = candidate_depths(microblock[2], end[2], ofm[2])
    d = np.array(depths)[:, None, None]
    h = np.arange(step[0], end[0] + 1, step[0])[:, None]
    w = np.arange(step[1], end[1] + 1, step[1])
    mixes_channels = problem.kind == "conv"
    depth = np.array([[[ifm_depth]]]) if mixes_channels else d
    granule = np.array([buffers.ifm_granule(n) for n in depth.ravel()])[:, :, None, None]
    reach, stride = kernel.subkernel_reach, kernel.stride
    rows = round_up((h - 1) * stride[0] + reach[0], granule[:, 0])
    cols = round_up((w - 1) * stride[1] + reach[1], granule[:, 1])
    block_depth = round_up(depth, granule[:, 2])
    held = block_depth
    if mixes_channels:
        held = round_up(np.minimum(block_depth, problem.larger_ifm[2]), granule[:, 2])
    return depths, _Candidates(h, w, d, rows, cols, block_depth, held)


def _resize_width(engine: Engine, bits: int, width: int, new_width: int) -> int:
    """Columns of output whose input fits the chaining buffer; the ratio is counted in halves of an element."""
    half, bricks = gcd(width, new_width), chain_slot_bricks(engine, bits)
    most = ceil(((bricks - 2) * (2 * new_width // half) + 1) / (2 * width // half))
    return max(1, min(most, LIMIT[1]))


def _fetched_elements(problem: _Problem, blocks: _Candidates) -> np.ndarray:
    """Elements of IFM and weights fetched for every output element, float32 as the compiler computes them."""
    f32 = np.float32
    ifm, ofm, kernel = problem.larger_ifm, problem.ofm, problem.kernel
    conv = problem.kind == "conv"
    h, w, d = (n.astype(f32) for n in (blocks.h, blocks.w, blocks.d))
    elements = f32(ofm[0] * ofm[1] * ofm[2])
    whole_input = conv and kernel.reach == (ifm[0], ifm[1]) and ofm[0] * ofm[1] == 1
    if problem.op in ("Resize", "MatMul") or whole_input:
        return elements / (h * w * d)
    across, down, deep = f32(ofm[1]) / w, f32(ofm[0]) / h, f32(ofm[2]) / d
    weights = f32(kernel.elements if conv else 0) * f32(ifm[2]) * (np.ceil(across) * np.ceil(down))
    weights = weights * (deep * d)
    area = blocks.rows * blocks.cols
    read = area.astype(f32) * f32(ifm[2]) * f32(kernel.subkernels) * (across * down)
    if conv:
        read = read * np.ceil(deep)
    cost: np.ndarray = (read + weights) / elements
    return cost
