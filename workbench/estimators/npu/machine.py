"""An Ethos-U accelerator and the memories around it, as the compiler's configuration files describe them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

from ...errors import InputError
from ...hardware import EthosU
from .hashing import cached_hash

__all__ = ["Machine", "Memory", "machine_of"]

_CORES = {("u65", 512): 2, ("u85", 512): 2, ("u85", 1024): 4, ("u85", 2048): 4}
_NAMES = {"sram": "Sram", "dram": "Dram", "onchipflash": "OnChipFlash", "offchipflash": "OffChipFlash"}
_UNLIMITED = 1 << 32


class Memory(NamedTuple):
    """One memory, as the accelerator sees it.

    bytes_per_cycle: bandwidth per cycle of the accelerator, all ports together. read_latency, write_latency: cycles.
    burst_bytes: longest transfer; a shorter one takes as long. ports: AXI ports that reach it. reads, writes:
    outstanding transfers per port.
    """

    name: str
    bytes_per_cycle: float
    read_latency: int
    write_latency: int
    burst_bytes: int
    ports: int
    reads: int
    writes: int


@dataclass(frozen=True)
class Machine:
    """An accelerator in its system.

    family: "u55", "u65" or "u85". macs: 8-bit multiply-accumulates a cycle, all cores together. cores: streams the
    weights are stored in.
    near: the fast storage that feature maps and weights are staged in. far: the memory of the other feature maps (the
    same as near where the network works in SRAM alone). constants: the memory weights are stored in.
    near_bytes: how much of near a network may use. performance: whether the compiler optimises for time, else for size
    (the least memory first). shared_bus: whether weights come over the bus of near.
    """

    family: str
    macs: int
    cores: int
    near: Memory
    far: Memory
    constants: Memory
    near_bytes: int
    performance: bool = True
    shared_bus: bool = False

    __hash__ = cached_hash

    @cached_property
    def spills(self) -> bool:
        """Whether feature maps may be in either of two memories, near and far."""
        return self.near != self.far


@cache
def machine_of(target: EthosU) -> Machine:
    """The machine a target's configuration file describes.

    Raises InputError where the configuration keeps feature maps or constants in a memory of another kind.

    >>> machine_of(EthosU("ethos-u65-512")).far.bytes_per_cycle
    12.0
    """
    system, mode = target.configuration
    family, macs = target.accelerator.split("-")[1], target.macs
    ports = {f"Axi{i}": system[f"axi{i}_port"] for i in (0, 1)}

    def area(key: str) -> Memory:
        name = ports[mode[key]]
        if name.lower() not in _NAMES:
            raise InputError(f"{target.name} keeps maps in {name!r}; it must be one of {', '.join(_NAMES.values())}")
        return _memory(system, name, target.bus_bytes)

    near, far, constants = area("cache_mem_area"), area("arena_mem_area"), area("const_mem_area")
    shared_bus = constants == near
    if shared_bus:  # the compiler counts constants apart from feature maps; they only share the bus
        constants = constants._replace(name="OnChipFlash")
    return Machine(
        family,
        macs,
        _CORES.get((family, macs), 1),
        near,
        far,
        constants,
        target.arena_bytes or int(mode.get("arena_cache_size", _UNLIMITED)),
        target.strategy == "performance",
        shared_bus,
    )


def _memory(system: Mapping[str, str], name: str, port_bytes: int) -> Memory:
    def number(key: str, default: float) -> float:
        return float(system.get(f"{name.lower()}_{key}", default))

    ports = max(int(number("ports_used", 1)), 1)
    return Memory(
        name,
        port_bytes * ports * number("clock_scale", 1),
        int(number("read_latency", 0)),
        int(number("write_latency", 0)),
        max(int(number("burst_length", 1)), 1),
        ports,
        max(int(number("max_reads", 1)), 1),
        max(int(number("max_writes", 1)), 1),
    )
