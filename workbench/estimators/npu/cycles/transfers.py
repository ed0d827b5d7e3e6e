"""Bytes moved between the accelerator and a memory, and cycles of copies and reads.

Rules: Ethos-U Vela 5.2, performance models of the U55/U65 and the U85. A transfer shorter than a burst takes as long
as a burst:

    run      bytes of a block that are contiguous in memory, at most a burst
    moved    = bytes * burst / run
"""

from ..feature_map import BRICK, FeatureMap, Size
from ..machine import Machine, Memory
from .u85 import channel_rate

__all__ = ["copy_cycles", "moved_bytes", "read_cycles"]


def moved_bytes(
    machine: Machine, feature_map: FeatureMap, block: Size, memory: Memory, elements: int, read: bool
) -> int:
    """Bytes to pay for when `elements` of a feature map are read or written block by block."""
    run = min(memory.burst_bytes, _contiguous_bytes(machine, feature_map, block, read))
    return elements * feature_map.bits // 8 * memory.burst_bytes // run


def _contiguous_bytes(machine: Machine, feature_map: FeatureMap, block: Size, read: bool) -> int:
    """Bytes of a block that are contiguous in memory."""
    element = feature_map.bits // 8
    cores = 1 if machine.family == "u85" else machine.cores
    if feature_map.bricks:
        if feature_map.width * element * BRICK == block[2]:
            return element * block[1] * block[2]
        return BRICK * element * block[1] * (1 if read else cores)
    all_channels = feature_map.channels * element == block[2]
    if read:
        return element * block[1] * block[2] if all_channels else element * block[2]
    if block[2] <= BRICK and all_channels:
        return element * block[1] * block[2]
    return min(64, BRICK * element * cores, block[2] * element)


def copy_cycles(machine: Machine, to: Memory, source: Memory, size: int) -> int:
    """Cycles to copy `size` bytes from one memory to another."""
    read_rate, write_rate = source.bytes_per_cycle, to.bytes_per_cycle
    if machine.family == "u85":
        read_rate, write_rate = channel_rate(machine, source, "copy"), channel_rate(machine, to, "write")
    return max(int(size / read_rate) + source.read_latency, int(size / write_rate) + to.write_latency)


def read_cycles(machine: Machine, memory: Memory, size: int, channel: str) -> int:
    """Cycles to read `size` bytes through a channel ("ifm", "weights"), latency included."""
    rate = channel_rate(machine, memory, channel) if machine.family == "u85" else memory.bytes_per_cycle
    return int(size / rate + memory.read_latency)
