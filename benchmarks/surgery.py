"""Every transform on every convolutional structure of timm, built, checked and compared with its plan.

    make bench-surgery                    resumes where it stopped; hours the first time
    make bench-surgery ARGS="--only resnet18 rexnet_100"
    make bench-surgery ARGS=--list        choose the architectures anew (needs the traces of make bench-coverage)

The architectures (`surgery_models.txt`) are timm's convolutional and hybrid ones under 60 M parameters, each of which
has a block structure that no smaller one has: a set of operators within one module, with their kernels, strides and
groups. The smallest of every timm module come first, so that `--first 73` sees all of them.

Weights, biases, norms and layer scales are random. A transform may refuse: the reason is counted. (InputSize may not
where the network, unedited, runs on images of that size: that counts as failed.) Where it does not refuse,

    build     the module is built, traced again and equal to the plan (operators, shapes, parameters)
    exact     transforms that promise the same function keep it to 1e-5 (weights in float32, compared in float64)
    module    train() step, another batch size, forward_features, forward_intermediates, feature_info and
              reset_classifier do what they do on the original

and once an architecture, on a session with a chain of transforms: undo, save and load, and the recipe applied again
give outputs equal to the bit. Beside it Torch-Pruning, whose one transform of the kind rounds widths to a multiple.

Rows are kept between runs and say which commit made them; the table counts them. `--again PATTERN` makes those of the
named transforms anew.
"""

import argparse
import gzip
import json
import logging
import multiprocessing
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from provenance import provenance

from workbench import DenseDepthwise, DepthMultiplier, EvenChannels, FuseIBN, InputSize, KernelSize, RemoveSE
from workbench.errors import NotApplicable, WorkbenchError
from workbench.files import write_atomic
from workbench.graph import Graph
from workbench.transforms import TRANSFORMS, describe

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nas-workbench"
MODELS = HERE / "surgery_models.txt"
LIMIT_S = 600  # for all transforms of one architecture, before it is started again behind the one that hangs
PEER_LIMIT_S = 60
LARGEST = 200e6  # parameters: a bottleneck expanded threefold has billions of bytes, several times over in float64
SIZE = 64  # pixels where the architecture takes them: structure does not depend on it

EXAMPLES = tuple(example for transform in TRANSFORMS.values() for example in transform.examples())
EXACT = (EvenChannels("up", 24), DenseDepthwise(), KernelSize(7))  # the last where no kernel is larger


# ---- one architecture -------------------------------------------------------------------------------------------


def attempts(name: str, skip: set[str]) -> Iterator[dict[str, Any]]:
    """A row per transform: result "ok", "refused" or "failed", and why."""
    import torch

    from workbench.hardware import resolve

    torch.set_num_threads(1)
    target = resolve("ethos-u65-512")
    model, graph, size = subject(name)
    works = behaviour(model, size)
    for transform in EXAMPLES:
        label = describe(transform)
        if label in skip:
            continue
        yield {"name": name, "transform": label, "result": "started"}
        start = time.perf_counter()
        try:
            result, reason = attempt(model, graph, size, transform, target, works)
        except Exception as error:  # anything but a refusal is a defect to be counted
            result, reason = "failed", said(error)
        took = round(time.perf_counter() - start, 2)
        yield {"name": name, "transform": label, "result": result, "reason": reason, "seconds": took}
    if "again" not in skip:
        yield {"name": name, "transform": "again", "result": "started"}
        try:
            result, reason = again(name, size)
        except Exception as error:
            result, reason = "failed", said(error)
        yield {"name": name, "transform": "again", "result": result, "reason": reason}


def subject(name: str) -> tuple[Any, Graph, tuple[int, int, int]]:
    """The architecture with random weights, its graph and input size."""
    import timm
    import torch

    from workbench.graph.trace import trace

    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    with torch.no_grad():
        tensors: dict[str, Any] = dict(model.state_dict())
        for key, value in tensors.items():
            if not value.is_floating_point() or "relative_position" in key:
                continue
            if key.endswith(("bias", "running_mean")):
                value.uniform_(-0.1, 0.1)
            elif value.dim() < 2 or (value.dim() == 4 and value.numel() == max(value.shape)):  # norms, scales
                value.uniform_(0.75, 1.25)
            elif key.endswith("weight"):
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
    config: Any = model.default_cfg
    own = config["input_size"]
    for size in ((own[0], SIZE, SIZE), own):
        try:
            return model, trace(model, size), size
        except WorkbenchError:
            if size == own:
                raise
    raise AssertionError


