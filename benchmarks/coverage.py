"""Which of timm's architectures trace and lower completely, and what the others lack.

    make bench-coverage                     every architecture (hours the first time; it resumes where it stopped)
    make bench-coverage ARGS=--quick        one architecture per timm source module

Every architecture is built without weights (on torch's meta device where its constructor allows) and traced in a
worker process with a time limit; one that fails, hangs or dies is a row with its reason. Traces are kept in the
cache folder, so that after a change to the lowering rules only the lowering runs again: the sources of the tracer
are part of their key, --keep-traces takes those of an earlier tracer too. An architecture counts as lowered when
every operator has a rule.
"""

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd
from provenance import provenance

from workbench import graph
from workbench.errors import WorkbenchError
from workbench.graph import Graph, Op, Param
from workbench.hardware.lowering import lower, unsupported

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nas-workbench" / "coverage"
MEMORY = 16 << 30  # address space of the worker: an architecture that cannot be built on meta may need it all


# ---- the worker: one architecture after another, until it is killed ---------------------------------------------


def work(pipe: Connection) -> None:
    """Answer every name with ("traced", graph as text) or (what failed, reason)."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import torch

    torch.set_num_threads(1)
    while True:
        name = pipe.recv()
        try:
            pipe.send(attempt(name))
        except Exception as error:  # whatever the architecture's own code raises is the answer
            pipe.send(("build", reason(error)))


def attempt(name: str) -> tuple[str, str]:
    """Build and trace one architecture."""
    import timm
    import torch

    from workbench.graph.trace import trace

    failed = ""
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                model = timm.create_model(name, pretrained=False)
        except (NotImplementedError, RuntimeError) as error:  # its constructor reads values: needs real tensors
            if device == "cpu":
                raise
            failed = reason(error)
            continue
        try:
            return "traced", dump(trace(model))
        except WorkbenchError as error:
            if device == "cpu":
                return "trace", reason(error)
        except Exception as error:  # anything but the project's own errors is a defect to be counted
            if device == "cpu":
                return "trace", f"DEFECT {reason(error)}"
    return "build", failed


def reason(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:300]


def dump(graph: Graph) -> str:
    rows = [(o.name, o.kind, o.inputs, o.shape, o.attrs, [vars(p) for p in o.params], o.module) for o in graph.ops]
    return json.dumps([rows, graph.outputs])


def load(text: str) -> Graph:
    rows, outputs = json.loads(text)
    ops = tuple(
        Op(name, kind, _tuples(inputs), _tuples(shape), _tuples(attrs),
           tuple(Param(p["role"], p["name"], _tuples(p["shape"])) for p in params), module)
        for name, kind, inputs, shape, attrs, params, module in rows
    )  # fmt: skip
    return Graph(ops, tuple(outputs))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class Worker:
    """The worker process, started again after a death or a time-out."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.process: Any = None

    def __call__(self, name: str) -> tuple[str, str]:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=work, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        self.pipe.send(name)
        try:
            if self.pipe.poll(self.limit_s):
                answer: tuple[str, str] = self.pipe.recv()
                return answer
            failure = ("trace", f"TimeoutError: longer than {self.limit_s:g} s")
        except EOFError:
            self.process.join()
            failure = ("trace", f"the process died with exit code {self.process.exitcode}")
        self.stop()
        return failure

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
            self.process = None


# ---- traces and rows --------------------------------------------------------------------------------------------


