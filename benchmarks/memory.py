"""What DenseDepthwise and EvenChannels do to the memory of small classifiers, as compiled.

    make bench-memory     a few minutes

Every network is compiled for ethos-u55-128 and -256 with each arena and strategy; the least SRAM it gets from any of
them is what it needs. So what an edit gains, it gains beyond what the compiler's options give the network as it was.
SRAM: bytes in use; model: bytes of flash, encoded weights. Weights are random, BatchNorms fresh.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from provenance import provenance

from workbench import DenseDepthwise, DepthMultiplier, EvenChannels, FuseIBN, Session, Target, open
from workbench.errors import NotApplicable
from workbench.files import write_atomic
from workbench.transforms import Transform

NETWORKS = (("mobilenetv2_050", 96), ("mobilenetv3_small_050", 96), ("mnasnet_small", 96), ("tinynet_e", 96))
ARENAS_KIB = (256, 384, 512, 1024)
STRATEGIES = ("performance", "size")
EDITS: Sequence[tuple[str, tuple[Transform, ...]]] = (
    ("as it is", ()),
    ("EvenChannels", (EvenChannels("nearest"),)),
    ("DenseDepthwise, EvenChannels", (DenseDepthwise("*[resolution<=12]"), EvenChannels("nearest"))),
    ("FuseIBN early", (FuseIBN("*[resolution>=24]"),)),
    ("FuseIBN early, DepthMultiplier(0.75)", (FuseIBN("*[resolution>=24]"), DepthMultiplier(0.75))),
)


def best(session: Session, accelerator: str) -> tuple[int, int, float]:
    """Least SRAM in bytes over arenas and strategies, flash in bytes and milliseconds there."""
    compilations = []
    for arena in ARENAS_KIB:
        for strategy in STRATEGIES:
            target = Target.ethos_u(accelerator, arena_bytes=arena * 1024, strategy=strategy)
            compiled = session.on(target).verify()
            if compiled.status == "compiled" and compiled.latency_ms is not None:
                compilations.append((compiled.sram_bytes or 0, compiled.flash_bytes or 0, compiled.latency_ms))
    return min(compilations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory.txt")
    arguments = parser.parse_args()
    lines = [
        f"python benchmarks/memory.py {' '.join(sys.argv[1:])}" if sys.argv[1:] else "make bench-memory",
        provenance("ethos-u-vela"),
        "",
        f"{'compiled, least SRAM of 4 arenas x 2 strategies':58}{'SRAM KiB':>16}{'model KiB':>16}{'ms':>14}",
    ]
    for name, size in NETWORKS:
        opened = open(name, target="ethos-u55-128", input_size=(3, size, size))
        for accelerator in ("ethos-u55-128", "ethos-u55-256"):
            lines.append(f"{name}, {size} px, {accelerator}")
            base = best(opened, accelerator)
            for what, steps in EDITS:
                try:
                    figures = best(opened.apply(*steps), accelerator) if steps else base
                except NotApplicable as error:
                    lines.append(f"  {what:56}{error}")
                    continue
                cells = [
                    f"{value / unit:>8,.{digits}f} {100 * (value / was - 1):>+5.0f} %"
                    for value, was, unit, digits in zip(figures, base, (1024, 1024, 1), (0, 0, 2), strict=True)
                ]
                lines.append(f"  {what:56}{cells[0]:>16}{cells[1]:>16}{cells[2]:>16}")
                print(lines[-1], flush=True)
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
