"""What differs on the U85: its output stage and its memory channels.

Rules: Ethos-U Vela 5.2, performance model of the U85. Every kind of transfer has a channel of its own with a queue;
a channel moves no more than its queue keeps in flight over the latency:

    rate                  = min(bandwidth, burst * min(queue / (burst / 16), 0.8 * reads * ports) / latency * 0.8)
    cycles of a memory    = max(all its bytes / bandwidth, cycles of its slowest channel)
"""

from collections.abc import Sequence

from ..blocks.u85_engine import Engine, engine_of
from ..machine import Machine, Memory
from ..passes import ELEMENTWISE, ChainedOp, PassSpec

__all__ = ["channel_rate", "cycles_by_memory", "output_cycles"]

_READ_CHANNELS = ("copy", "ifm stream", "weights", "fast weights", "ifm", "scales")  # in the order of Engine.queues
_WORD_BYTES = 16
_EFFICIENCY = 0.8
_DIVISION_CYCLES = 33.0  # per element
_CHEAP_TRANSPOSES = ((0, 2, 1), (2, 0, 1))
_ACTIVATIONS = frozenset("Relu Relu0To1 Relu6 ReluN1To1 ReluN Clamp LUT Sigmoid Tanh LeakyRelu PRelu HardSwish".split())


def output_cycles(machine: Machine, spec: PassSpec) -> float:
    """Cycles of the output stage for one element; chained operators run one after the other."""
    engine = engine_of(machine)
    transpose = 0.0
    if spec.transpose is not None:
        transpose = engine.activation_cycles[0 if spec.transpose in _CHEAP_TRANSPOSES else 1]
        if spec.op == "Transpose":
            return transpose
    if spec.op == "Div":
        return _DIVISION_CYCLES
    if spec.op == "Resize":  # faster where every element is used often
        ratio = min((2 * to + size) // (2 * size) for size, to in zip(spec.ifm[:2], spec.ofm[:2], strict=True))
        return engine.resize_cycles[int(ratio >= machine.macs // 512)][spec.ifm.bits // 16]
    total, last = _chain_cycles(engine, spec)
    return total + max(last, transpose)


def _chain_cycles(engine: Engine, spec: PassSpec) -> tuple[float, float]:
    """Cycles per element of the pass and its chain, the last operator apart: (those before it, the last one)."""
    chained: list[ChainedOp] = [link for link in spec.chain if link.op not in _ACTIVATIONS]
    activation = spec.op in _ACTIVATIONS and spec.op not in ELEMENTWISE
    bits_in, bits = (8, 8) if activation else (spec.ifm.bits, spec.ofm.bits)
    current = _operator_cycles(engine, bits_in, bits, spec.ifm2 is not None, bool(chained))
    bits, total = spec.ofm.bits, 0.0
    for link in spec.chain:
        if link.op in _ACTIVATIONS:
            current = max(current, engine.activation_cycles[0])
        else:
            total += current
            chained.pop(0)
            current = _operator_cycles(engine, bits, link.bits, link.operand is not None, bool(chained))
            if link.op == "Div":
                current = _DIVISION_CYCLES
            bits = link.bits
    return total, current


def _operator_cycles(engine: Engine, bits_in: int, bits: int, pair: bool, chained: bool) -> float:
    """Cycles per element that is read and written with so many bits. pair: whether it has two inputs. chained: whether
    another operator takes it over.
    """
    if chained and 32 in (bits, bits_in):
        return engine.output_cycles[4]
    if bits == 64:
        return engine.output_cycles[3]
    if pair and bits_in == 32:
        return engine.output_cycles[5 if bits == 32 else 4]
    return engine.output_cycles[{32: 2, 16: 1}.get(bits, 0)]


def channel_rate(machine: Machine, memory: Memory, channel: str) -> float:
    """Bytes a cycle of one channel: one of the read channels, or "write"."""
    if channel == "write":
        queued, outstanding, latency = float("inf"), memory.writes, memory.write_latency
    else:
        words_per_burst = max(memory.burst_bytes // _WORD_BYTES, 1)
        queued = engine_of(machine).queues[_READ_CHANNELS.index(channel)] / words_per_burst
        outstanding, latency = memory.reads, memory.read_latency
    if not latency:
        return memory.bytes_per_cycle
    bursts = min(queued, outstanding * memory.ports * _EFFICIENCY)
    return min(memory.bytes_per_cycle, memory.burst_bytes * bursts / latency * _EFFICIENCY)


def cycles_by_memory(machine: Machine, transfers: Sequence[tuple[Memory, str, int]]) -> dict[str, int]:
    """Cycles of each memory, by its name, for transfers (memory, channel, bytes)."""
    by_channel: dict[tuple[Memory, str], int] = {}
    total: dict[Memory, int] = {}
    for memory, channel, size in transfers:
        rate = channel_rate(machine, memory, channel)
        by_channel[memory, channel] = by_channel.get((memory, channel), 0) + int(size / rate)
        total[memory] = total.get(memory, 0) + size
    return {
        memory.name: max(int(size / memory.bytes_per_cycle), max(n for (m, _), n in by_channel.items() if m == memory))
        for memory, size in total.items()
    }
