"""How long the workbench takes to answer: open, apply + estimate, one edited block, a search's candidates, compile.

    make bench-speed

`apply + estimate` is a click in a session; sessions and the estimator remember what they were asked, so every run of it
makes them forget first. A search asks for edited blocks nobody saw, and for candidates made of blocks it knows. The
compiler's own time is in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

import workbench as wb
from workbench.estimators import clear_estimates, estimate
from workbench.estimators.cycle_model import modelled
from workbench.estimators.edit_window import delta_cycles
from workbench.files import write_atomic
from workbench.graph import Graph, rewrite
from workbench.hardware import EthosU
from workbench.space import Choice, Slot, Space, prices
from workbench.transforms import DenseDepthwise, FuseIBN

HERE = Path(__file__).parent


def milliseconds(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and slowest of `repeats` runs after one warm-up, in milliseconds."""
    call()
    taken = [milliseconds_once(call) for _ in range(repeats)]
    return statistics.median(taken), max(taken)


def milliseconds_once(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


def answer(session: wb.Session, step: Any) -> wb.Estimate:
    clear_estimates()
    return session.on(session.target).apply(step).estimate


def applied(graph: Graph, step: Any, target: wb.Target) -> Graph:
    return rewrite(graph, step.plan(graph, target))


def knife(session: wb.Session, steps: dict[str, Any], repeats: int) -> list[str]:
    """A transform on the graph alone, and the module with its weights carried over; the slowest of the steps."""
    graph, target = session.graph, session.target
    plan = max(milliseconds(partial(applied, graph, step, target), repeats)[0] for step in steps.values())
    # In rounds, because the last built modules are kept: by the time a step comes again, its module is not.
    edited = [session.apply(step) for step in steps.values()]
    rounds = [[milliseconds_once(state.build) for state in edited] for _ in range(4)][1:]
    built = max(map(statistics.median, zip(*rounds, strict=True)))
    return [
        f"{'apply, graph only, slowest transform':<40}{plan:>10.1f} ms     must: <= 20 ms",
        f"{'build with weights, slowest transform':<40}{built:>10.0f} ms     must: <= 2,000 ms",
    ]


def edits(graph: Graph, target: EthosU) -> tuple[list[Graph], list[Graph]]:
    """The network with the depthwise convolution of one block dense, or with that block fused: every block once."""
    blocks = [block.name for block in graph.blocks if block.kind == "ibn"]
    dense, fused = (
        [rewrite(graph, kind(block).plan(graph, target)) for block in blocks] for kind in (DenseDepthwise, FuseIBN)
    )
    return dense, fused


def each(graph: Graph, edited: list[Graph], target: EthosU) -> float:
    """Median time to say what an edit changes, in milliseconds."""
    taken = []
    for after in edited:
        started = time.perf_counter()
        delta_cycles(graph, after, target)
        taken.append((time.perf_counter() - started) * 1e3)
    return statistics.median(taken)


def parts(session: wb.Session, repeats: int) -> list[str]:
    """What an estimate is made of, and the ways around a whole one; all in one process, after a warm-up."""
    graph, target = session.graph, session.target
    assert isinstance(target, EthosU)
    again, _ = milliseconds(partial(estimate, graph, target), repeats)
    whole, _ = milliseconds(partial(modelled, graph, target), repeats)
    dense, fused = edits(graph, target)
    delta_cycles(graph, dense[0], target)
    first, another = each(graph, dense[1:], target), each(graph, fused, target)
    blocks = [block.name for block in graph.blocks if block.kind == "ibn"][:8]
    kept = Choice("as it is")
    slots = (Slot(b, (kept, Choice("dense", (DenseDepthwise(b),)), Choice("fuse", (FuseIBN(b),)))) for b in blocks)
    costs = prices(Space(tuple(slots)), graph, target)
    candidates = np.random.default_rng(0).integers(0, 3, (100_000, len(blocks)))
    started = time.perf_counter()
    costs.latency_ms(candidates)
    rate = len(candidates) / (time.perf_counter() - started)
    compiled, _ = milliseconds(lambda: target.measure_graph(graph), 3)
    return [
        f"{'whole model, asked again':<40}{again:>10.2f} ms     must: <= 10 ms",
        f"{'whole model, its operators known':<40}{whole:>10.2f} ms",
        f"{'the first edit of a block':<40}{first:>10.2f} ms",
        f"{'another edit of it, never seen':<40}{another:>10.2f} ms     must: <= 2 ms",
        f"{'':<40}{1e3 / another:>10,.0f} a second     must: >= 300",
        f"{'candidates of known variants':<40}{rate:>10,.0f} a second     must: >= 5,000",
        f"{'the compiler, whole model':<40}{compiled:>10,.0f} ms     {compiled / whole:,.0f} times ours",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="efficientnet_b0")
    parser.add_argument("--target", default="ethos-u65-512")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "speed.txt")
    arguments = parser.parse_args()

    started = time.perf_counter()
    session = wb.open(arguments.model, target=arguments.target)
    lines = [
        "make bench-speed",
        provenance("ethos-u-vela"),
        "",
        f"{arguments.model} on {arguments.target}; opened in {time.perf_counter() - started:.1f} s",
        "",
    ]
    steps = {
        "FuseIBN": wb.FuseIBN(blocks="blocks.1.*"),
        "EvenChannels": wb.EvenChannels(direction="up"),
        "DepthMultiplier": wb.DepthMultiplier(ratio=0.75),
        "DenseDepthwise": wb.DenseDepthwise(blocks="blocks.2.*"),
    }
    lines.append(f"{'apply + estimate':<40}{'median':>13}{'slowest':>13}   of {arguments.repeats} runs")
    for name, step in steps.items():
        median, slowest = milliseconds(partial(answer, session, step), arguments.repeats)
        lines.append(f"{name:<40}{median:>10.1f} ms{slowest:>10.1f} ms")
    lines += ["", *knife(session, steps, arguments.repeats), "", *parts(session, arguments.repeats)]
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
