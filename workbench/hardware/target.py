"""What every target answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar, NamedTuple

from ..errors import InputError
from ..graph import Graph
from .measurement import Measurement
from .weight_values import Weights

__all__ = ["MacArray", "Target"]


class MacArray(NamedTuple):
    """An accelerator's multipliers. macs: 8-bit multiply-accumulates a cycle. clock_hz: the core's."""

    macs: int
    clock_hz: float

    @property
    def macs_per_ms(self) -> float:
        """Multiply-accumulates a millisecond with every multiplier busy."""
        return self.macs * self.clock_hz / 1e3


class Target(ABC):
    """A whole configuration (accelerator, clocks, memories, strategy), frozen and hashable.

    A target defines the abstract members. The others are capabilities: their defaults are those of a device that is
    only timed, so a target overrides the ones it has.
    """

    #: `EthosU.with_options`: an Ethos-U configuration from an accelerator's name and options. `workbench.hardware`
    #: binds it, because this base knows none of its kinds.
    ethos_u: ClassVar[Callable[..., Any]]

    @property
    @abstractmethod
    def name(self) -> str:
        """The name people use, "ethos-u65-512", with what differs from the defaults."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """16 hex digits of the configuration and the compiler's version."""

    @property
    @abstractmethod
    def channel_multiple(self) -> int:
        """The multiple that layer widths should have on this hardware; 1 where any width is as good."""

    @property
    @abstractmethod
    def compiler(self) -> str:
        """Name and version of what measures, "vela 5.2.0"."""

    @abstractmethod
    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = 120.0) -> Measurement:
        """Compile or run an existing model file."""

    @abstractmethod
    def measure_graph(self, graph: Graph, weights: Weights | None = None, time_limit_s: float = 120.0) -> Measurement:
        """Compile or run the graph; weights None: seeded random values."""

    @property
    def compiles_tflite(self) -> bool:
        """Whether a compiler stands behind the target: `measure` takes an int8 TFLite file and gives its figures."""
        return False

    @property
    def mac_array(self) -> MacArray | None:
        """The accelerator's multipliers; None where the hardware has no such array, or none that is known."""
        return None

    @property
    def latency_note(self) -> str:
        """One sentence for a report's readers: where this target's latencies come from."""
        return "Latencies are estimates learned from what was measured on the device, batch 1."

    def describe(self) -> str | dict[str, Any]:
        """The target as plain data for a file: `resolve(target.describe()) == target`.

        A name that `resolve` knows, or a mapping of options where the configuration has no name of its own.
        """
        return self.name

    def configured(self, **options: Any) -> "Target":
        """The same target with other options. Raises InputError for an option the target does not have."""
        for option in options:
            raise InputError(f"{self.name} has no option {option!r}; an Ethos-U target, such as 'ethos-u65-512', has")
        return self