def attempt(model: Any, graph: Graph, size: Any, transform: Any, target: Any, works: dict[str, Any]) -> tuple[str, str]:
    import copy

    import torch

    from workbench.graph import rewrite
    from workbench.surgery import build

    try:
        plan = transform.plan(graph, target)
        planned = rewrite(graph, plan)
    except NotApplicable as error:
        if isinstance(transform, InputSize) and runs(model, (size[0], transform.height, transform.height)):
            return "failed", f"refused although the network runs at that size: {said(error)}"
        return "refused", said(error)
    if planned.params > LARGEST:
        return "refused", f"the benchmark: builds nothing of more than {LARGEST / 1e6:.0f} M parameters"
    built = build(model, graph, [plan])
    kernels = [max(op["kernel"]) for op in graph.ops if op.kind == "conv2d"]
    if transform in EXACT and (transform != KernelSize(7) or max(kernels, default=0) <= 7):
        if sum(p.numel() for p in built.parameters()) < sum(p.numel() for p in model.parameters()):
            return "failed", "parameters got lost"
        x = torch.randn(2, *size, generator=torch.Generator().manual_seed(1)).double()
        with torch.no_grad():
            y, z = (first(copy.deepcopy(m).double()(x)) for m in (model, built))
        off = float((z - y).norm() / y.norm())
        if not off <= 1e-5:
            return "failed", f"not exact: relative error {off:.1e}"
    new = behaviour(built, planned.inputs[0].shape[1:])
    lost = [key for key, value in works.items() if value and not new[key]]
    return ("failed", f"module: {', '.join(lost)}") if lost else ("ok", "")


def runs(model: Any, size: Any) -> bool:
    import torch

    try:
        with torch.no_grad():
            model(torch.zeros(1, *size))
    except Exception:  # whatever its code raises on such images
        return False
    return True


def behaviour(model: Any, size: Any) -> dict[str, bool]:
    """What a timm model's users call, and whether it does what it should."""
    import copy

    import torch

    model = copy.deepcopy(model).double()  # random weights may grow values until float32 is too coarse to compare
    x = torch.randn(2, *size, generator=torch.Generator().manual_seed(2)).double()
    whole = cache(lambda: first(model(x)))
    features = cache(lambda: model.forward_features(x))
    taken = cache(lambda: model.forward_intermediates(x))
    checks: dict[str, Callable[[], bool]] = {
        "another batch": lambda: close(whole(), torch.cat([first(model(part)) for part in x.split(1)])),
        "forward_features": lambda: close(whole(), first(model.forward_head(features()))),
        "num_features": lambda: features().shape[1] == model.num_features,
        "head_hidden_size": lambda: model.forward_head(features(), pre_logits=True).shape[1] == model.head_hidden_size,
        "forward_intermediates": lambda: close(first(taken()[0]), first(features())),
        "feature_info": lambda: [m.shape[1] for m in taken()[1]] == [row["num_chs"] for row in info(model)],
        "feature reduction": lambda: (
            [x.shape[2] // m.shape[2] for m in taken()[1]] == [row["reduction"] for row in info(model)]
        ),
        "train": lambda: trains(model, x),
        "reset_classifier": lambda: model.reset_classifier(7) is None and first(model(x)).shape[-1] == 7,
    }
    passed = {}
    for name, check in checks.items():
        try:
            model.eval()
            with torch.set_grad_enabled(name == "train"):
                passed[name] = bool(check())
        except Exception:  # the architecture does not offer it, or the edit broke it: the comparison tells
            passed[name] = False
    return passed


def info(model: Any) -> Any:
    return getattr(model.feature_info, "info", model.feature_info)


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) else output


def close(a: Any, b: Any) -> bool:
    return a.shape == b.shape and float((a - b).norm()) <= 1e-3 * float(a.norm())


def trains(model: Any, x: Any) -> bool:
    import torch

    model.train()
    first(model(x)).square().mean().backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    torch.optim.SGD(model.parameters(), 1e-4).step()
    return bool(grads) and all(bool(g.isfinite().all()) for g in grads)


