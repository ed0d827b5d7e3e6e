"""Accelerators in their design phase: what differs from a configuration that exists."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite

from ...errors import InputError

__all__ = ["AS_BUILT", "Design", "ini_text", "with_design"]

_MEMORIES = {"sram": "sram", "dram": "dram", "flash": "offchipflash"}  # prefix of a design's fields -> Vela's name


@dataclass(frozen=True)
class Design:
    """The values that differ; None where a value is the real accelerator's.

    macs: 8-bit multiply-accumulates a cycle. clock_mhz: the core's. sram_gbps, dram_gbps, flash_gbps: bandwidths, 10^9
    bytes a second. ..._read_latency, ..._write_latency: core cycles. A new clock leaves the bandwidths of memories
    outside the chip (DRAM, flash) as they are in bytes a second, and SRAM's in bytes a cycle.
    """

    macs: int | None = None
    clock_mhz: float | None = None
    sram_gbps: float | None = None
    dram_gbps: float | None = None
    flash_gbps: float | None = None
    sram_read_latency: int | None = None
    sram_write_latency: int | None = None
    dram_read_latency: int | None = None
    dram_write_latency: int | None = None
    flash_read_latency: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.changes.items():
            least = 0 if name.endswith("latency") else 1 if name == "macs" else 1e-3
            if not isinstance(value, int | float) or not isfinite(value) or value < least:
                raise InputError(f"{name} is {value!r}; it must be a number of at least {least}")

    @property
    def changes(self) -> Mapping[str, float]:
        """The values that differ, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


AS_BUILT = Design()


def with_design(system: Mapping[str, str], design: Design, bus_bytes: int, accelerator: str) -> dict[str, str]:
    """A system configuration's section with a design's changes.

    bus_bytes: width of a port. accelerator: its name, for errors. Raises InputError for a memory the system does not
    have.
    """
    section = dict(system)
    old_clock = float(system["core_clock"])
    clock = design.clock_mhz * 1e6 if design.clock_mhz is not None else old_clock
    section["core_clock"] = f"{clock:.0f}"
    memories = {system[port].lower() for port in ("axi0_port", "axi1_port")}
    for prefix, memory in _MEMORIES.items():
        changes = {name: value for name, value in design.changes.items() if name.startswith(f"{prefix}_")}
        if changes and memory not in memories:
            raise InputError(
                f"{next(iter(changes))} is given, but {accelerator} has no {prefix}; it has "
                f"{' and '.join(sorted(memories))}"
            )
        if memory not in memories:
            continue
        scale = f"{memory}_clock_scale"
        if prefix != "sram":
            section[scale] = repr(float(system[scale]) * old_clock / clock)
        ports = int(system.get(f"{memory}_ports_used", 1))
        for name, value in changes.items():
            if name.endswith("gbps"):
                section[scale] = repr(value * 1e9 / (clock * bus_bytes * ports))
            else:
                section[f"{memory}_{name.removeprefix(prefix + '_')}"] = str(int(value))
    return section


def ini_text(name: str, system: Mapping[str, str], memory: Mapping[str, str]) -> str:
    """A compiler's configuration file of two sections: the system's, called `name`, and the memory mode "Design"."""
    # the compiler reads names of memories as they are written in its own file
    spelling = {"sram": "Sram", "dram": "Dram", "onchipflash": "OnChipFlash", "offchipflash": "OffChipFlash"}

    def spell(key: str) -> str:
        first, _, rest = key.partition("_")
        return f"{spelling[first]}_{rest}" if first in spelling else key

    parts = ((f"System_Config.{name}", system), ("Memory_Mode.Design", memory))
    return "\n".join(
        f"[{title}]\n" + "".join(f"{spell(key)}={value}\n" for key, value in section.items() if key != "inherit")
        for title, section in parts
    )
