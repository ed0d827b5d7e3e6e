"""Any configuration, any weights, any single edit: estimates beside the compiler on what nobody chose.

    make bench-configurations

Every case draws a network (timm's convolutional backbones and random ones), a configuration of the whole family
(accelerator, system, memory mode, arena, strategy; every fourth case an accelerator in its design phase: other clocks,
bandwidths, latencies) and one edit (a block fused, a depthwise convolution made dense, widths scaled or evened), and
every third case weights of its own (75 % pruned, 16 shared values, heavy tails). The compiler measures the network
before and after the edit. Nothing in the model was fitted to any of it. All figures are the compiler's cycle model.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
from provenance import provenance

from workbench.errors import WorkbenchError
from workbench.estimators import weight_values
from workbench.estimators.calibration_networks import calibration_networks
from workbench.estimators.cycle_model import modelled
from workbench.estimators.edit_window import delta_cycles
from workbench.estimators.ethos_u_calibration import random_configuration
from workbench.estimators.intervals import interval
from workbench.files import write_atomic
from workbench.graph import Graph, rewrite
from workbench.hardware import EthosU, Weights
from workbench.transforms import DenseDepthwise, DepthMultiplier, EvenChannels, FuseIBN, Transform

HERE = Path(__file__).parent
KINDS = ("pruned", "clustered", "heavy")


def weights_of(kind: str) -> Weights:
    """(name, shape) -> values of a kind."""

    def values(name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        if len(shape) < 2:
            return None
        random = np.random.default_rng([ord(c) for c in name])
        draws = random.standard_t(3, shape) if kind == "heavy" else random.standard_normal(shape)
        if kind == "pruned":
            draws[np.abs(draws) < np.quantile(np.abs(draws), 0.75)] = 0
        if kind == "clustered":
            levels = np.quantile(draws, (np.arange(16) + 0.5) / 16)
            draws = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, draws)]
        return draws.astype(np.float32)

    return values


def configuration_of(random: Random, seed: str) -> EthosU:
    """One of the family's, or one in its design phase."""
    target = random_configuration(seed)
    if random.random() < 0.75:
        return target
    system = target.configuration[0]
    options: dict[str, float] = {"clock_mhz": target.clock_hz / 1e6 * random.uniform(0.5, 1.6)}
    outside = "dram" if "Dram" in system["axi1_port"] else "flash"
    options[f"{outside}_gbps"] = random.uniform(0.3, 3) * (8 if outside == "dram" else 0.5)
    options["sram_read_latency"] = random.choice([8, 16, 32, 64])
    options[f"{outside}_read_latency"] = random.choice([32, 64, 200, 500, 800])
    sections = {"system_config": target.system_config, "memory_mode": target.memory_mode}
    return EthosU.with_options(target.accelerator, **sections, arena_bytes=target.arena_bytes, **options)


def edit_of(random: Random, graph: Graph, target: EthosU) -> tuple[str, Graph] | None:
    """A single edit that applies, in words, and the network after it."""
    names = [block.name for block in graph.blocks]
    fusable = [block.name for block in graph.blocks if block.kind == "ibn"]
    for _ in range(6):
        steps: list[Transform] = [
            DepthMultiplier(random.choice([0.5, 0.625, 0.75, 0.85, 1.25]), random.choice(names)),
            EvenChannels(blocks=random.choice(["*", *names])),
        ]
        if fusable:
            block = random.choice(fusable)
            steps += [FuseIBN(block), FuseIBN(block), DenseDepthwise(block)]
        step = random.choice(steps)
        try:
            after = rewrite(graph, step.plan(graph, target))
        except WorkbenchError:
            continue
        if after.digest != graph.digest:
            return type(step).__name__, after
    return None


def measure(i: int, network: str, family: str, graph: Graph) -> dict[str, object] | None:
    """One case; None where it does not compile whole."""
    random = Random(f"{i}/{network}")
    target = configuration_of(random, f"{i}/{network}")
    kind = random.choice(KINDS) if i % 3 == 0 else "normal"
    weights = None if kind == "normal" else weights_of(kind)
    first = target.measure_graph(graph, weights)
    if not first.complete or not first.cycles or first.cycles > 2**50:
        return None
    values = weight_values(graph, weights)
    ours = modelled(graph, target, values)
    row: dict[str, object] = {
        "network": network, "family": family, "target": target.name, "accelerator": target.accelerator,
        "spills": ours.machine.spills, "strategy": target.strategy, "design": bool(target.design.changes),
        "weights": kind, "macs": graph.macs, "cycles": first.cycles, "modelled": sum(ours.cycles),
        "interval": interval(target, ours.composed, uncovered=False),
        "sram": first.sram_bytes or 0, "sram_modelled": ours.sram_bytes,
        "dram": first.dram_bytes or 0, "dram_modelled": ours.dram_bytes,
    }  # fmt: skip
    edited = edit_of(random, graph, target)
    if edited is not None:
        word, after = edited
        second = target.measure_graph(after, weights)
        if second.complete and second.cycles and second.cycles < 2**50:
            row |= {
                "edit": word,
                "change": second.cycles / first.cycles - 1,
                "change_modelled": sum(modelled(after, target, values).cycles) / sum(ours.cycles) - 1,
                "change_window": delta_cycles(graph, after, target, values) / sum(ours.cycles),
            }
    return row


