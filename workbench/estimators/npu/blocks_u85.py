"""The tile the U85 cuts a pass into.

Rules: Ethos-U Vela 5.2, block search of the U85. Convolutions search all tiles whose input and sums fit the
internal buffers twice for the one that fetches the fewest bytes for every output element; depthwise and pooling
ones take the tile that covers the map best and leaves room to fetch another row; elementwise ones fill the output
buffer.

    h, w, d      rows, columns, output channels of a tile
    micro        rows, columns, channels computed at once; of the engine's choices the one that wastes least
    unit         rows, columns, channels the input buffer is given out in; it depends on micro and the depth
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd, sqrt

import numpy as np

from .machine import Machine
from .passes import Block, Map, Work, up
from .tiles import depths_of, least

__all__ = ["Engine", "engine_of", "find", "takes_taps_first"]

_LIMIT = (128, 128, 1024)
_KERNEL = 8  # a larger kernel is applied in parts of 8 x 8
_GRANULE = 16  # channels the sums are given out in
_CHAIN_SLOTS = 6
_KINDS = {"turn": "pool", "product": "conv"}


@dataclass(frozen=True)
class Engine:
    """One U85.

    micros: micro-tiles for convolutions, deep: the one for other work. units: for either group of micro-tiles, the
    input buffer's unit for up to 16, 32 and more channels (of 8 bits). input_bytes, sum_bytes, output_bytes,
    chain_bytes: buffers. queues: words in flight of the channels for inputs, streamed inputs, weights, fast weights,
    scales and copies... in the order IFM, IFM stream, weight, fast weight, scale, copy.
    output: cycles an output element takes: of 8, 16, 32, 64 bits, to the chaining buffer, of 32-bit pairs.
    """

    micros: tuple[tuple[int, int, int], ...]
    shallow: tuple[int, int, int]
    square_units: tuple[tuple[int, int, int], ...]
    flat_units: tuple[tuple[int, int, int], ...]
    input_bytes: int
    sum_bytes: int
    output_bytes: int
    chain_bytes: int
    queues: tuple[int, int, int, int, int, int]
    output: tuple[float, ...]
    resize: tuple[tuple[float, float], tuple[float, float]]
    activation: tuple[float, float]


_ENGINES = {
    128: Engine(
        ((1, 2, 8), (1, 1, 16)), (1, 1, 16), ((1, 2, 1), (1, 1, 2), (1, 1, 2)), ((1, 2, 1), (1, 1, 2), (1, 1, 2)),
        8192, 8192, 2048, 768, (64, 64, 128, 128, 104, 16), (0.5, 0.5, 0.5, 1.0, 1.0, 1.0),
        ((0.5, 1.0), (0.5, 1.0)), (0.5, 1.0),
    ),
    256: Engine(
        ((1, 2, 16), (1, 4, 8), (2, 2, 8)), (1, 2, 16), ((2, 2, 1), (1, 2, 2), (1, 1, 4)),
        ((1, 4, 1), (1, 2, 2), (1, 1, 4)), 16384, 16384, 2048, 1536, (104, 104, 128, 128, 128, 16),
        (0.25, 0.25, 0.25, 0.5, 0.5, 0.5), ((0.25, 0.5), (0.25, 0.5)), (0.25, 0.5),
    ),
    512: Engine(
        ((2, 2, 16), (1, 4, 16)), (0, 0, 0), ((2, 2, 1), (1, 2, 2), (1, 1, 4)), ((1, 4, 1), (1, 2, 2), (1, 1, 4)),
        16384, 32768, 4096, 3072, (128, 128, 256, 256, 128, 16), (0.125, 0.125, 0.25, 0.5, 0.25, 0.25),
        ((0.125, 0.25), (0.125, 0.25)), (0.125, 0.25),
    ),
    1024: Engine(
        ((2, 2, 32), (1, 4, 32), (2, 4, 16)), (2, 4, 16), ((2, 4, 1), (2, 2, 2), (1, 2, 4)),
        ((2, 4, 1), (1, 4, 2), (1, 2, 4)), 16384, 65536, 4096, 6144, (256, 256, 416, 208, 256, 16),
        (0.0625, 0.125, 0.25, 0.5, 0.125, 0.25), ((0.125, 0.125), (0.0625, 0.125)), (0.0625, 0.125),
    ),
    2048: Engine(
        ((2, 2, 64), (1, 4, 64), (4, 4, 16)), (4, 4, 16), ((4, 4, 1), (2, 4, 2), (2, 2, 4)),
        ((4, 4, 1), (2, 4, 2), (1, 4, 4)), 32768, 131072, 8192, 12288, (256, 256, 512, 256, 256, 16),
        (0.03125, 0.0625, 0.125, 0.25, 0.0625, 0.125), ((0.0625, 0.0625), (0.03125, 0.0625)), (0.03125, 0.0625),
    ),
}  # fmt: skip


def engine_of(machine: Machine) -> Engine:
    """The engine of a U85."""
    return _ENGINES[machine.macs]


def find(machine: Machine, work: Work, ifm: Map, ofm: Map) -> Block:
    """The tile for a pass that makes `ofm` from `ifm`."""
    first = (ifm.height, ifm.width, ifm.channels)
    second = None
    if work.ifm2 is not None:
        second = (work.ifm2.height, work.ifm2.width, work.ifm2.channels)
    return _find(
        machine.macs, work.op, _KINDS.get(work.kind, work.kind), first, second, ifm.bits,
        (ofm.height, ofm.width, ofm.channels), work.kernel, work.stride, work.dilation, work.turn, ofm.bricks,
        work.sparse,
    )  # fmt: skip


def _down(n: int, m: int) -> int:
    return n // m * m


def _turned_limits(
    micro: tuple[int, int, int], turn: tuple[int, int, int] | None, bricks: bool
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The granule of tiles and the largest tile: limits are the output's, tiles are cut in the order of the input."""
    granule = [micro[0], micro[1], _GRANULE]
    if turn is None:
        return (granule[0], granule[1], granule[2]), _LIMIT
    if bricks and turn[2] < 2:
        granule[turn[2]] = 16
    limit = [_LIMIT[turn.index(axis)] for axis in range(3)]
    return (granule[0], granule[1], granule[2]), (limit[0], limit[1], limit[2])


