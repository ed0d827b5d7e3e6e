"""An Ethos-U accelerator and the memories around it, as the compiler's configuration files describe them."""

from dataclasses import dataclass

__all__ = ["Machine", "Memory"]


@dataclass(frozen=True)
class Memory:
    """One memory: cycles are the accelerator's.

    read_latency, write_latency: cycles. burst_bytes: longest transfer; a shorter run of bytes costs as much.
    ports: that reach it. reads, writes: transfers in flight per port.
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

    family: "u55", "u65" or "u85". macs: 8-bit multiply-accumulates a cycle, all cores together.
    near: the memory feature maps and weights are staged in. far: the one feature maps live in otherwise (the same
    as near where the network works in SRAM alone). constants: the one weights are stored in.
    near_bytes: how much of near a network may use.
    """

    family: str
    macs: int
    cores: int
    near: Memory
    far: Memory
    constants: Memory
    near_bytes: int

    @property
    def spills(self) -> bool:
        """Whether feature maps can be in either of two memories."""
        return self.near != self.far
