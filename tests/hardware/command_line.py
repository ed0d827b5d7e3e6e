"""The other way to ask the compiler: its own command line, in a process of its own."""

import csv
import subprocess
import sys
from pathlib import Path

__all__ = ["vela"]


def vela(path: Path, accelerator: str, *options: str) -> dict[str, float]:
    """The summary `vela --accelerator-config ACCELERATOR PATH` writes: column -> value, cycles and KiB as printed."""
    out = path.parent / f"{path.stem}-{accelerator}"
    code = "import sys; from ethosu.vela.vela import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, f"--accelerator-config={accelerator}", f"--output-dir={out}", *options]
    subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=300)
    (summary,) = out.glob("*_summary_*.csv")
    with summary.open(newline="") as file:
        row = next(csv.DictReader(file))
    return {key: float(value) for key, value in row.items() if value.replace(".", "").replace("-", "").isdigit()}