@lru_cache(maxsize=16384)
def _find(
    macs: int, op: str, kind: str, ifm: tuple[int, int, int], ifm2: tuple[int, int, int] | None, bits: int,
    ofm: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int],
    turn: tuple[int, int, int] | None = None, bricks: bool = False, sparse: bool = False,
) -> Block:  # fmt: skip
    engine = _ENGINES[macs]
    source = ifm
    if ifm2 is not None and ifm2[0] * ifm2[1] * ifm2[2] > ifm[0] * ifm[1] * ifm[2]:
        source = ifm2
    conv = kind == "conv"
    matmul = op == "MatMul"
    part_kernel = conv and not matmul and takes_taps_first(source[2], kernel[0] * kernel[1], sparse)
    micro = _micro(engine, macs, op, kind, ofm, kernel == (1, 1) and not part_kernel, bits)
    reach = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    fit = _Fit(engine, micro, bits, reach, stride, *_turned_limits(micro, turn, bricks))
    if kind == "elementwise":
        tile = _elementwise(engine, micro, ifm, ifm2, bits, ofm)
        return Block(tile, tile, micro, False)
    if kind == "depthwise" or (kind == "pool" and op != "MemoryCopy" and op != "Resize"):
        depth_in = 0
        if op == "ReduceSum":
            depth_in = 32 if bits == 32 or (macs <= 256 and micro[2] == 16) else 64
        tile, block_in = fit.cover(ofm, source, depth_in)
        return Block(block_in, tile, micro, False)
    depth_in = 64
    if part_kernel:
        depth_in = 16
    elif bits == 32 or (macs <= 256 and micro[2] == 16 and not sparse):
        depth_in = 32
    elif sparse and bits == 8:
        depth_in = 128
    return _search(fit, op, conv, matmul, part_kernel, depth_in, source, ofm, kernel, reach)


