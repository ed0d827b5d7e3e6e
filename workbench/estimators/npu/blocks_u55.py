"""The tile the U55 and U65 cut a pass into.

Rules: Ethos-U Vela 5.2, block search of the U55. All tiles whose input and sums fit the internal buffer compete;
the one that fetches the fewest bytes for every output element wins.

    h, w, d    rows, columns, output channels of a tile      bank    1 KiB of the internal buffer (SHRAM)
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .machine import Machine
from .passes import Block, Map, Work, up
from .tiles import depths_of, least

__all__ = ["U55Array", "array_of", "find", "product_blocks", "takes_taps_first"]

_LIMIT = (32, 64, 128)
_KERNEL = 8  # a larger kernel is applied in parts of 8 x 8


@dataclass(frozen=True)
class U55Array:
    """One core: micro-tile (rows, columns, channels), banks, and the granules banks are given out in.

    output: cycles an output element takes by kind (see `cycles`); activation: (looked up, ReLU, none).
    """

    micro: tuple[int, int, int]
    banks: int
    granule_ifm: int
    granule_ifm_elementwise: int
    granule_ifm32: int
    granule_sums: int
    output: tuple[float, float, float, float, float, float, float, float]
    activation: tuple[float, float, float]


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
    """The array of one core."""
    return _ARRAYS[machine.family, machine.macs]


def find(machine: Machine, work: Work, ifm: Map, ofm: Map) -> Block:
    """The tile for a pass that makes `ofm` from `ifm`."""
    if work.kind == "product":
        return product_blocks(machine, work)[1]
    scalar = work.ifm2 is not None and min(work.ifm2.elements, work.ifm.elements) == 1
    source = ifm
    if work.ifm2 is not None and work.ifm2.elements > ifm.elements:
        source = work.ifm2
    table = any(link.op in ("LUT", "Sigmoid", "Tanh") for link in work.chain) or work.op == "LUT"
    return _search(
        array_of(machine), work.kind, work.op == "ReduceSum",
        (source.height, source.width, source.channels), ifm.bits, (ofm.height, ofm.width, ofm.channels),
        work.kernel, work.stride, work.dilation, scalar, table,
    )  # fmt: skip


@lru_cache(maxsize=16384)
def _search(
    array: U55Array, kind: str, sums_depth: bool, ifm: tuple[int, int, int], bits: int, ofm: tuple[int, int, int],
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], scalar: bool,
    table: bool,
) -> Block:  # fmt: skip
    elementwise = kind == "elementwise"
    equal_depth = kind in ("elementwise", "depthwise") or (kind == "pool" and not sums_depth)
    part_kernel = kind == "conv" and takes_taps_first(ifm[2], kernel[0] * kernel[1], bits)
    uh, uw, ud = array.micro
    granule = array.granule_ifm_elementwise if elementwise else array.granule_ifm
    if bits == 32:
        granule = array.granule_ifm32
    reserved = 2 if array.banks > 16 else 0
    lut = max(2 if table else 0, reserved)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    repeats = -(-reach[0] // _KERNEL) * -(-reach[1] // _KERNEL)
    in_depth = up(min(ifm[2], 16 if part_kernel else 32), 8)
    weights = kernel[0] * kernel[1] if kind in ("conv", "depthwise") else 0

    top = [up(min(n, most), m) for n, most, m in zip(ofm, _LIMIT, array.micro, strict=True)]
    depths = depths_of(ud, top[2], ofm[2])
    d = np.array(depths)[:, None, None]
    h, w = np.arange(uh, top[0] + 1, uh)[:, None], np.arange(uw, top[1] + 1, uw)
    conv1d = ofm[0] == 1 and kernel[0] == 1 and uh == 2
    real_h = np.minimum(h, ofm[0]) if conv1d else h
    rows = up((h - 1) * stride[0] + min(reach[0], _KERNEL), uh)
    cols = up((w - 1) * stride[1] + min(reach[1], _KERNEL), uw)
    deep = d if equal_depth else np.array(in_depth)
    area, read_area = real_h * w, rows * cols
    banks_ifm = up(-(-(read_area * up(deep * (bits // 8), 8)) // 1024) * 2, granule)
    if elementwise:
        fits = 2 + banks_ifm * (1 if scalar and bits <= 16 else 2) <= array.banks - lut
    else:
        sums = up(-(-(area * (up(d, 8) * 4)) // 1024) * 2, array.granule_sums)
        fits = 2 + banks_ifm <= array.banks - lut - sums
    f32 = np.float32
    blocks_h, blocks_w, blocks_d = ofm[0] / real_h.astype(f32), ofm[1] / w.astype(f32), ofm[2] / d.astype(f32)
    elements = ofm[0] * ofm[1] * ofm[2]
    if elementwise:
        cost = f32(elements) / (h * w * d).astype(f32)
    else:
        full_hw = -(-ofm[0] // real_h) * -(-ofm[1] // w)
        fetched = (weights * ifm[2] * full_hw).astype(f32)
        if kind != "depthwise":
            fetched = fetched * (blocks_d * d).astype(f32)
        read = (read_area * (ifm[2] * repeats)).astype(f32) * blocks_w * blocks_h
        if not equal_depth:
            read = read * -(-ofm[2] // d)
        cost = ((read + fetched) / f32(elements)).astype(f32)
    cost = np.where(ifm[0] * ifm[1] * ifm[2] < read_area * (deep * 2), cost / f32(2), cost)
    cost = np.where(fits, cost, np.inf)
    i, j, k = least(cost, h, w, rows, cols, ifm)
    depth = depths[i]
    source = int(rows[j, 0]), int(cols[k]), depth if equal_depth else in_depth
    return Block(source, (int(h[j, 0]), int(w[k]), depth), array.micro, part_kernel)


def product_blocks(machine: Machine, work: Work) -> tuple[Block, Block]:
    """Tiles of the two passes that make a column of a product of matrices: products of elements, and their sums."""
    array = array_of(machine)
    assert work.ifm2 is not None
    batches, unit = work.ofm.height, (1, 1)
    whole = _divided((work.ifm.height, work.ifm.width, work.ifm.channels))
    column = (batches, 1, work.ifm2.channels)
    source = column if column[0] * column[2] > whole[0] * whole[1] * whole[2] else whole
    products = _search(array, "elementwise", False, source, 8, whole, unit, unit, unit, False, False)
    sums = _divided((batches, work.ifm.width, 1))
    return products, _search(array, "pool", True, whole, 32, sums, unit, unit, unit, False, False)


def _divided(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """A map cut in two or three, so that one tile need not wait for another."""
    axis = 0 if shape[0] > _LIMIT[0] else 1
    if shape[axis] <= _LIMIT[axis]:
        for parts in (3, 2):
            if shape[axis] >= 4 * parts:
                return tuple(-(-n // parts) if k == axis else n for k, n in enumerate(shape))  # type: ignore[return-value]
    return shape


def takes_taps_first(channels: int, taps: int, bits: int = 8) -> bool:
    """Whether taps rather than input channels fill the multipliers."""
    if channels <= 8:
        return True
    by_depth = channels / up(channels, 32 if bits == 8 else 16)
    by_taps = channels / up(channels, 8) * (taps / up(taps, 4 if bits == 8 else 2))
    return bool(by_taps >= by_depth)