def again(name: str, size: Any) -> tuple[str, str]:
    """Undo, save, load and the recipe once more, on a chain of what the architecture takes."""
    import torch

    import workbench as wb

    try:
        opened = wb.open(name, target="ethos-u65-512", input_size=size)
    except WorkbenchError:  # created for another size it is another network
        opened = wb.open(name, target="ethos-u65-512")
        size = opened.input_size
    session = opened
    for transform in (FuseIBN(), RemoveSE(), KernelSize(5), EvenChannels("nearest", 16), DepthMultiplier(0.75)):
        try:
            session = session.apply(transform)
        except NotApplicable:
            continue
    if session is opened:
        return "refused", "no transform of the chain applies"
    x = torch.randn(1, *size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        built, original = first(session.build()(x)), first(opened.build()(x))
        undone = session
        while undone.steps:
            undone = undone.undo()
        if not torch.equal(first(undone.build()(x)), original):
            return "failed", "undo changed the outputs"
        with tempfile.TemporaryDirectory() as folder:
            loaded = wb.load(session.save(Path(folder) / "it.wb"))
        if not torch.equal(first(loaded.build()(x)), built):
            return "failed", "a loaded session has other outputs"
        if not torch.equal(first(opened.apply(session.to_recipe()).build()(x)), built):
            return "failed", "the recipe applied again has other outputs"
    return "ok", ""


def peer(name: str) -> tuple[str, str]:
    """Torch-Pruning: widths rounded to a multiple of 16, three quarters of them kept."""
    import torch
    import torch_pruning as tp

    torch.set_num_threads(1)
    model, _, size = subject(name)
    x = torch.randn(1, *size)
    ignored = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == model.num_classes]
    before = sum(p.numel() for p in model.parameters())
    pruner = tp.pruner.MagnitudePruner(
        model, x, tp.importance.MagnitudeImportance(), pruning_ratio=0.25, round_to=16, ignored_layers=ignored
    )
    pruner.step()
    if sum(p.numel() for p in model.parameters()) >= before:
        return "failed", "nothing was pruned"
    now = behaviour(model, size)
    lost = [key for key in ("another batch", "train") if not now[key]]
    return ("failed", f"module: {', '.join(lost)}") if lost else ("ok", "")


def said(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:300]


# ---- many of them -----------------------------------------------------------------------------------------------


def work(name: str, skip: set[str], pipe: Any) -> None:
    logging.disable()  # torch's exporter says more than once what it then raises
    for row in attempts(name, skip):
        pipe.send(row)
    pipe.send(None)


def work_peer(name: str, pipe: Any) -> None:
    try:
        result, reason = peer(name)
    except Exception as error:
        result, reason = "failed", said(error)
    pipe.send({"name": name, "transform": "torch-pruning", "result": result, "reason": reason})
    pipe.send(None)


def run(function: Callable[..., None], arguments: tuple[Any, ...], limit_s: float) -> list[dict[str, Any]]:
    """The rows a process of its own sends, until it is done, dies or has had its time."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    rows: list[dict[str, Any]] = []
    pending: dict[str, Any] | None = None
    end = time.monotonic() + limit_s
    why = "died"
    try:
        while True:
            if not mine.poll(max(0.0, end - time.monotonic())):
                why = f"not done after {limit_s:.0f} s"
                break
            row = mine.recv()
            if row is None:
                pending = None
                break
            if row["result"] == "started":
                pending = row
            else:
                rows.append(row)
                pending = None
    except EOFError:
        pending = pending or {"name": arguments[0], "transform": "open"}
    process.kill()
    process.join()
    if pending is not None:
        rows.append({**pending, "result": "failed", "reason": why})
    return rows


def commit() -> str:
    """The commit whose code runs, with a plus where files differ from it."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return f"{head}{'+' if changed else ''}" or "unknown"


def collect(names: list[str], cache: Path, anew: str = "") -> pd.DataFrame:
    """All rows, those of earlier runs from the cache; the peer comes last, because it often takes all its time.

    anew: pattern of transforms whose rows by other commits are made again.
    """
    cache.mkdir(parents=True, exist_ok=True)
    code = commit()
    tried = {describe(t) for t in EXAMPLES} | {"again"}
    tables: list[dict[str, Any]] = []
    for ours in (True, False):
        for i, name in enumerate(names):
            path = cache / f"{name}.json"
            rows = json.loads(path.read_text()) if path.is_file() else []
            rows = [row for row in rows if row.get("code") == code or not fnmatch(row["transform"], anew)]
            done = {row["transform"] for row in rows}
            if ours and not tried <= done and "open" not in done:
                rows += [{**row, "code": code} for row in run(work, (name, done), LIMIT_S)]
            if not ours and "torch-pruning" not in done:
                late = {"name": name, "transform": "torch-pruning", "result": "failed", "reason": "not done in time"}
                rows += [{**row, "code": code} for row in run(work_peer, (name,), PEER_LIMIT_S) or [late]]
            write_atomic(path, json.dumps(rows).encode())
            mine = [row for row in rows if (row["transform"] != "torch-pruning") == ours]
            tables += [row for row in mine if row["transform"] in tried | {"torch-pruning", "open"}]
            bad = [f"{row['transform']}: {row['reason']}" for row in mine if row["result"] == "failed"]
            print(f"{i + 1}/{len(names)} {name} {'; '.join(bad)}", flush=True)
    return pd.DataFrame(tables)


