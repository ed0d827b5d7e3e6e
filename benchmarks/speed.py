"""How long the workbench takes to answer: open, apply + estimate, preview, compile.

    make bench-speed

The promise is about `apply + estimate`, after a warm-up, on MobileNetV2: under 100 ms. A session remembers its
estimates; `on` gives one that remembers none, so every run computes its own.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import workbench as wb


def milliseconds(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and slowest of `repeats` runs after one warm-up, in milliseconds."""
    call()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1e3)
    return statistics.median(taken), max(taken)


def answer(session: wb.Session, step: Any) -> wb.Estimate:
    return session.on(session.target).apply(step).estimate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--target", default="ethos-u65-512")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()

    started = time.perf_counter()
    session = wb.open(arguments.model, target=arguments.target)
    print(f"{arguments.model} on {arguments.target}\nopen, the first time: {time.perf_counter() - started:.1f} s")
    steps = {
        "FuseIBN": wb.FuseIBN(blocks="blocks.1.*"),
        "EvenChannels": wb.EvenChannels(direction="up"),
        "DepthMultiplier": wb.DepthMultiplier(ratio=0.75),
        "DenseDepthwise": wb.DenseDepthwise(blocks="blocks.2.*"),
    }
    print(f"\n{'apply + estimate':<22}{'median':>10}{'slowest':>10}   of {arguments.repeats} runs")
    for name, step in steps.items():
        median, slowest = milliseconds(partial(answer, session, step), arguments.repeats)
        print(f"{name:<22}{median:>7.0f} ms{slowest:>7.0f} ms")
    median, slowest = milliseconds(session.verify, 3)
    print(f"\n{'verify (compile)':<22}{median:>7.0f} ms{slowest:>7.0f} ms")


if __name__ == "__main__":
    main()
