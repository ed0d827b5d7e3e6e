"""Every transform on networks that are not timm's, built and checked; estimates of them beside the compiler.

    make bench-field                          resumes where it stopped; a quarter of an hour on two cores at first
    make bench-field ARGS="--only yolo-v8 torchvision/swin"     or patterns of names, printed and not written

The networks (`field_networks/`) are torchvision's architectures and those that people bring, rebuilt by hand:
detectors, segmenters, pose, super-resolution, keyword spotters, recurrent heads, two inputs. Weights are random, batch
norms have statistics of their own. Each network is taken through

    cost      on every target: estimate and compile of the network as it is, and of what a chain of steps made of it
    steps     every transform on the whole network, and on one of its blocks by itself. It may refuse (NotApplicable
              alone; the reason is counted). What `apply` accepts must build, with calibration where the network reads
              pictures, equal its plan when traced again, give outputs of the planned shapes, learn where the unedited
              network does, and keep the function where the transform promises it (to 1e-5, compared in float64)
    file      the exported int8 file, compiled: complete where the estimate says so (with --files, minutes more)

A network's steps begin at another transform each time and stop when it has had its time (`--budget`); what was left out
is counted, and a run with more time goes on there. Rows are kept between runs and say which commit made them; `--again`
makes them anew. Compiled figures are those of the compiler's cycle model.
"""

import argparse
import json
import logging
import multiprocessing
import os
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd
from field_networks import NETWORKS, lively
from provenance import provenance
from surgery import CACHE, EXACT, EXAMPLES, commit, rule, said

from workbench import (
    DepthMultiplier,
    EvenChannels,
    FuseIBN,
    InputSize,
    KernelSize,
    RemoveSE,
    ReplaceActivation,
    Session,
)
from workbench.errors import NotApplicable, WorkbenchError
from workbench.files import write_atomic
from workbench.graph import Graph
from workbench.transforms import Transform, describe

HERE = Path(__file__).parent
TARGETS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-256")
LIMIT_S = 900  # of the clock, before a network is given up
BUDGET_S = 10.0  # of the processor: after it no more steps
# None that leaves zeros in its weights: compilers pack them, and an estimate is of weights that have learned since.
CHAIN = (FuseIBN(), RemoveSE(), ReplaceActivation(), DepthMultiplier(0.75), EvenChannels("down", 8))


# ---- one network ------------------------------------------------------------------------------------------------


def opened(name: str) -> Session:
    """The network with random weights as a session, of pictures where it reads one."""
    import torch

    import workbench as wb

    make, shapes = NETWORKS[name]
    torch.manual_seed(0)
    net = lively(make())
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] in (1, 3):
        channels, height, width = shapes[0]
        return wb.open(net, target=TARGETS[1], input_size=(channels, height, width))
    generator = torch.Generator().manual_seed(1)
    inputs = tuple(torch.rand(1, *shape, generator=generator) for shape in shapes)
    return wb.open(net, target=TARGETS[1], example_inputs=inputs)


def rows_of(name: str, kept: set[str], budget_s: float) -> Iterator[dict[str, Any]]:
    """Rows of one network: its costs, its steps; "started" ones say what may hang or die. kept: keys of kept rows."""
    start = time.process_time()
    try:
        session = opened(name)
    except WorkbenchError as error:
        yield {"part": "open", "result": "refused", "reason": said(error)}
        return
    graph = session.graph
    yield {"part": "open", "result": "ok", "params": graph.params, "macs": graph.macs, "ops": len(graph.ops)}
    if "cost" not in kept:
        yield {"part": "cost", "result": "started"}
        yield from costs(session, "as it is")
        edited, steps = chain(session)
        if steps:
            yield from costs(edited, ", ".join(steps))
    learning = learns(session.build(), session)
    for transform, block in attempts(name, session):
        row = {"part": "step", "step": describe(replaced(transform, "*")), "block": block}
        if key(row) in kept:
            continue
        if time.process_time() - start > budget_s:
            yield {**row, "result": "not tried"}
            continue
        yield {**row, "result": "started"}
        result, reason = attempt(session, transform, learning)
        yield {**row, "result": result, "reason": reason}
    yield {"part": "done", "result": "ok", "seconds": round(time.process_time() - start, 1)}


def key(row: Mapping[str, Any]) -> str:
    """What a row is of; its part alone for all but steps."""
    return f"{row['step']} {row['block']}" if row["part"] == "step" else str(row["part"])


