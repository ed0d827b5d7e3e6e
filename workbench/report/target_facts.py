"""A target's clock, multipliers, memories and bandwidths, for people to read."""

from collections.abc import Sequence

from ..estimators.npu.machine import Memory, machine_of
from ..hardware import EthosU, Target
from ..metrics import metric_text

__all__ = ["target_facts"]


def target_facts(target: Target) -> Sequence[tuple[str, str]]:
    """(what, value) of the configuration; of a device that was only measured what it is called."""
    facts = [("Configuration", target.name), ("Compiler", target.compiler)]
    array = target.mac_array
    if array is not None:
        facts.append(("Multipliers", f"{array.macs} a cycle"))
        facts.append(("Clock", f"{array.clock_hz / 1e6:g} MHz"))
    facts.append(("Widths in multiples of", str(target.channel_multiple)))
    if isinstance(target, EthosU):
        facts += _of_accelerator(target)
    return facts


def _of_accelerator(target: EthosU) -> list[tuple[str, str]]:
    machine = machine_of(target)
    places = {"Fast storage": machine.near, "Feature maps": machine.far, "Weights": machine.constants}
    facts = [(place, _memory(memory, target.clock_hz)) for place, memory in places.items()]
    if machine.near_bytes < 1 << 32:
        facts.append(("Arena in fast storage", metric_text("sram_bytes", machine.near_bytes)))
    facts.append(("Optimised for", "time" if machine.performance else "size"))
    if target.system_config or target.memory_mode:
        facts.append(("Sections", ", ".join(s for s in (target.system_config, target.memory_mode) if s)))
    return facts


def _memory(memory: Memory, clock_hz: float) -> str:
    name = "Flash" if "Flash" in memory.name else memory.name.upper()
    gigabytes = memory.bytes_per_cycle * clock_hz / 1e9
    return f"{name}, {gigabytes:.3g} GB/s, read latency {memory.read_latency} cycles"
