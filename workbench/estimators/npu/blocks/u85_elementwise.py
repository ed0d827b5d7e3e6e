"""OFM blocks of elementwise operators on the U85: those that fill the output buffer, or the chaining buffer where an
input is broadcast.

Rules: Ethos-U Vela 5.2, block search of the U85.
"""

from ..feature_map import BRICK, Size
from ..rounding import round_up
from .u85_buffers import LIMIT
from .u85_cover import even_split
from .u85_engine import Engine

__all__ = ["chain_slot_bricks", "elementwise_block"]

_CHAIN_SLOTS = 6


def chain_slot_bricks(engine: Engine, bits: int) -> int:
    """Bricks of elements of `bits` bits that one slot of the chaining buffer holds."""
    return engine.chain_bytes // _CHAIN_SLOTS // (BRICK * (bits // 8))


def elementwise_block(engine: Engine, microblock: Size, ifm: Size, ifm2: Size | None, bits: int, ofm: Size) -> Size:
    """The OFM block; IFM blocks are the same."""
    granule = (microblock[0], microblock[1], BRICK)
    whole = tuple(round_up(n, g) for n, g in zip(ofm, granule, strict=True))
    limit = tuple(min(n, most) for n, most in zip(whole, LIMIT, strict=True))
    scalar = ifm == (1, 1, 1) or ifm2 == (1, 1, 1)
    chained_columns = chain_slot_bricks(engine, bits) // microblock[0]
    bricks = engine.output_bytes * 8 // bits // granule[2]
    rows = even_split(whole[0], granule[0], limit[0])
    columns = max(even_split(whole[1], granule[1], min(bricks, limit[1])), granule[1])
    depth, width = _grown(granule[2], limit[2], bricks, columns)
    if not scalar and ifm2 is not None:
        broadcast = [any(shape[axis] < ofm[axis] for shape in (ifm, ifm2)) for axis in range(3)]
        if broadcast[2]:
            depth = even_split(whole[2], granule[2], limit[2])
            width = chained_columns
            if broadcast == [False, False, True]:
                rows, width = _grown(microblock[0], limit[0], width, columns)
        elif broadcast[0]:
            depth, width = _grown(BRICK, limit[2], chained_columns, columns)
    return round_up(rows, granule[0]), round_up(width, granule[1]), round_up(depth, granule[2])


def _grown(value: int, limit: int, room: int, required: int) -> tuple[int, int]:
    """(value times how often `required` fits the room, room that is left), up to a limit of the value."""
    times = min(room // required, limit // value)
    return (value * times, room // times) if times >= 2 else (value, room)