def costs(session: Session, what: str) -> Iterator[dict[str, Any]]:
    """Estimate and compile on every target; kept compiles are not asked."""
    from workbench.session.verifying import measure

    for target in TARGETS:
        row = {"part": "cost", "network": what, "target": target}
        try:
            here = session.on(target)
            estimated, (measured, _) = here.estimate, measure(here)
        except Exception as error:  # nothing may be raised: a defect to be counted
            yield {**row, "result": "failed", "reason": said(error)}
            continue
        yield {
            **row, "result": "ok", "complete": estimated.complete, "uncounted": " ".join(estimated.cpu_ops[:3]),
            "estimated_ms": estimated.latency_ms, "interval_ms": estimated.latency_interval_ms,
            "sram": estimated.sram_bytes, "outside": " ".join(estimated.outside[:1]),
            "status": measured.status, "taken": measured.complete, "compiled_ms": measured.latency_ms,
            "compiled_sram": measured.sram_bytes, "reason": measured.reason or " ".join(measured.cpu_ops[:3]),
        }  # fmt: skip


def chain(session: Session) -> tuple[Session, list[str]]:
    """The session after those steps of the chain that it takes."""
    steps = []
    for transform in CHAIN:
        try:
            session = session.apply(transform)
        except NotApplicable:
            continue
        steps.append(type(transform).__name__)
    return session, steps


def attempts(name: str, session: Session) -> list[tuple[Transform, str]]:
    """Every transform on the network, and on one block by itself: the n-th on the n-th that it can be planned on."""
    tries: list[tuple[Transform, str]] = []
    graph = session.graph
    for number, transform in enumerate(EXAMPLES):
        tries.append((transform, ""))
        if hasattr(transform, "blocks") and len(graph.blocks) > 1:
            fits = [block.name for block in graph.blocks if planned(replaced(transform, block.name), session)]
            tries += [(replaced(transform, block), block) for block in fits[number % max(1, len(fits)) :][:1]]
    first = list(NETWORKS).index(name) * 7 % len(tries)
    return tries[first:] + tries[:first]


def replaced(transform: Any, blocks: str) -> Transform:
    return replace(transform, blocks=blocks) if hasattr(transform, "blocks") else transform


def planned(transform: Transform, session: Session) -> bool:
    try:
        return bool(transform.plan(session.graph, session.target).edits)
    except (NotApplicable, WorkbenchError):
        return False


def attempt(session: Session, transform: Transform, learning: bool) -> tuple[str, str]:
    """One step: "ok", "refused" or "failed", and why."""
    import torch
    from torch.utils import _pytree as pytree

    try:
        after = session.apply(transform)
    except NotApplicable as error:
        size = session.input_size
        if isinstance(transform, InputSize) and size and runs(session, (size[0], transform.height, transform.height)):
            return "failed", f"refused although the network runs at that size: {said(error)}"
        return "refused", said(error)
    except Exception as error:
        return "failed", f"apply: {said(error)}"
    try:
        pictures = pictures_for(after)
        built = after.build(pictures)
        with torch.no_grad():
            outputs = [leaf for leaf in pytree.tree_leaves(built(*inputs_for(after))) if isinstance(leaf, torch.Tensor)]
        shapes = [tuple(leaf.shape) for leaf in outputs]
        expected = [tuple(after.graph.by_name[name].shape) for name in after.graph.outputs]
        if shapes != expected:
            return "failed", f"outputs of shapes {shapes} where {expected} were planned"
        if learning and not learns(built, after):
            return "failed", "the built module does not learn, as the unedited one does"
        off = distance(session, after) if exact(transform, session.graph) else 0.0
        return ("ok", "") if off <= 1e-5 else ("failed", f"not exact: relative error {off:.1e}")
    except Exception as error:  # what apply accepted does not build, or does not run
        return "failed", f"build: {said(error)}"


def exact(transform: Transform, graph: Graph) -> bool:
    """Whether the transform promises the same function on this network."""
    if replaced(transform, "*") not in EXACT:
        return False
    kernels = [max(op["kernel"]) for op in graph.ops if op.kind == "conv2d"]
    return not isinstance(transform, KernelSize) or max(kernels, default=0) <= transform.size


def inputs_for(state: Session, batch: int = 1) -> tuple[Any, ...]:
    """Random inputs of the shapes that the network reads now."""
    import torch

    generator = torch.Generator().manual_seed(2)
    return tuple(torch.rand(batch, *op.shape[1:], generator=generator) for op in state.graph.inputs)


