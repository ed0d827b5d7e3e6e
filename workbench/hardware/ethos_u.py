"""Arm Ethos-U through Vela, its production compiler.

What is reported is the compiler's cycle model for the int8 network with the given configuration: the chip itself
is not measured. Defaults are those of `vela --accelerator-config NAME MODEL.tflite`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError, WorkbenchError, unknown
from ..files import home, write_atomic
from ..graph import Graph
from .base import Measurement, Target, Weights
from .design import AS_BUILT, Design, designed, ini_text
from .tflite import write_tflite
from .vela_worker import TIME_LIMIT_S, shared_pool
from .widths import known_multiple

__all__ = ["ETHOS_U", "EthosU"]

ETHOS_U = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
)
_STRATEGIES = ("performance", "size")
# What Vela assumes without --system-config and --memory-mode (it says so on standard output).
_DEFAULTS = {
    "u55": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "u65": ("Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
    "u85": ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"),
}


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
        if self.arena_bytes is not None and self.arena_bytes < 1:
            raise InputError(f"arena_bytes is {self.arena_bytes}; it must be at least 1 (524288 is common)")
        systems, modes = self.known_sections
        for kind, value, names in (
            ("system config", self.system_config, systems), ("memory mode", self.memory_mode, modes),
        ):  # fmt: skip
            if value is not None and value not in names:
                raise unknown(kind, value, names)
        designed(self._sections[0], self.design, self.bus_bytes, self.accelerator)
        if self.design.macs is not None:
            family = self.accelerator.rpartition("-")[0]
            counts = [_count(name) for name in ETHOS_U if name.startswith(family)]
            if not min(counts) / 2 <= self.design.macs <= 2 * max(counts):
                nearest = min(counts, key=lambda n: abs(n - self.macs))
                raise InputError(
                    f"macs is {self.design.macs}, too far from the {min(counts)} to {max(counts)} of {family} to say "
                    f"anything about; the nearest is {nearest}"
                )

    @classmethod
    def with_options(cls, accelerator: str | None, options: Mapping[str, Any]) -> "EthosU":
        """From a mapping of options, those of `Design` among them; an unknown one raises with the nearest.

        accelerator: None for the smallest with at least `macs`, 256 where these are not given. sram: another word for
        arena_bytes.
        """
        designs = [f.name for f in fields(Design)]
        names = [*(f.name for f in fields(cls) if f.name not in ("accelerator", "design")), *designs, "sram"]
        for name in options:
            if name not in names:
                raise unknown("target option", name, names)
        given = dict(options)
        if given.get("sram") is not None:
            if given.get("arena_bytes") is not None:
                raise InputError(f"sram={given['sram']} and arena_bytes={given['arena_bytes']} say the same; give one")
            given["arena_bytes"] = given["sram"]
        given.pop("sram", None)
        design = Design(**{name: given.pop(name) for name in designs if name in given})
        if accelerator is None:
            wanted = design.macs or 256
            able = sorted((count, name) for name in ETHOS_U if (count := _count(name)) >= wanted)
            accelerator = able[0][1] if able else max(ETHOS_U, key=_count)
        elif design.macs is not None and accelerator in ETHOS_U:
            family = accelerator.rpartition("-")[0]
            if f"{family}-{design.macs}" in ETHOS_U:  # a real one
                accelerator, design = f"{family}-{design.macs}", replace(design, macs=None)
        if design.macs == _count(accelerator):
            design = replace(design, macs=None)
        ini = given.get("ini")
        return cls(accelerator, **{**given, "ini": str(ini) if ini is not None else None, "design": design})

    @property
    def name(self) -> str:
        """The accelerator, and what differs from its defaults in brackets."""
        own = [f for f in fields(self)[1:] if f.name != "design"]
        changed = {f.name: getattr(self, f.name) for f in own if getattr(self, f.name) != f.default}
        changed.update(self.design.changes)
        said = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{self.accelerator} ({said})" if changed else self.accelerator

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
        return f"vela {_vela()}"

    @property
    def macs(self) -> int:
        """8-bit multiply-accumulates a cycle."""
        return self.design.macs or _count(self.accelerator)

    @property
    def _family(self) -> str:
        return self.accelerator.split("-")[1]

    @property
    def is_real(self) -> bool:
        """Whether an accelerator with so many MACs exists, so that the compiler knows it."""
        return self.design.macs is None

    @property
    def neighbours(self) -> "tuple[EthosU, EthosU]":
        """The two real accelerators of the family nearest in MACs, the smaller first, in the same system."""
        family = self.accelerator.rpartition("-")[0]
        counts = sorted(_count(name) for name in ETHOS_U if name.startswith(family))
        below = [n for n in counts if n <= self.macs][-1:] or counts[:1]
        above = [n for n in counts if n > below[0]][:1]
        pair = (below[0], above[0]) if above else (counts[-2], counts[-1])
        design = replace(self.design, macs=None)
        small, large = (replace(self, accelerator=f"{family}-{n}", design=design) for n in pair)
        return small, large

    @property
    def bus_bytes(self) -> int:
        """Width of a port in bytes, as the compiler sees it."""
        # It goes by the name of the section: a team's own Ethos-U55 called otherwise is given 16.
        system = self.system_config or _DEFAULTS[self._family][0]
        return 8 if system.startswith("Ethos_U55") else 16

    @property
    def clock_hz(self) -> float:
        return float(self.configuration[0]["core_clock"])

    @cached_property
    def configuration(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The sections in force, system and memory mode, with what they inherit; keys in lower case."""
        system, memory = self._sections
        return (
            designed(system, self.design, self.bus_bytes, self.accelerator) if self.design.changes else system
        ), memory

    @property
    def _sections(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        system, memory = _DEFAULTS[self._family]
        sections = _sections(self.ini)
        return (
            _inherited(sections, f"System_Config.{self.system_config or system}"),
            _inherited(sections, f"Memory_Mode.{self.memory_mode or memory}"),
        )

    @property
    def known_sections(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the system configurations and of the memory modes in the ini."""
        names = _sections(self.ini)
        systems, modes = (
            tuple(name.partition(".")[2] for name in names if name.startswith(kind))
            for kind in ("System_Config.", "Memory_Mode.")
        )
        return systems, modes

    @property
    def channel_multiple(self) -> int:
        """The multiple of channels a sweep of measured networks found to pay (see `widths.py`)."""
        return known_multiple(self.digest, self.accelerator)

    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = TIME_LIMIT_S) -> Measurement:
        """Compile a TFLite file (its path or its bytes). Never raises for what the compiler says: see `status`.

        `ops.source` is the number of the operator in the file, as text ("" where the compiler added it).
        """
        if not isinstance(source, bytes):
            path = Path(source)
            if not path.is_file():
                raise InputError(f"there is no file {str(path)!r}; measure takes a .tflite file or its bytes")
            source = path.read_bytes()
        if (refused := self._refused()) is not None:
            return refused
        return self._measurement(shared_pool().compile(self._settings(), source, time_limit_s), None)

    def measure_graph(
        self, graph: Graph, weights: Weights | None = None, time_limit_s: float = TIME_LIMIT_S
    ) -> Measurement:
        """Write the graph as an int8 file and compile it; `ops.source` names graph operators."""
        if (refused := self._refused()) is not None:
            return refused
        try:
            file = write_tflite(graph, weights)
        except WorkbenchError as error:
            return Measurement("refused", self.name, str(error), compiler=self.compiler)
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
            path = home() / "designs" / f"{self.digest}.ini"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, ini_text(self._design_section, *self.configuration).encode())
            settings.update(ini=str(path), system_config=self._design_section, memory_mode="Design")
        return settings

    @property
    def _design_section(self) -> str:
        return "Ethos_U55_Design" if self.bus_bytes == 8 else "Design"

    def _refused(self) -> Measurement | None:
        if self.is_real:
            return None
        family = self.accelerator.rpartition("-")[0]
        known = ", ".join(str(_count(name)) for name in ETHOS_U if name.startswith(family))
        reason = f"no compiler knows an accelerator of {self.macs} MACs; those of the family have {known}"
        return Measurement("refused", self.name, reason, compiler=self.compiler)

    def _measurement(self, answer: Mapping[str, Any], sources: tuple[str, ...] | None) -> Measurement:
        if answer["status"] != "compiled":
            return Measurement(answer["status"], self.name, answer["reason"], compiler=self.compiler)
        used = answer["peak_bytes"]
        return Measurement(
            "compiled",
            self.name,
            latency_ms=answer["cycles"] / self.clock_hz * 1e3,
            cycles=answer["cycles"],
            sram_bytes=used.get("sram"),
            dram_bytes=used.get("dram"),
            flash_bytes=used.get("offchipflash", used.get("onchipflash")),
            macs=answer["macs"],
            cpu_ops=tuple(f"{kind} {name}".strip() for kind, name in answer["cpu_ops"]),
            ops=_table(answer["ops"], sources),
            compiler=self.compiler,
        )


def _table(rows: Iterable[Mapping[str, Any]], sources: tuple[str, ...] | None) -> pd.DataFrame:
    flat = []
    for row in rows:
        source = row["source"]
        name = "" if source < 0 else str(source) if sources is None else sources[source]
        cycles = {f"{memory}_cycles": n for memory, n in row["access_cycles"].items()}
        flat.append({**{k: v for k, v in row.items() if k != "access_cycles"}, "source": name, **cycles})
    return pd.DataFrame(flat)


@cache
def _vela() -> str:
    return version("ethos-u-vela")


def _count(accelerator: str) -> int:
    """MACs a cycle, from the name."""
    return int(accelerator.rpartition("-")[2])


def _inherited(sections: Mapping[str, Mapping[str, str]], name: str) -> Mapping[str, str]:
    own = sections[name]
    return {**_inherited(sections, own["inherit"]), **own} if "inherit" in own else own


@cache
def _sections(ini: str | None) -> Mapping[str, Mapping[str, str]]:
    """The sections of a vela.ini, inheritance left alone (clocks are not inherited in the shipped file)."""
    if ini is None:
        spec = find_spec("ethosu")
        assert spec is not None and spec.submodule_search_locations
        ini = str(Path(next(iter(spec.submodule_search_locations))) / "config_files" / "Arm" / "vela.ini")
    parser = ConfigParser()
    if not parser.read(ini, encoding="utf-8"):
        raise InputError(f"there is no readable configuration file {ini!r}")
    return {name: dict(parser[name]) for name in parser.sections()}
