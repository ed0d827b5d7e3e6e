"""Arm Ethos-U through Vela, its production compiler.

What is reported is the compiler's cycle model for the int8 network with the given configuration: the chip itself
is not measured. Defaults are those of `vela --accelerator-config NAME MODEL.tflite`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from ...errors import InputError, WorkbenchError, unknown
from ...files import home, write_atomic
from ...graph import Graph
from ..channel_multiple import channel_multiple
from ..measurement import Measurement
from ..target import MacArray, Target
from ..tflite import write_tflite
from ..weight_values import Weights
from .accelerators import DEFAULT_SECTIONS, ETHOS_U, family_of, ini_section, ini_sections, mac_count, mac_counts
from .compiler_answer import compiled_figures
from .compiler_pool import TIME_LIMIT_S, shared_pool
from .design import AS_BUILT, Design, ini_text, with_design

__all__ = ["EthosU"]

_STRATEGIES = ("performance", "size")


@dataclass(frozen=True)
class EthosU(Target):
    """One Ethos-U configuration.

    accelerator: one of `ETHOS_U`. system_config, memory_mode: section names of the ini file (None: Vela's default
    for the family). arena_bytes: `--arena-cache-size`. strategy: "performance" or "size" (`--optimise`).
    ini: path of a team's own vela.ini (None: the one that ships with Vela). design: what differs from all that, of an
    accelerator nobody built; where its number of MACs is no real one, no compiler knows it.

    >>> EthosU("ethos-u65-512").clock_hz
    1000000000.0
    """

    accelerator: str
    system_config: str | None = None
    memory_mode: str | None = None
    arena_bytes: int | None = None
    strategy: str = "performance"
    ini: str | None = None
    design: Design = AS_BUILT

    def __post_init__(self) -> None:
        if self.accelerator not in ETHOS_U:
            raise unknown("accelerator", self.accelerator, ETHOS_U)
        if self.strategy not in _STRATEGIES:
            raise unknown("strategy", self.strategy, _STRATEGIES)
        arena = self.arena_bytes
        if arena is not None and (not isinstance(arena, int) or arena < 1):
            raise InputError(f"arena_bytes is {arena!r}; it must be a whole number, at least 1 (524288 is common)")
        systems, modes = self.section_names
        for kind, value, names in (
            ("system config", self.system_config, systems), ("memory mode", self.memory_mode, modes),
        ):  # fmt: skip
            if value is not None and value not in names:
                raise unknown(kind, value, names)
        with_design(self._ini_sections[0], self.design, self.bus_bytes, self.accelerator)
        if self.design.macs is not None:
            counts = mac_counts(self.family)
            if not min(counts) / 2 <= self.design.macs <= 2 * max(counts):
                nearest = min(counts, key=lambda n: abs(n - self.macs))
                raise InputError(
                    f"macs is {self.design.macs}, too far from the {min(counts)} to {max(counts)} of {self.family} to "
                    f"say anything about; the nearest is {nearest}"
                )

    @classmethod
    def with_options(cls, accelerator: str | None = None, **options: Any) -> "EthosU":
        """From options by name, those of `Design` among them; an unknown one raises UnknownName with the nearest.

        accelerator: None for the smallest with at least `macs`, 256 where these are not given. sram: another word for
        arena_bytes. One that nobody built yet: macs, clock_mhz, sram (bytes), sram_gbps, dram_gbps, ... Estimates of
        it come from the same model; where macs is no real number of multipliers, from the two nearest real ones.

        >>> EthosU.with_options("ethos-u55-128", strategy="size").name
        'ethos-u55-128 (strategy=size)'
        """
        designs = [f.name for f in fields(Design)]
        names = [*(f.name for f in fields(cls) if f.name not in ("accelerator", "design")), *designs, "sram"]
        for name in options:
            if name not in names:
                raise unknown("target option", name, names)
        if (sram := options.pop("sram", None)) is not None:
            if options.get("arena_bytes") is not None:
                raise InputError(f"sram={sram} and arena_bytes={options['arena_bytes']} say the same; give one")
            options["arena_bytes"] = sram
        design = Design(**{name: options.pop(name) for name in designs if name in options})
        if accelerator is not None and accelerator not in ETHOS_U:
            raise unknown("accelerator", accelerator, ETHOS_U)
        if accelerator is None:
            least = design.macs or 256
            large_enough = sorted((mac_count(name), name) for name in ETHOS_U if mac_count(name) >= least)
            accelerator = large_enough[0][1] if large_enough else max(ETHOS_U, key=mac_count)
        elif design.macs is not None:
            namesake = f"{family_of(accelerator)}-{design.macs}"
            accelerator = namesake if namesake in ETHOS_U else accelerator
        if design.macs == mac_count(accelerator):
            design = replace(design, macs=None)
        if options.get("ini") is not None:
            options["ini"] = str(options["ini"])
        return cls(accelerator, **options, design=design)

    # ---- what the target is ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The accelerator, and what differs from its defaults in brackets."""
        changes = ", ".join(f"{name}={value}" for name, value in self._changes.items())
        return f"{self.accelerator} ({changes})" if changes else self.accelerator

    @property
    def _changes(self) -> dict[str, Any]:
        """Options that differ from the accelerator's defaults, by name."""
        options = {f.name: (getattr(self, f.name), f.default) for f in fields(self)[1:] if f.name != "design"}
        return {name: value for name, (value, default) in options.items() if value != default} | dict(
            self.design.changes
        )

    def describe(self) -> str | dict[str, Any]:
        """The accelerator's name, or {"accelerator": its name, option: value, ...} where options differ."""
        return {"accelerator": self.accelerator, **self._changes} if self._changes else self.accelerator

    def configured(self, **options: Any) -> "EthosU":
        """The same configuration with other options (those of `with_options`)."""
        return self.with_options(self.accelerator, **{**self._changes, **options})

    @cached_property
    def digest(self) -> str:
        content = {**asdict(self), "compiler": self.compiler}
        del content["design"]
        content |= {"design": dict(self.design.changes)} if self.design.changes else {}
        if self.ini is not None:
            content["ini"] = Path(self.ini).read_text(encoding="utf-8")
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def compiler(self) -> str:
        return f"vela {_vela_version()}"

    @property
    def compiles_tflite(self) -> bool:
        return True

    @property
    def latency_note(self) -> str:
        return "Latencies are the compiler cycle model's or estimates of it, batch 1; no chip was measured."

    @property
    def macs(self) -> int:
        """8-bit multiply-accumulates a cycle."""
        return self.design.macs or mac_count(self.accelerator)

    @property
    def mac_array(self) -> MacArray:
        return MacArray(self.macs, self.clock_hz)

    @property
    def channel_multiple(self) -> int:
        """The multiple of channels that a sweep of compiled networks shows to pay (see `channel_multiple.py`)."""
        return channel_multiple(self.digest, self.accelerator)

    @property
    def family(self) -> str:
        """The accelerator's family, "ethos-u65"."""
        return family_of(self.accelerator)

    @property
    def is_real(self) -> bool:
        """Whether an accelerator with so many MACs exists, so that the compiler knows it."""
        return self.design.macs is None

    @property
    def neighbours(self) -> "tuple[EthosU, EthosU]":
        """The two real accelerators of the family nearest in MACs, the smaller first, in the same system."""
        counts = mac_counts(self.family)
        below = [n for n in counts if n <= self.macs][-1:] or counts[:1]
        above = [n for n in counts if n > below[0]][:1]
        pair = (below[0], above[0]) if above else counts[-2:]
        design = replace(self.design, macs=None)
        small, large = (replace(self, accelerator=f"{self.family}-{n}", design=design) for n in pair)
        return small, large

    # ---- clocks and memories --------------------------------------------------------------------------------------

    @property
    def bus_bytes(self) -> int:
        """Width of a port in bytes, as the compiler sees it."""
        # It goes by the name of the section: a team's own Ethos-U55 called otherwise is given 16.
        system = self.system_config or DEFAULT_SECTIONS[self.family][0]
        return 8 if system.startswith("Ethos_U55") else 16

    @property
    def clock_hz(self) -> float:
        """The core's clock."""
        return float(self.configuration[0]["core_clock"])

    @cached_property
    def configuration(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The sections in force, system and memory mode, with what they inherit; keys in lower case."""
        system, memory = self._ini_sections
        if self.design.changes:
            system = with_design(system, self.design, self.bus_bytes, self.accelerator)
        return system, memory

    @property
    def _ini_sections(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        system, memory = DEFAULT_SECTIONS[self.family]
        return (
            ini_section(self.ini, f"System_Config.{self.system_config or system}"),
            ini_section(self.ini, f"Memory_Mode.{self.memory_mode or memory}"),
        )

    @property
    def section_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the system configurations and of the memory modes in the ini."""
        names = ini_sections(self.ini)
        systems, modes = (
            tuple(name.partition(".")[2] for name in names if name.startswith(kind))
            for kind in ("System_Config.", "Memory_Mode.")
        )
        return systems, modes

    # ---- measuring ------------------------------------------------------------------------------------------------

    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = TIME_LIMIT_S) -> Measurement:
        """Compile an int8 TFLite file (its path or its bytes). What the compiler refuses is a `status`, no exception.

        `ops.source` is the number of the operator in the file, as text ("" where the compiler added it). "refused"
        with the reason is a file that is no int8 network: one whose layers read float maps, one that Vela already
        compiled, one of which nothing runs on the accelerator. Raises InputError where there is no such file.
        """
        if not isinstance(source, bytes):
            path = Path(source)
            if not path.is_file():
                raise InputError(f"there is no file {str(path)!r}; measure takes a .tflite file or its bytes")
            source = path.read_bytes()
        if not self.is_real:
            return self._refused(self._unbuilt)
        return self._measurement(shared_pool().compile(self._settings(), source, time_limit_s), None)

    def measure_graph(
        self, graph: Graph, weights: Weights | None = None, time_limit_s: float = TIME_LIMIT_S
    ) -> Measurement:
        """Write the graph as an int8 file and compile it; `ops.source` names graph operators."""
        if not self.is_real:
            return self._refused(self._unbuilt)
        try:
            file = write_tflite(graph, weights)
        except WorkbenchError as error:
            return self._refused(str(error))
        return self._measurement(shared_pool().compile(self._settings(), file.data, time_limit_s), file.sources)

    def measure_graphs(self, graphs: Iterable[Graph]) -> Iterator[Measurement]:
        """Measurements in order, with seeded random weights and every worker busy (for calibration)."""
        sources: list[tuple[str, ...]] = []

        def files() -> Iterator[bytes]:
            for graph in graphs:
                file = write_tflite(graph, None)
                sources.append(file.sources)
                yield file.data

        for i, answer in enumerate(shared_pool().compile_many(self._settings(), files())):
            yield self._measurement(answer, sources[i])

    def without(self, *features: str) -> "Mapping[str, Any]":
        """Settings for the worker with compiler features ("cascading", "buffering") turned off."""
        return {**self._settings(), "features_off": features}

    def _settings(self) -> dict[str, Any]:
        settings = asdict(self)
        if settings.pop("design") and self.design.changes:
            section = "Ethos_U55_Design" if self.bus_bytes == 8 else "Design"
            path = home() / "designs" / f"{self.digest}.ini"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, ini_text(section, *self.configuration).encode())
            settings.update(ini=str(path), system_config=section, memory_mode="Design")
        return settings

    @property
    def _unbuilt(self) -> str:
        counts = ", ".join(map(str, mac_counts(self.family)))
        return f"no compiler knows an accelerator of {self.macs} MACs; those of the family have {counts}"

    def _refused(self, reason: str) -> Measurement:
        return Measurement("refused", self.name, reason, compiler=self.compiler)

    def _measurement(self, answer: Mapping[str, Any], sources: tuple[str, ...] | None) -> Measurement:
        if answer["status"] != "compiled":
            return Measurement(answer["status"], self.name, answer["reason"], compiler=self.compiler)
        latency_ms = answer["cycles"] / self.clock_hz * 1e3
        figures = compiled_figures(answer, sources)
        return Measurement("compiled", self.name, latency_ms=latency_ms, compiler=self.compiler, **figures)


@cache
def _vela_version() -> str:
    return version("ethos-u-vela")