def pictures_for(state: Session) -> Any:
    """Images to calibrate on; None where the network reads something else."""
    return None if state.input_size is None else inputs_for(state, 4)[0]


def distance(before: Session, after: Session) -> float:
    """Relative difference of all outputs, in float64."""
    import torch
    from torch.utils import _pytree as pytree

    made = []
    for state in (before, after):
        with torch.no_grad():
            leaves = pytree.tree_leaves(state.build().double()(*(x.double() for x in inputs_for(before))))
        made.append(torch.cat([leaf.double().flatten() for leaf in leaves if isinstance(leaf, torch.Tensor)]))
    return float((made[1] - made[0]).norm() / made[0].norm())


def runs(session: Session, size: tuple[int, int, int]) -> bool:
    import torch

    try:
        with torch.no_grad():
            session.build()(torch.zeros(1, *size))
    except Exception:  # whatever its code raises on such images
        return False
    return True


def learns(module: Any, state: Session) -> bool:
    """Whether a training step on a batch of two gives finite gradients."""
    import copy

    import torch
    from torch.utils import _pytree as pytree

    try:
        learner = copy.deepcopy(module).train()
        leaves = [leaf for leaf in pytree.tree_leaves(learner(*inputs_for(state, 2))) if isinstance(leaf, torch.Tensor)]
        sum(leaf.square().mean() for leaf in leaves if leaf.requires_grad).backward()  # type: ignore[union-attr]
    except Exception:  # its code does not take the batch, or nothing in it learns
        return False
    gradients = [p.grad for p in learner.parameters() if p.grad is not None]
    return bool(gradients) and all(bool(g.isfinite().all()) for g in gradients)


def file_rows(name: str) -> Iterator[dict[str, Any]]:
    """The exported file on every target."""
    from workbench.hardware import resolve

    yield {"part": "file", "result": "started"}
    try:
        session = opened(name)
    except WorkbenchError:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        try:
            session.export(path, calibration=pictures_for(session))
        except WorkbenchError as error:
            yield {"part": "file", "result": "refused", "reason": said(error)}
            return
        except Exception as error:
            yield {"part": "file", "result": "failed", "reason": said(error)}
            return
        for target in TARGETS:
            measured = resolve(target).measure(path)
            estimated = session.on(target).estimate
            yield {
                "part": "file", "target": target, "result": "ok", "status": measured.status, "taken": measured.complete,
                "compiled_ms": measured.latency_ms, "reason": measured.reason or " ".join(measured.cpu_ops[:3]),
                "estimated_ms": estimated.latency_ms, "complete": estimated.complete,
            }  # fmt: skip


# ---- many of them -----------------------------------------------------------------------------------------------


def work(pipe: Any) -> None:
    """The worker process: (name, keys of kept rows, budget, whether files) -> rows, None behind the last."""
    import torch

    logging.disable()  # torch's exporter says more than once what it then raises
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        os.environ["WORKBENCH_HOME"] = home
        while True:
            name, kept, budget_s, files = pipe.recv()
            for row in file_rows(name) if files else rows_of(name, kept, budget_s):
                pipe.send(row)
            pipe.send(None)


class Worker:
    """A process that takes one network after another, started again after a death or when a network's time is over."""

    process: Any = None

    def __call__(self, name: str, kept: set[str], budget_s: float, files: bool) -> list[dict[str, Any]]:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=work, args=(theirs,), daemon=False)
            self.process.start()
            theirs.close()
        rows: list[dict[str, Any]] = []
        pending: dict[str, Any] = {"part": "open"}
        end, why = time.monotonic() + LIMIT_S, "the process died"
        self.pipe.send((name, kept, budget_s, files))
        try:
            while self.pipe.poll(max(0.0, end - time.monotonic())):
                row = self.pipe.recv()
                if row is None:
                    return rows
                if row["result"] == "started":
                    pending = row
                else:
                    rows.append(row)
            why = f"not done after {LIMIT_S} s"
        except EOFError:
            pass
        self.stop()
        return [*rows, {**pending, "result": "failed", "reason": why}]

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def kept_rows(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())) if path.is_file() else []


