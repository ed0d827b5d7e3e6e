"""How long the workbench takes to answer: open, apply + estimate, one edited block, a search's candidates, compile.

    make bench-speed

The promise is about `apply + estimate`, after a warm-up, on MobileNetV2: under 100 ms. Sessions and the estimator
remember what they were asked; every run of it makes them forget first.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import workbench as wb
from workbench.estimators import estimate
from workbench.estimators.candidates import block_costs
from workbench.estimators.ethos_u import forget, modelled
from workbench.estimators.window import delta_cycles
from workbench.graph import Graph, rewrite
from workbench.targets import EthosU
from workbench.transforms import DenseDepthwise, FuseIBN


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
    forget()
    return session.on(session.target).apply(step).estimate


def edits(graph: Graph, target: EthosU) -> list[Graph]:
    """The network with one block fused, or its depthwise convolution dense: every block once."""
    blocks = [block.name for block in graph.blocks if block.kind == "ibn"]
    steps = [kind(block) for block in blocks for kind in (FuseIBN, DenseDepthwise)]
    return [rewrite(graph, step.plan(graph, target)) for step in steps]


def parts(session: wb.Session, repeats: int) -> None:
    """What an estimate is made of, and the ways around a whole one; all in one process, after a warm-up."""
    graph, target = session.graph, session.target
    assert isinstance(target, EthosU)
    again, _ = milliseconds(partial(estimate, graph, target), repeats)
    whole, _ = milliseconds(partial(modelled, graph, target), repeats)
    edited = edits(graph, target)
    delta_cycles(graph, edited[0], target)
    taken = []
    for after in edited[1:]:
        started = time.perf_counter()
        delta_cycles(graph, after, target)
        taken.append((time.perf_counter() - started) * 1e3)
    variants = {f"block {b}": edited[3 * b : 3 * b + 3] for b in range(8)}
    costs = block_costs(graph, target, variants)
    choices = np.random.default_rng(0).integers(0, 4, (100_000, len(variants)))
    started = time.perf_counter()
    costs.latency_ms(choices)
    rate = len(choices) / (time.perf_counter() - started)
    one = statistics.median(taken)
    print(f"\n{'whole model, asked again':<44}{again:>9.2f} ms")
    print(f"{'whole model, its operators known':<44}{whole:>9.2f} ms")
    print(f"{'one edited block, never seen':<44}{one:>9.2f} ms  ({1e3 / one:,.0f} a second)")
    print(f"{'candidates of known variants':<44}{rate:>9,.0f} a second")


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
    parts(session, arguments.repeats)
    median, slowest = milliseconds(session.verify, 3)
    print(f"\n{'verify (compile)':<22}{median:>7.0f} ms{slowest:>7.0f} ms")


if __name__ == "__main__":
    main()
