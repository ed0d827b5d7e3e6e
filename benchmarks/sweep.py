"""Every attribute of every kind of operator over its range: estimates beside the compiler.

    make bench-sweep                        all points (ARGS="--points 150": a fixed sample of them, a minute or two)

Small networks, built straight as graphs, have one operator between two layers; one of its attributes takes the values
of `workbench.estimators.operator_networks.OPERATOR_POINTS`, its sizes are drawn from `--seed`. Each is compiled for
every target. A point's compiles are kept in a file of its own in the work folder, so that a run that was cut off goes
on, and a run after a change of the model compiles nothing. Columns, of points that the compiler took:

    in 5 %          estimated latency within 5 % of the compiled one
    inside          compiled latency inside the interval, of estimates that call themselves complete
    either          one or the other: the issue at hand is an interval that is narrow and wrong
    sram            estimated SRAM within 5 %
    worst           the largest error of latency

Estimates whose `outside` names a kind of operator have the kind's own interval; it must cover 85 to 97 % of them. All
figures are the compiler's cycle model.
"""

import argparse
import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
from provenance import provenance

from workbench.estimators import estimate
from workbench.estimators.operator_networks import Point, operator_network, points
from workbench.files import write_atomic
from workbench.graph import Graph
from workbench.hardware import EthosU

HERE = Path(__file__).parent
TARGETS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-256")
HEAD = f"{'':44}{'points':>8}{'in 5 %':>9}{'inside':>9}{'either':>9}{'sram':>8}   worst"


def compiled(graph: Graph, target: EthosU, work: Path) -> dict[str, Any]:
    """What the compiler says of a point's network, kept in a file of its own."""
    path = work / f"{graph.digest[:20]}-{target.name}-{version('ethos-u-vela')}.json"
    if path.is_file():
        return dict(json.loads(path.read_text()))
    measurement = target.measure_graph(graph)
    answer = {
        "status": measurement.status,
        "reason": measurement.reason,
        "cycles": measurement.cycles,
        "latency_ms": measurement.latency_ms,
        "sram_bytes": measurement.sram_bytes,
        "cpu_ops": list(measurement.cpu_ops),
    }
    write_atomic(path, json.dumps(answer).encode())
    return answer


def row(point: Point, graph: Graph, target: EthosU, answer: dict[str, Any]) -> dict[str, Any]:
    """One line of the results: the point, what the compiler says, what the estimate says."""
    estimated = estimate(graph, target)
    low, high = estimated.latency_interval_ms
    latency, sram = answer["latency_ms"] or float("nan"), answer["sram_bytes"] or float("nan")
    taken = answer["status"] == "compiled" and not answer["cpu_ops"]
    return {
        "target": target.name,
        "kind": point.kind,
        "attribute": point.attribute,
        "point": str(point),
        "taken": taken,
        "complete": estimated.complete,
        "error": estimated.latency_ms / latency - 1,
        "near": abs(estimated.latency_ms / latency - 1) <= 0.05,
        "inside": low <= latency <= high,
        "sram": abs(estimated.sram_bytes / sram - 1) <= 0.05,
        "sram_error": estimated.sram_bytes / sram - 1,
        "outside": bool(estimated.outside),
        "reason": answer["reason"] or " ".join(answer["cpu_ops"]),
    }


def share(values: pd.Series) -> str:
    return f"{100 * values.mean():.0f} %" if len(values) else "-"


def line(name: str, rows: pd.DataFrame) -> str:
    """One row of the table; `rows`: of points that the accelerator took whole and that the estimate calls complete."""
    worst = rows.iloc[int(rows.error.abs().to_numpy().argmax())]
    return (
        f"{name:<44}{len(rows):>8}{share(rows.near):>9}{share(rows.inside):>9}{share(rows.near | rows.inside):>9}"
        f"{share(rows.sram):>8}   {worst.error:+.0%} {worst.point} on {worst.target}"
    )


def totals(rows: pd.DataFrame, all_rows: pd.DataFrame) -> list[str]:
    """What the whole is held against; all_rows: with what is not complete."""
    wide = rows[rows.outside]
    untrue = all_rows[all_rows.complete & ~all_rows.taken]
    unsaid = all_rows[~all_rows.complete & all_rows.taken]
    return [
        f"within 5 % or inside the interval: {100 * (rows.near | rows.inside).mean():.1f} % of {len(rows)} points",
        f"within 5 %: {100 * rows.near.mean():.1f} %",
        f"intervals of estimates that name an uncertain kind cover {100 * wide.inside.mean():.1f} % of {len(wide)}",
        f"intervals of all others cover {100 * rows[~rows.outside].inside.mean():.1f} %",
        f"SRAM within 5 %: {100 * rows.sram.mean():.1f} %",
        f"complete where the compiler refuses or leaves operators to the CPU: {len(untrue)} of {len(all_rows)}",
        f"not complete where the compiler takes all: {len(unsaid)}",
    ]


def report(table: pd.DataFrame) -> list[str]:
    rows = table[table.taken & table.complete]
    lines = [HEAD]
    for kind, of_kind in rows.groupby("kind", sort=False):
        lines.append(line(str(kind), of_kind))
        if of_kind.attribute.nunique() > 1:
            lines += [line(f"    {name}", part) for name, part in of_kind.groupby("attribute", sort=False)]
    return [*lines, "", *totals(rows, table)]


def sample_of(every: Sequence[Point], count: int | None) -> list[Point]:
    """A fixed sample, in the order of the whole."""
    if count is None or count >= len(every):
        return list(every)
    return [every[i] for i in sorted(Random(0).sample(range(len(every)), count))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, help="a fixed sample of so many points")
    parser.add_argument("--draws", type=int, default=1, help="how often each value's sizes are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", help="only these kinds")
    parser.add_argument("--all", action="store_true", help="print every point that is wrong")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "sweep")
    parser.add_argument("--out", type=Path, help="default: results/sweep.txt of the whole, nowhere of a part")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    chosen = [p for p in points(arguments.draws) if not arguments.kinds or p.kind in arguments.kinds]
    chosen, measured, start = sample_of(chosen, arguments.points), [], time.monotonic()
    for number, point in enumerate(chosen, 1):
        graph = operator_network(point, arguments.seed)
        for target in map(EthosU, TARGETS):
            measured.append(row(point, graph, target, compiled(graph, target, arguments.work)))
        print(f"\r{number} of {len(chosen)} points, {time.monotonic() - start:.0f} s", end="", flush=True)
    print()
    table = pd.DataFrame(measured)
    options = "" if arguments.points is None and not arguments.kinds else " (a part)"
    lines = [
        f"make bench-sweep{options}",
        f"{provenance('ethos-u-vela')}, seed {arguments.seed}, {len(chosen)} points on {', '.join(TARGETS)}",
        "",
        *report(table),
    ]
    print("\n".join(lines))
    if arguments.all:
        wrong = table[(table.taken & table.complete & ~(table.near & table.sram)) | (table.complete != table.taken)]
        columns = ["target", "point", "error", "inside", "sram_error", "taken", "complete", "reason"]
        print(wrong[columns].to_string(max_colwidth=60, index=False))
    whole = arguments.points is None and not arguments.kinds
    out = arguments.out or (HERE / "results" / "sweep.txt" if whole else None)
    if out:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