def collect(names: Sequence[str], arguments: argparse.Namespace) -> pd.DataFrame:
    """Rows of all networks, kept ones where there are."""
    arguments.cache.mkdir(parents=True, exist_ok=True)
    local, workers, code, started = threading.local(), list[Worker](), commit(), time.monotonic()
    counter = iter(range(1, len(names) + 1))

    def one(name: str) -> list[dict[str, Any]]:
        if not hasattr(local, "worker"):
            local.worker = Worker()
            workers.append(local.worker)
        path = arguments.cache / f"{name.replace('/', '-')}.json"
        rows = [row for row in kept_rows(path) if row["part"] not in arguments.again and row["result"] != "not tried"]
        kept = {key(row) for row in rows}
        fresh: list[dict[str, Any]] = []
        if not arguments.keep and not any(row["part"] == "open" and row["result"] != "ok" for row in rows):
            fresh += local.worker(name, kept, arguments.budget, False)
        if arguments.files and "file" not in kept:
            fresh += local.worker(name, kept, arguments.budget, True)
        anew = {row["part"] for row in fresh} & {"open"}
        rows = [row for row in rows if row["part"] not in anew] + [{"name": name, "code": code, **row} for row in fresh]
        write_atomic(path, json.dumps(rows).encode())
        bad = [f"{row.get('step', row['part'])} {row.get('block', '')}: {row['reason']}" for row in rows if failed(row)]
        minutes = (time.monotonic() - started) / 60
        print(f"{next(counter)}/{len(names)} {minutes:.1f} min {name} {'; '.join(bad)}", flush=True)
        return rows

    with ThreadPoolExecutor(arguments.workers) as pool:
        made = list(pool.map(one, names))
    for worker in workers:
        worker.stop()
    return pd.DataFrame([row for rows in made for row in rows])


def failed(row: Any) -> bool:
    return bool(row["result"] == "failed")


# ---- the report -------------------------------------------------------------------------------------------------


def summary(table: pd.DataFrame) -> Iterator[str]:
    of_torchvision = table[table.name.str.startswith("torchvision/")].name.nunique()
    is_open = table[table.part == "open"]
    codes = Counter(table[table.part == "step"].code).most_common()
    yield f"{table.name.nunique()} networks, {of_torchvision} of torchvision and the others by hand"
    yield f"rows of steps by commit: {', '.join(f'{code} {n}' for code, n in codes)}"
    yield f"opened: {(is_open.result == 'ok').sum()}; the processor took {table.seconds.sum() / 60:.0f} minutes"
    yield from (f"  not opened: {row['name']}: {row.reason}" for _, row in is_open[is_open.result != "ok"].iterrows())
    yield ""
    yield from cost_lines(table[table.part == "cost"])
    yield ""
    yield from step_lines(table[table.part == "step"])
    if (table.part == "file").any():
        yield ""
        yield from file_lines(table[table.part == "file"])


def cost_lines(rows: pd.DataFrame) -> Iterator[str]:
    """Estimates beside the compiler, of the networks as they are and after the chain."""
    yield f"{'':32}{'networks':>9}{'complete':>10}{'in 5 %':>9}{'inside':>9}{'sram in 5 %':>13}   worst"
    bad = rows[rows.result != "ok"]
    rows = rows[rows.result == "ok"].copy()
    unanswered, rows = rows[rows.status == "timeout"], rows[rows.status != "timeout"]
    both = rows[rows.complete.astype(bool) & rows.taken.astype(bool)].copy()
    both["error"] = (both.estimated_ms / both.compiled_ms - 1).astype(float)
    both["off"] = (both.sram / both.compiled_sram - 1).astype(float)
    inside = [low <= ms <= high for (low, high), ms in zip(both.interval_ms, both.compiled_ms, strict=True)]
    both["inside"] = inside
    for what, edited in (("as it is", False), ("after a chain", True)):
        for target in TARGETS:
            of = (rows.network != "as it is") == edited
            part = both[((both.network != "as it is") == edited) & (both.target == target)]
            if part.empty:
                continue
            worst = part.iloc[int(part.error.abs().to_numpy().argmax())]
            yield (
                f"{what + ', ' + target:32}{(of & (rows.target == target)).sum():>9}{len(part):>10}"
                f"{100 * (part.error.abs() <= 0.05).mean():>7.1f} %{100 * part.inside.mean():>7.1f} %"
                f"{100 * (part.off.abs() <= 0.05).mean():>11.1f} %   {worst.error:+.1%} {worst['name']}"
            )
    untrue, unsaid = rows[rows.complete & ~rows.taken], rows[~rows.complete.astype(bool) & rows.taken.astype(bool)]
    yield f"called complete where the compiler refuses or leaves operators to the CPU: {len(untrue)} of {len(rows)}"
    yield f"not complete where the compiler takes all: {len(unsaid)}"
    yield f"neither complete nor taken whole: {(~rows.complete.astype(bool) & ~rows.taken.astype(bool)).sum()}"
    for title, part in (
        ("raised", bad),
        ("not answered", unanswered),
        ("called complete", untrue),
        ("not called complete", unsaid),
    ):
        yield from (f"  {title}: {where(row)}: {row.reason}" for _, row in part.iterrows())
    for _, row in rows[~rows.complete.astype(bool) & ~rows.taken.astype(bool)].iterrows():
        yield f"  incomplete: {where(row)}: {row.uncounted}"
    for _, row in both[both.error.abs() > 0.05].iterrows():
        words = "" if row.inside else ", outside its interval"
        yield f"  off: {where(row)}: {row.error:+.1%} of {row.compiled_ms:.3f} ms{words}"
    for _, row in both[both.off.abs() > 0.05].iterrows():
        yield f"  SRAM: {where(row)}: {row.off:+.1%} of {row.compiled_sram / 1024:.0f} KiB"