def _resize_width(engine: Engine, bits: int, width: int, to: int) -> int:
    """Columns of output whose input fits the chaining buffer; the ratio is counted in halves of an element."""
    half, bricks = gcd(width, to), engine.chain_bytes // 6 // (16 * (bits // 8))
    most = ceil(((bricks - 2) * (2 * to // half) + 1) / (2 * width // half))
    return max(1, min(most, _LIMIT[1]))


def takes_taps_first(channels: int, taps: int, sparse: bool) -> bool:
    """Whether taps rather than input channels fill the multipliers."""
    together, least = (10, 4) if sparse else (5, 2)
    rounded = taps // together * together + max(taps % together, least)
    by_taps = channels / up(channels, 16) * (taps / rounded)
    return bool(by_taps >= channels / up(channels, 128 if sparse else 64))


def _micro(
    engine: Engine, macs: int, op: str, kind: str, ofm: tuple[int, int, int], depth_first_1x1: bool, bits: int
) -> tuple[int, int, int]:
    """Of the micro-tiles that can do the work, the one that computes the fewest elements in vain."""
    best, waste = engine.micros[0], -1
    for micro in engine.micros:
        shallow = micro == engine.shallow
        if macs >= 1024:
            able = kind == "elementwise" or (not shallow if kind == "conv" else shallow)
            if kind == "conv" and shallow and op != "MatMul":
                able = True
        elif macs == 512 or kind == "elementwise" or op == "Resize":
            able = True
        elif kind == "conv":
            able = not shallow or (depth_first_1x1 and bits == 16)
        elif op == "ReduceSum":
            able = not shallow
        else:
            able = shallow if bits == 8 else not shallow
        if not able:
            continue
        padded = up(ofm[0], micro[0]) * up(ofm[1], micro[1]) * up(ofm[2], micro[2])
        lost = padded - ofm[0] * ofm[1] * ofm[2]
        if waste < 0 or lost < waste:
            best, waste = micro, lost
    return best


@dataclass(frozen=True)
class _Fit:
    """What fits the buffers for one micro-tile, kernel and stride."""

    engine: Engine
    micro: tuple[int, int, int]
    bits: int
    reach: tuple[int, int]
    stride: tuple[int, int]
    granule: tuple[int, int, int]
    limit: tuple[int, int, int] = _LIMIT

    def unit(self, depth: int) -> tuple[int, int, int]:
        """Rows, columns, channels the input buffer is given out in."""
        level = 2 if depth * self.bits > 256 else 1 if depth * self.bits > 128 else 0
        flat = self.micro[:2] == (1, 4)
        h, w, d = (self.engine.flat_units if flat else self.engine.square_units)[level]
        return h, w, d * 128 // self.bits

    def block_in(self, h: int, w: int, d: int, unit: tuple[int, int, int], depth_in: int) -> tuple[int, int, int]:
        """The input of a tile."""
        rows = up((h - 1) * self.stride[0] + min(self.reach[0], _KERNEL), unit[0])
        cols = up((w - 1) * self.stride[1] + min(self.reach[1], _KERNEL), unit[1])
        return rows, cols, up(depth_in or d, unit[2])

    def cover(
        self, ofm: tuple[int, int, int], ifm: tuple[int, int, int], depth_in: int
    ) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Tile and its input for work that does not mix channels, with room for another row of input."""
        granule = self.granule
        whole = tuple(up(n, g) for n, g in zip(ofm, granule, strict=True))
        height, width, depth = self._area(whole, granule, ifm, depth_in)
        room = self.engine.input_bytes * 8 // self.bits
        force = 0
        while True:
            unit = self.unit(depth_in or depth)
            block = self.block_in(height, width, depth, unit, depth_in)
            need = block[0] * block[1] * block[2]
            if width >= whole[1] and height >= whole[0] and depth >= whole[2]:
                break
            row = self.block_in(granule[0], width, depth, unit, depth_in)
            if room - need >= row[0] * row[1] * row[2]:
                break
            if (height != whole[0] or force & 2) and height > granule[0]:
                height -= granule[0]
            elif (depth > width or force & 1) and depth > granule[2]:
                depth -= granule[2]
            elif (width != whole[1] or force & 4) and width > granule[1]:
                width -= granule[1]
            elif force != 7:
                force = force << 1 | 1
            elif depth > granule[2]:
                depth = max(depth // 2, granule[2])
            else:
                break
        return (height, width, depth), block

    def _area(
        self, ofm: tuple[int, ...], granule: tuple[int, int, int], ifm: tuple[int, int, int], depth_in: int
    ) -> tuple[int, int, int]:
        """The tile that covers the map best among those whose input and sums fit."""
        limit = [min(n, most) for n, most in zip(ofm, self.limit, strict=True)]
        sums = self.engine.sum_bytes * 8 // 32
        room = self.engine.input_bytes * 8 // self.bits
        step = self.micro[0] * self.micro[1] * _GRANULE
        macs_depth = {128: 128, 256: 256, 512: 512, 1024: 1024, 2048: 2048}
        engine_macs = next(k for k, v in _ENGINES.items() if v is self.engine)
        aspect = ofm[0] / ofm[1]
        deep_first = self.reach == (1, 1)
        area = float(ofm[1] * ofm[2] if deep_first else ofm[0] * ofm[1])
        best, metric = (0, 0, 0), float("inf")
        for depth in range(_GRANULE, min(max(macs_depth[engine_macs], sums // step), limit[2]) + 1, _GRANULE):
            unit = self.unit(depth_in or depth)
            volume = up(ifm[0], unit[0]) * up(ifm[1], unit[1]) * up(ifm[2], unit[2])
            space, before, retry, fitted = sums, -1, 25, False
            while True:
                width, height = _by_aspect(aspect, space // depth, granule)
                width, height = min(width, limit[1]), min(height, limit[0])
                product = width * height
                if width < ofm[1]:
                    width = _best_tile(ofm[1], granule[1], width)
                height = max(_down(product // width, granule[0]), granule[0])
                need = width * height * depth
                sum_ratio = sums / need
                block = self.block_in(height, width, depth, unit, depth_in)
                in_ratio = room / min(block[0] * block[1] * block[2], volume)
                if sum_ratio >= 1.0 and in_ratio >= 1.0:
                    used = depth % unit[2] or unit[2]
                    waste = 1.0 + (unit[2] - used) / unit[2] / 10
                    fit = 1.0 + abs(1.0 - limit[2] / depth) / 10
                    coverage = 1.0 + abs(1.0 - area / (width * (depth if deep_first else height)))
                    if coverage * fit * waste < metric:
                        best, metric = (height, width, depth), coverage * fit * waste
                        if depth >= ofm[2] and width >= ofm[1] and height >= ofm[0]:
                            return ofm[0], ofm[1], ofm[2]
                    fitted = True
                    break
                if need == before:
                    retry -= 1
                    if retry <= 0:
                        in_ratio = 0.9
                before = need
                if in_ratio < 1.0 < sum_ratio:
                    space = min(space, need)
                smaller = max(int(space // step * min(in_ratio, sum_ratio)), 0) * step
                if smaller == space:
                    smaller = space - step
                if smaller < step:
                    break
                space = smaller
            if not fitted:
                break
        return best


def _by_aspect(aspect: float, space: int, granule: tuple[int, int, int]) -> tuple[int, int]:
    """Width and height of the given area with the map's aspect (height over width)."""
    w = sqrt(space / aspect)
    h = w * aspect
    if h < 1.0:
        w, h = w * h, 1.0
    elif w < 1.0:
        w, h = 1.0, h * w
    return _down(max(int(w), granule[1]), granule[1]), _down(max(int(h), granule[0]), granule[0])


def _best_tile(size: int, granule: int, tile: int) -> int:
    """The width near `tile` whose last tile is fullest."""
    if size % tile == 0:
        return tile
    smaller = max(up(size // (size // tile + 1), granule), granule)
    best, rest = tile, size % tile
    for t in range(tile, max(max(smaller - granule * 2, (smaller + 1) // 2), granule) - 1, -granule):
        left = size % t or t
        if left > rest:
            best, rest = t, left
    return best


def _even_tile(size: int, granule: int, tile: int) -> int:
    if size % tile == 0:
        return tile
    return max(up(size // (size // tile + 1), granule), granule)


def _share(value: int, most: int, space: int, required: int) -> tuple[int, int]:
    """Give room that is left of `space` to `value`: (value, space)."""
    excess = min(space // required, most // value)
    return (value * excess, space // excess) if excess >= 2 else (value, space)


def _elementwise(
    engine: Engine, micro: tuple[int, int, int], ifm: tuple[int, int, int], ifm2: tuple[int, int, int] | None,
    bits: int, ofm: tuple[int, int, int],
) -> tuple[int, int, int]:  # fmt: skip
    """The tile that fills the output buffer, or the chaining buffer where an input is broadcast."""
    granule = (micro[0], micro[1], _GRANULE)
    whole = tuple(up(n, g) for n, g in zip(ofm, granule, strict=True))
    limit = tuple(min(n, m) for n, m in zip(whole, _LIMIT, strict=True))
    scalar = ifm == (1, 1, 1) or ifm2 == (1, 1, 1)
    chain_units = engine.chain_bytes // _CHAIN_SLOTS // (16 * (bits // 8)) // micro[0]
    units = engine.output_bytes * 8 // bits // granule[2]
    rows = _even_tile(whole[0], granule[0], limit[0])
    required = max(_even_tile(whole[1], granule[1], min(units, limit[1])), granule[1])
    depth, cols = _share(granule[2], limit[2], units, required)
    if not scalar and ifm2 is not None:
        less = [any(s[k] < ofm[k] for s in (ifm, ifm2)) for k in range(3)]
        if less[2]:
            depth = _even_tile(whole[2], granule[2], limit[2])
            cols = chain_units
            if less == [False, False, True]:
                rows, cols = _share(micro[0], limit[0], cols, required)
        elif less[0]:
            depth, cols = _share(16, limit[2], chain_units, required)
    return up(rows, granule[0]), up(cols, granule[1]), up(depth, granule[2])


def _search(
    fit: _Fit, op: str, conv: bool, matmul: bool, part_kernel: bool, depth_in: int, ifm: tuple[int, int, int],
    ofm: tuple[int, int, int], kernel: tuple[int, int], reach: tuple[int, int],
) -> Block:  # fmt: skip
    """The tile that fetches the fewest bytes for every output element."""
    engine, micro = fit.engine, fit.micro
    same_depth = not conv
    step = (fit.granule[0], fit.granule[1], max(micro[2], fit.granule[2]))
    end = [up(max(min(n, most), s), m) for n, most, s, m in zip(ofm, fit.limit, step, micro, strict=True)]
    if op == "Resize":
        most = _resize_width(engine, fit.bits, ifm[1], ofm[1])
        step, end = (1, min(step[1], most), step[2]), [1, most, 16]
    depths = depths_of(micro[2], end[2], ofm[2])
    d = np.array(depths)[:, None, None]
    h = np.arange(step[0], end[0] + 1, step[0])[:, None]
    w = np.arange(step[1], end[1] + 1, step[1])
    deep = d if same_depth else np.array([[[depth_in]]])
    units = np.array([fit.unit(n) for n in deep.ravel()])[:, :, None, None]
    rows = up((h - 1) * fit.stride[0] + min(reach[0], _KERNEL), units[:, 0])
    cols = up((w - 1) * fit.stride[1] + min(reach[1], _KERNEL), units[:, 1])
    block_depth = up(deep, units[:, 2])
    held = block_depth if same_depth else up(np.minimum(block_depth, ifm[2]), units[:, 2])
    area = rows * cols
    in_bytes = area * (held * (fit.bits // 8))
    sums = h * w * (up(d, _GRANULE) * 4)
    f32 = np.float32
    elements = f32(ofm[0] * ofm[1] * ofm[2])
    whole_input = conv and reach == (ifm[0], ifm[1]) and ofm[0] * ofm[1] == 1
    if op == "Resize" or matmul or whole_input:
        cost = elements / (h.astype(f32) * w.astype(f32) * d.astype(f32))
    else:
        bw, bh, bd = (f32(n) / x.astype(f32) for n, x in ((ofm[1], w), (ofm[0], h), (ofm[2], d)))
        fetched = f32(kernel[0] * kernel[1] if conv else 0) * f32(ifm[2]) * (np.ceil(bw) * np.ceil(bh))
        fetched = fetched * (bd * d.astype(f32))
        repeats = -(-reach[0] // _KERNEL) * -(-reach[1] // _KERNEL)
        read = area.astype(f32) * f32(ifm[2]) * f32(repeats) * (bw * bh)
        if not same_depth:
            read = read * np.ceil(bd)
        cost = (read + fetched) / elements
    cost = np.where(ifm[0] * ifm[1] * ifm[2] < area * (block_depth * 2), cost / f32(2), cost)
    for copies in (2, 1):
        fits = (in_bytes * copies <= engine.input_bytes) & (sums * copies <= engine.sum_bytes)
        if op == "Resize":
            fits = np.ones_like(fits)
        if fits.any():
            break
    cost = np.where(fits, cost, np.inf)
    i, j, k = least(cost, h, w, rows, cols, ifm, matmul)
    rows, cols = np.broadcast_to(rows, cost.shape), np.broadcast_to(cols, cost.shape)
    source = int(rows[i, j, k]), int(cols[i, j, k]), depths[i] if same_depth else depth_in
    return Block(source, (int(h[j, 0]), int(w[k]), depths[i]), micro, part_kernel)
