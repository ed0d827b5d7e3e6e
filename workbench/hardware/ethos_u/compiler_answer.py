"""What the compiler's process answers, as a measurement's fields."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

__all__ = ["compiled_figures"]


def compiled_figures(answer: Mapping[str, Any], sources: Sequence[str] | None) -> dict[str, Any]:
    """Fields of `Measurement` from an answer of status "compiled" (`compiler_worker.py`).

    sources: graph operators by the number of the file's operator; None to keep the numbers.
    """
    peak = answer["peak_bytes"]
    return {
        "cycles": answer["cycles"],
        "sram_bytes": peak.get("sram"),
        "dram_bytes": peak.get("dram"),
        "flash_bytes": peak.get("offchipflash", peak.get("onchipflash")),
        "macs": answer["macs"],
        "cpu_ops": tuple(f"{kind} {name}".strip() for kind, name in answer["cpu_ops"]),
        "ops": _operator_table(answer["ops"], sources),
    }


def _operator_table(rows: Iterable[Mapping[str, Any]], sources: Sequence[str] | None) -> pd.DataFrame:
    flat = []
    for row in rows:
        source = row["source"]
        name = "" if source < 0 else str(source) if sources is None else sources[source]
        cycles = {f"{memory}_cycles": n for memory, n in row["access_cycles"].items()}
        flat.append({**{k: v for k, v in row.items() if k != "access_cycles"}, "source": name, **cycles})
    return pd.DataFrame(flat)