def where(row: Any) -> str:
    return f"{row['name']}, {row.network}, {row.target}"


def step_lines(rows: pd.DataFrame) -> Iterator[str]:
    yield f"{'':62}{'ok':>6}{'refused':>9}{'failed':>8}{'not tried':>11}"
    for whole in (True, False):
        yield "on whole networks" if whole else "on one block of each"
        part = rows[(rows.block == "") == whole]
        for step in dict.fromkeys(part.step):
            count = Counter(part[part.step == step].result)
            yield (
                f"  {step[:59]:60}{count['ok']:>6}{count['refused']:>9}{count['failed']:>8}"
                f"{count['not tried'] or '':>11}"
            )
    yield ""
    yield "refusals by reason"
    for step, part in rows[rows.result == "refused"].groupby("step", sort=False):
        for reason, n in Counter(rule(reason) for reason in part.reason).most_common():
            yield f"  {n:>4}  {str(step).partition('(')[0]}: {reason}"
    bad = rows[rows.result == "failed"]
    yield ""
    yield f"failures: {len(bad)}"
    yield from (f"  {row['name']}, {row.step} {row.block}: {row.reason}" for _, row in bad.iterrows())


def file_lines(rows: pd.DataFrame) -> Iterator[str]:
    """The exported files beside the estimates."""
    refused, made = rows[rows.result != "ok"], rows[rows.result == "ok"]
    yield f"exported files: {made.name.nunique()}; refused or failed: {refused.name.nunique()}"
    yield from (f"  {row.result}: {row['name']}: {row.reason}" for _, row in refused.iterrows())
    untrue = made[made.complete.astype(bool) & ~made.taken.astype(bool)]
    yield f"called complete where the exported file is not taken whole: {len(untrue)} of {len(made)}"
    yield from (f"  called complete: {row['name']}, {row.target}: {row.reason}" for _, row in untrue.iterrows())
    both = made[made.complete.astype(bool) & made.taken.astype(bool)]
    error = (both.estimated_ms / both.compiled_ms - 1).astype(float)
    yield f"estimate within 5 % of the exported file: {100 * (error.abs() <= 0.05).mean():.1f} % of {len(both)}"
    for _, row in both[error.abs() > 0.05].iterrows():
        yield f"  off: {row['name']}, {row.target}: {row.estimated_ms:.3f} ms where {row.compiled_ms:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="these networks, names or patterns; printed, not written")
    parser.add_argument("--again", nargs="*", default=[], choices=("open", "cost", "step", "file"), help="parts anew")
    parser.add_argument("--files", action="store_true", help="export every network and compile the file, too")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds of the processor for each network")
    parser.add_argument("--keep", action="store_true", help="only report what was kept")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--cache", type=Path, default=CACHE / "field", help="where rows are kept between runs")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "field.txt")
    arguments = parser.parse_args()
    patterns = arguments.only or ["*"]
    names = [name for name in NETWORKS if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not names:
        parser.error(f"no network matches {arguments.only}; there are {', '.join(NETWORKS)}")
    packages = ("torch", "torchvision", "ethos-u-vela", *(("litert-torch",) if arguments.files else ()))
    table = collect(names, arguments)
    lines = [
        "make bench-field" + (" ARGS=--files" if arguments.files else ""),
        provenance(*packages),
        "",
        *summary(table),
    ]
    print("\n".join(lines))
    if not arguments.only:
        write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
