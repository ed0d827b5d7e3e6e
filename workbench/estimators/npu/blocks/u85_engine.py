"""The MAC arrays and buffers of the U85, by size.

Rules: Ethos-U Vela 5.2, architecture features of the U85.
"""

from dataclasses import dataclass

from ..feature_map import Size
from ..hashing import cached_hash
from ..machine import Machine

__all__ = ["Engine", "engine_of"]


@dataclass(frozen=True)
class Engine:
    """One U85.

    macs: 8-bit multiply-accumulates a cycle. microblocks: (rows, columns, channels) that convolutions choose from;
    shallow_microblock: the one of operators that do not mix channels. *_granules: (rows, columns, bricks) the IFM
    buffer is allocated in for up to 16, 32 and more channels of 8 bits, for flat (1 x 4) and other microblocks.
    *_bytes: of the buffers. queues: words in flight of the read channels, in the order of `cycles.u85`.
    output_cycles: of the output stage per element of 8, 16, 32, 64 bits, to the chaining buffer, of 32-bit pairs.
    resize_cycles: per element, by whether the ratio is large, then by 8 or 16 bits. activation_cycles: per element, of
    an activation or a transpose, of a transpose that swaps rows and columns.
    """

    macs: int
    microblocks: tuple[Size, ...]
    shallow_microblock: Size
    square_granules: tuple[Size, Size, Size]
    flat_granules: tuple[Size, Size, Size]
    ifm_bytes: int
    accumulator_bytes: int
    output_bytes: int
    chain_bytes: int
    queues: tuple[int, int, int, int, int, int]
    output_cycles: tuple[float, float, float, float, float, float]
    resize_cycles: tuple[tuple[float, float], tuple[float, float]]
    activation_cycles: tuple[float, float]

    __hash__ = cached_hash


_ENGINES = {
    engine.macs: engine
    for engine in (
        Engine(
            macs=128,
            microblocks=((1, 2, 8), (1, 1, 16)),
            shallow_microblock=(1, 1, 16),
            square_granules=((1, 2, 1), (1, 1, 2), (1, 1, 2)),
            flat_granules=((1, 2, 1), (1, 1, 2), (1, 1, 2)),
            ifm_bytes=8192,
            accumulator_bytes=8192,
            output_bytes=2048,
            chain_bytes=768,
            queues=(64, 64, 128, 128, 104, 16),
            output_cycles=(0.5, 0.5, 0.5, 1.0, 1.0, 1.0),
            resize_cycles=((0.5, 1.0), (0.5, 1.0)),
            activation_cycles=(0.5, 1.0),
        ),
        Engine(
            macs=256,
            microblocks=((1, 2, 16), (1, 4, 8), (2, 2, 8)),
            shallow_microblock=(1, 2, 16),
            square_granules=((2, 2, 1), (1, 2, 2), (1, 1, 4)),
            flat_granules=((1, 4, 1), (1, 2, 2), (1, 1, 4)),
            ifm_bytes=16384,
            accumulator_bytes=16384,
            output_bytes=2048,
            chain_bytes=1536,
            queues=(104, 104, 128, 128, 128, 16),
            output_cycles=(0.25, 0.25, 0.25, 0.5, 0.5, 0.5),
            resize_cycles=((0.25, 0.5), (0.25, 0.5)),
            activation_cycles=(0.25, 0.5),
        ),
        Engine(
            macs=512,
            microblocks=((2, 2, 16), (1, 4, 16)),
            shallow_microblock=(0, 0, 0),  # none of its own
            square_granules=((2, 2, 1), (1, 2, 2), (1, 1, 4)),
            flat_granules=((1, 4, 1), (1, 2, 2), (1, 1, 4)),
            ifm_bytes=16384,
            accumulator_bytes=32768,
            output_bytes=4096,
            chain_bytes=3072,
            queues=(128, 128, 256, 256, 128, 16),
            output_cycles=(0.125, 0.125, 0.25, 0.5, 0.25, 0.25),
            resize_cycles=((0.125, 0.25), (0.125, 0.25)),
            activation_cycles=(0.125, 0.25),
        ),
        Engine(
            macs=1024,
            microblocks=((2, 2, 32), (1, 4, 32), (2, 4, 16)),
            shallow_microblock=(2, 4, 16),
            square_granules=((2, 4, 1), (2, 2, 2), (1, 2, 4)),
            flat_granules=((2, 4, 1), (1, 4, 2), (1, 2, 4)),
            ifm_bytes=16384,
            accumulator_bytes=65536,
            output_bytes=4096,
            chain_bytes=6144,
            queues=(256, 256, 416, 208, 256, 16),
            output_cycles=(0.0625, 0.125, 0.25, 0.5, 0.125, 0.25),
            resize_cycles=((0.125, 0.125), (0.0625, 0.125)),
            activation_cycles=(0.0625, 0.125),
        ),
        Engine(
            macs=2048,
            microblocks=((2, 2, 64), (1, 4, 64), (4, 4, 16)),
            shallow_microblock=(4, 4, 16),
            square_granules=((4, 4, 1), (2, 4, 2), (2, 2, 4)),
            flat_granules=((4, 4, 1), (2, 4, 2), (1, 4, 4)),
            ifm_bytes=32768,
            accumulator_bytes=131072,
            output_bytes=8192,
            chain_bytes=12288,
            queues=(256, 256, 512, 256, 256, 16),
            output_cycles=(0.03125, 0.0625, 0.125, 0.25, 0.0625, 0.125),
            resize_cycles=((0.0625, 0.0625), (0.03125, 0.0625)),
            activation_cycles=(0.03125, 0.0625),
        ),
    )
}


def engine_of(machine: Machine) -> Engine:
    """The engine of a U85."""
    return _ENGINES[machine.macs]