def summary(table: pd.DataFrame) -> list[str]:
    total = table.name.nunique()
    codes = Counter(table[table["transform"] != "torch-pruning"].code).most_common()
    lines = [
        f"{total} architectures; rows by commit: {', '.join(f'{code} {n}' for code, n in codes)}",
        "",
        f"{'':58}{'ok':>6}{'refused':>9}{'failed':>8}{'of legal':>10}",
    ]
    for label in dict.fromkeys(table["transform"]):
        count = Counter(table[table["transform"] == label].result)
        legal = count["ok"] + count["failed"]
        share = f"{count['ok'] / legal:.1%}" if legal else ""
        lines.append(f"{label[:57]:58}{count['ok']:>6}{count['refused']:>9}{count['failed']:>8}{share:>10}")
    lines += ["", "refusals by reason"]
    for label, part in table[table.result == "refused"].groupby("transform", sort=False):
        for reason, n in Counter(rule(r) for r in part.reason).most_common():
            lines.append(f"  {n:>4}  {str(label).partition('(')[0]}: {reason}")
    lines += ["", "failures"]
    bad = table[(table.result == "failed") & (table["transform"] != "torch-pruning")]
    lines += [f"  {row['name']}, {row['transform']}: {row.reason}" for _, row in bad.iterrows()]
    return lines


def rule(reason: str) -> str:
    """The reason without the names of this network's layers and widths."""
    text = reason.partition(": ")[2] or reason
    text = re.sub(r"\b[\w]+(\.[\w]+)+\b", "..", text)
    return re.sub(r"\d+", "#", text)[:110]


# ---- which architectures ----------------------------------------------------------------------------------------


def choose(traces: Path) -> list[str]:
    """Those with a structure no smaller one has; first the smallest of every module, then the others, by size."""
    import timm
    from coverage import load

    rows = []
    for path in sorted(traces.glob("*.json.gz")):
        held = json.loads(gzip.decompress(path.read_bytes()))
        if held["stage"] != "traced":
            continue
        graph = load(held["text"])
        spatial = sum(op.kind == "conv2d" and max(op["kernel"]) > max(1, *op["stride"]) for op in graph.ops)
        if graph.params < 60e6 and spatial >= 3:
            rows.append((graph.params, path.name.removesuffix(".json.gz"), structures(graph)))
    covered: set[Any] = set()
    first: dict[str, str] = {}
    others = []
    for _, name, of_graph in sorted(rows, key=lambda row: row[:2]):
        module = timm.models.model_entrypoint(name).__module__
        new = {(module, structure) for structure in of_graph} - covered
        covered |= new
        if new and first.setdefault(module, name) != name:
            others.append(name)
    return [*first.values(), *others]


def structures(graph: Graph) -> set[Any]:
    """Per module that holds layers the set of its operators: kind, name, kernel, whether strided, dense or grouped."""
    inside: dict[str, set[Any]] = {}
    for op in graph.ops:
        path, _, leaf = op.module.rpartition(".")
        what: tuple[Any, ...] = (op.kind, re.sub(r"\d+", "#", leaf))
        if op.kind == "conv2d":
            groups = "depthwise" if op.is_depthwise else "grouped" if op["groups"] > 1 else "dense"
            what += (op["kernel"], max(op["stride"]) > 1, groups)
        if op.kind not in ("input", "param"):
            inside.setdefault(path, set()).add(what)
    return {frozenset(ops) for ops in inside.values()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="these architectures, printed and not written")
    parser.add_argument("--again", default="", metavar="PATTERN", help="transforms to run again, such as 'InputSize*'")
    parser.add_argument("--first", type=int, help="the smallest so many architectures")
    parser.add_argument("--cache", type=Path, default=CACHE / "surgery", help="where rows are kept between runs")
    parser.add_argument(
        "--list", type=Path, nargs="?", const=CACHE / "coverage", help="write the list from traces here"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "surgery.txt")
    arguments = parser.parse_args()
    if arguments.list:
        write_atomic(MODELS, ("\n".join(choose(arguments.list)) + "\n").encode())
        return
    names = arguments.only or MODELS.read_text().split()[: arguments.first]
    lines = [
        "make bench-surgery" + (f" ARGS='--first {arguments.first}'" if arguments.first else ""),
        provenance("torch", "timm", "torch-pruning"),
        "",
        *summary(collect(names, arguments.cache, arguments.again)),
    ]
    print("\n".join(lines))
    if not arguments.only:
        write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
