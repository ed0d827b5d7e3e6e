"""The Ethos-U accelerators that exist, and the sections of Vela's configuration file."""

from collections.abc import Mapping
from configparser import ConfigParser
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ...errors import InputError

__all__ = ["DEFAULT_SECTIONS", "ETHOS_U", "family_of", "ini_section", "ini_sections", "mac_count", "mac_counts"]

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
# System configuration and memory mode that Vela takes where the command line names none (it prints them).
DEFAULT_SECTIONS: Mapping[str, tuple[str, str]] = {
    "ethos-u55": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u65": ("Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
    "ethos-u85": ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"),
}


def family_of(accelerator: str) -> str:
    """The accelerator's family.

    >>> family_of("ethos-u65-512")
    'ethos-u65'
    """
    return accelerator.rpartition("-")[0]


def mac_count(accelerator: str) -> int:
    """8-bit multiply-accumulates a cycle of an accelerator, from its name.

    >>> mac_count("ethos-u65-512")
    512
    """
    return int(accelerator.rpartition("-")[2])


def mac_counts(family: str) -> tuple[int, ...]:
    """Multiply-accumulates a cycle of the family's accelerators, ascending.

    >>> mac_counts("ethos-u65")
    (256, 512)
    """
    return tuple(sorted(mac_count(name) for name in ETHOS_U if family_of(name) == family))


@cache
def ini_sections(ini: str | None) -> Mapping[str, Mapping[str, str]]:
    """The sections of a vela.ini (None: the one that ships with Vela), without what they inherit; keys in lower case.

    Clocks are not inherited in the shipped file, so a section is read with `ini_section`. Raises InputError where
    the file cannot be read.
    """
    if ini is None:
        spec = find_spec("ethosu")
        assert spec is not None and spec.submodule_search_locations
        ini = str(Path(next(iter(spec.submodule_search_locations))) / "config_files" / "Arm" / "vela.ini")
    parser = ConfigParser()
    if not parser.read(ini, encoding="utf-8"):
        raise InputError(f"there is no readable configuration file {ini!r}")
    return {name: dict(parser[name]) for name in parser.sections()}


def ini_section(ini: str | None, name: str) -> Mapping[str, str]:
    """One section with what it inherits."""
    section = ini_sections(ini)[name]
    return {**ini_section(ini, section["inherit"]), **section} if "inherit" in section else section
