"""What differs on the U85: its output stage and its memory channels.

Rules: Ethos-U Vela 5.2, performance model of the U85. Every kind of transfer has a channel of its own with a queue;
a channel moves no more than its queue keeps in flight over the latency:

    rate = min(bandwidth, burst * min(queue / (burst / 16), 0.8 * reads * ports) / latency * 0.8)
    cycles of a memory = max(all its bytes / bandwidth, cycles of its slowest channel)
"""

from collections.abc import Sequence

from .blocks_u85 import Engine, engine_of
from .machine import Machine, Memory
from .passes import ELEMENTWISE, Work

__all__ = ["channel_rate", "channels_cycles", "output_cycles"]

_CHANNELS = ("copy", "ifm stream", "weights", "fast weights", "ifm", "scales")
_DIVISION = 33.0  # cycles for one element
_ACTIVATIONS = frozenset(
    {
        "Relu",
        "Relu0To1",
        "Relu6",
        "ReluN1To1",
        "ReluN",
        "Clamp",
        "LUT",
        "Sigmoid",
        "Tanh",
        "LeakyRelu",
        "PRelu",
        "HardSwish",
    }
)


def output_cycles(machine: Machine, work: Work) -> float:
    """Cycles of the output stage for one element, chained operators one after the other."""
    engine = engine_of(machine)
    turning = 0.0
    if work.turn is not None:  # swapping rows and columns takes twice as long
        turning = engine.activation[0 if work.turn in ((0, 2, 1), (2, 0, 1)) else 1]
        if work.op == "Transpose":
            return turning
    fused = [link for link in work.chain if link.op not in _ACTIVATIONS]
    plain = work.op in _ACTIVATIONS and work.op not in ELEMENTWISE
    bits = work.ofm.bits
    if work.op == "Div":
        return _DIVISION
    if work.op == "Resize":  # faster where every element is used often
        ratio = min((2 * to + of) // (2 * of) for to, of in _sides(work))
        return engine.resize[int(ratio >= machine.macs // 512)][work.ifm.bits // 16]
    current = _output(engine, 8 if plain else work.ifm.bits, 8 if plain else bits, work.ifm2 is not None, bool(fused))
    total = 0.0
    for link in work.chain:
        if link.op in _ACTIVATIONS:
            current = max(current, engine.activation[0])
        else:
            total += current
            fused.pop(0)
            current = _output(engine, bits, link.bits, link.other is not None, bool(fused))
            bits = link.bits
    return total + max(current, turning)


def _sides(work: Work) -> tuple[tuple[int, int], tuple[int, int]]:
    return (work.ofm.height, work.ifm.height), (work.ofm.width, work.ifm.width)


def _output(engine: Engine, bits_in: int, bits: int, pair: bool, chained: bool) -> float:
    """Cycles an element takes, read and written with so many bits. chained: whether another operator takes it over."""
    if chained and 32 in (bits, bits_in):
        return engine.output[4]
    if bits == 64:
        return engine.output[3]
    if pair and bits_in == 32:
        return engine.output[5 if bits == 32 else 4]
    return engine.output[{32: 2, 16: 1}.get(bits, 0)]


def channel_rate(machine: Machine, memory: Memory, channel: str) -> float:
    """Bytes a cycle of one channel."""
    words = max(memory.burst_bytes // 16, 1)
    if channel == "write":
        limit, flying, latency = float("inf"), memory.writes, memory.write_latency
    else:
        limit = engine_of(machine).queues[_CHANNELS.index(channel)] / words
        flying, latency = memory.reads, memory.read_latency
    if not latency:
        return memory.bytes_per_cycle
    transfers = min(limit, flying * memory.ports * 0.8)
    return min(memory.bytes_per_cycle, memory.burst_bytes * transfers / latency * 0.8)


def channels_cycles(machine: Machine, moved: Sequence[tuple[Memory, str, int]]) -> dict[str, int]:
    """Cycles of each memory for (memory, channel, bytes) moved."""
    by_channel: dict[tuple[Memory, str], int] = {}
    total: dict[Memory, int] = {}
    for memory, channel, n in moved:
        rate = channel_rate(machine, memory, channel)
        by_channel[memory, channel] = by_channel.get((memory, channel), 0) + int(n / rate)
        total[memory] = total.get(memory, 0) + n
    return {
        memory.name: max(int(n / memory.bytes_per_cycle), max(c for (m, _), c in by_channel.items() if m == memory))
        for memory, n in total.items()
    }