def tracer_key() -> str:
    """Changes with the tracer, torch and timm."""
    digest = hashlib.sha256(f"{version('torch')} {version('timm')}".encode())
    package = Path(graph.__file__).parent
    for file in (package / "op.py", package / "reshapes.py", *sorted((package / "trace").glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def traced(name: str, cache: Path, worker: Worker, keep: bool) -> tuple[str, str, float]:
    """The answer of the worker and its seconds, from the cache where it holds them."""
    path, key = cache / f"{name}.json.gz", tracer_key()
    if path.exists():
        held = json.loads(gzip.decompress(path.read_bytes()))
        if keep or held["key"] == key:
            return held["stage"], held["text"], held["seconds"]
    start = time.monotonic()
    stage, text = worker(name)
    seconds = time.monotonic() - start
    row = {"key": key, "stage": stage, "text": text, "seconds": seconds}
    path.with_suffix(".part").write_bytes(gzip.compress(json.dumps(row).encode(), 3))
    path.with_suffix(".part").replace(path)
    return stage, text, seconds


def row(name: str, cache: Path, worker: Worker, keep: bool) -> dict[str, Any]:
    """One architecture: status "lowered", "missing", or what failed ("build", "trace", "lower"), and why."""
    stage, text, seconds = traced(name, cache, worker, keep)
    answer = {"name": name, "family": family(name), "status": stage, "reason": text, "seconds": round(seconds, 1)}
    if stage != "traced":
        return answer
    try:
        missing = unsupported(lower(load(text)))
    except Exception as error:  # a defect of the rules: counted, never hidden
        return {**answer, "status": "lower", "reason": reason(error)}
    kinds = " ".join(sorted({m.split()[0] for m in missing}))
    return {**answer, "status": "missing" if missing else "lowered", "reason": kinds}


def family(name: str) -> str:
    import timm

    return timm.models.model_entrypoint(name).__module__.rpartition(".")[2]


def names(quick: bool) -> list[str]:
    import timm

    every = timm.list_models()
    return list({family(name): name for name in reversed(every)}.values())[::-1] if quick else every


# ---- the report -------------------------------------------------------------------------------------------------


def report(rows: pd.DataFrame, command: str) -> Iterator[str]:
    status = rows.status.value_counts()
    built = len(rows) - status.get("build", 0)
    arrived = status.get("lowered", 0) + status.get("missing", 0) + status.get("lower", 0)
    yield f"{command}   {provenance('torch', 'timm')}"
    yield f"{len(rows)} architectures of {rows.family.nunique()} timm modules; traced in {rows.seconds.sum():.0f} s"
    yield f"{built:6} built, {arrived} traced"
    whole, partial = status.get("lowered", 0), status.get("missing", 0)
    yield f"{whole:6} lowered completely ({100 * whole / max(arrived, 1):.1f} % of the traced)"
    yield f"{partial:6} with operators no rule is known for; these, by the architectures that have them:"
    missing = rows[rows.status == "missing"]
    kinds = Counter(kind for text in missing.reason for kind in text.split())
    for kind, count in kinds.most_common():
        having = [kind in text.split() for text in missing.reason]
        alone = sum(text == kind for text in missing.reason)
        yield f"{count:12} {kind:32} alone {alone:4}   {', '.join(sorted(set(missing[having].family)))[:90]}"
    for stage in ("build", "trace", "lower"):
        failed = rows[rows.status == stage]
        if len(failed):
            yield f"{len(failed):6} failed to {stage}:"
        for text, group in failed.groupby(failed.reason.map(reason_class)):
            yield f"{len(group):12} {text}   {', '.join(group.name)[:90]}"


def reason_class(text: str) -> str:
    """The reason without the numbers and names that differ between architectures."""
    return re.sub(r"\d+", "N", re.sub(r"cannot trace \w+( for an input of \([^)]*\))?", "cannot trace", text))[:150]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="architectures; without any, all of timm's")
    parser.add_argument("--quick", action="store_true", help="one architecture per timm source module")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where traces and the rows (rows.csv) are kept")
    parser.add_argument("--keep-traces", action="store_true", help="take traces of an earlier tracer too")
    parser.add_argument("--limit", type=float, default=240, help="seconds an architecture may take")
    parser.add_argument("--out", type=Path, help="where the report goes as well as to the screen")
    arguments = parser.parse_args(argv)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    worker, rows = Worker(arguments.limit), []
    chosen = arguments.names or names(arguments.quick)
    try:
        for i, name in enumerate(chosen):
            rows.append(row(name, arguments.cache, worker, arguments.keep_traces))
            print(f"{i + 1}/{len(chosen)} {name} {rows[-1]['status']} {rows[-1]['reason'][:80]}", flush=True)
            if i % 20 == 0 or i + 1 == len(chosen):
                pd.DataFrame(rows).to_csv(arguments.cache / "rows.csv", index=False)
    finally:
        worker.stop()
    flags = [flag for flag in ("--quick", "--keep-traces") if getattr(arguments, flag[2:].replace("-", "_"))]
    command = " ".join(["benchmarks/coverage.py", *flags, *arguments.names])
    text = "\n".join(report(pd.DataFrame(rows), command))
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