def cases(count: int, work: Path) -> Iterator[dict[str, object]]:
    """The cases, measured or from an earlier run."""
    work.mkdir(parents=True, exist_ok=True)
    for i, (network, family, make) in enumerate(calibration_networks(count)):
        part = work / f"{i}.json"
        if not part.exists():
            graph = make()
            write_atomic(part, json.dumps(None if graph is None else measure(i, network, family, graph)).encode())
        row = json.loads(part.read_text(encoding="utf-8"))
        print(f"\r{i + 1} of {count}: {network:<30}", end="", flush=True)
        if row is not None:
            yield row
    print()


def share(errors: pd.Series) -> str:
    """One row of figures."""
    e = errors.abs()
    return (
        f"{len(e):6}{100 * e.mean():9.2f} %{100 * (e <= 0.02).mean():8.1f} %{100 * (e <= 0.05).mean():8.1f} %"
        f"{100 * (e <= 0.1).mean():8.1f} %"
    )


def report(rows: pd.DataFrame) -> list[str]:
    error = rows.modelled / rows.cycles - 1
    real = rows.family != "sample"
    lines = [f"{'':44}{'cases':>6}{'MAPE':>11}{'in 2 %':>10}{'in 5 %':>10}{'in 10 %':>10}"]

    def line(name: str, which: "pd.Series[bool]") -> None:
        if which.any():
            lines.append(f"{name:<44}{share(error[which])}")

    line("all", rows.cycles > 0)
    line("timm's backbones", real)
    for family in ("ethos-u55", "ethos-u65", "ethos-u85"):
        mine = rows.accelerator.str.startswith(family)
        line(f"{family}, maps in SRAM", mine & ~rows.spills)
        line(f"{family}, maps in DRAM or SRAM", mine & rows.spills)
    line("strategy size", rows.strategy == "size")
    line("design phase (unbuilt clocks, memories)", rows.design)
    for kind in ("normal", *KINDS):
        line(f"weights {kind}", rows.weights == kind)
    factor = (rows.cycles / rows.macs).groupby(rows.accelerator).transform("median")
    macs_only = rows.macs * factor / rows.cycles - 1
    lines.append(f"{'MACs, a factor for every accelerator':<44}{share(macs_only)}")
    low, high = (rows.interval.str[i] for i in (0, 1))
    inside = (rows.cycles / rows.modelled).between(low, high)
    lines += [
        "",
        f"90 % interval holds the compiler on {100 * inside[real].mean():.1f} % of timm's, "
        f"{100 * inside.mean():.1f} % of all",
        f"SRAM within 5 %: {100 * ((rows.sram_modelled / rows.sram.clip(1) - 1).abs() <= 0.05).mean():.1f} %",
    ]
    dram = rows[rows.spills & (rows.dram > 0)]
    off = (dram.dram_modelled / dram.dram - 1).abs() <= 0.05
    lines.append(
        f"DRAM within 5 % where maps can be there: {100 * off.mean():.1f} %, "
        f"timm's {100 * off[dram.family != 'sample'].mean():.1f} %"
    )
    edits = rows[rows.change.notna() & (rows.change.abs() > 0.01)]
    for name, column in (("whole networks", "change_modelled"), ("window around it", "change_window")):
        right = (edits[column] * edits.change) > 0
        lines.append(
            f"sign of the change, {name}: {right.sum()} of {len(right)} ({100 * right.mean():.1f} %), "
            f"median error {100 * (edits[column] - edits.change).abs().median():.2f} points"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=240)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "configurations")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "configurations.txt")
    arguments = parser.parse_args()
    rows = pd.DataFrame(cases(arguments.cases, arguments.work))
    lines = [
        "make bench-configurations",
        provenance("ethos-u-vela"),
        "",
        *report(rows),
    ]
    print("\n".join(lines))
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
