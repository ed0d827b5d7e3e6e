"""The int8 files that `export` writes: what they cost beside the estimate, and what they still get right.

    make bench-deploy                                       half an hour or more, seconds when run again
    python benchmarks/deploy.py --tasks digits --only mobilenetv2_050

1. Models, some of them edited, with random norms (a fresh model's residual branches are zero and would be folded away),
   on a spread of targets: the estimate and its interval, the compile of our own writer's file, the compile of the
   exported file (litert-torch, ai-edge-quantizer). Compiled figures are those of the compiler's cycle model.
2. Networks trained briefly on the embedded tasks: the score in float, of the int8 file and of the file with 16-bit
   activations, all on the validation pictures, files in the LiteRT interpreter; ranges from 128 training pictures. The
   layer that spoils most is named where int8 loses more than a point.

Rows and weights are kept in build/deploy by what they are of; --fresh makes the rows again.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from provenance import provenance

from workbench import DepthMultiplier, EvenChannels, FuseIBN, Session, open
from workbench.errors import WorkbenchError
from workbench.files import write_atomic
from workbench.training import EMBEDDED, Task, resolve_task
from workbench.transforms import Transform

HERE = Path(__file__).parent
KEPT = HERE.parent / "build" / "deploy"
VERSIONS = {name: version(name) for name in ("ethos-u-vela", "litert-torch", "ai-edge-quantizer", "torch", "timm")}
SIZE = 224
MODELS: Sequence[tuple[str, str, str, tuple[Transform, ...]]] = (
    ("mobilenetv2_100", "ethos-u55-128", "", ()),
    ("mobilenetv3_large_100", "ethos-u65-512", "", ()),
    ("efficientnet_b0", "ethos-u85-1024", "", ()),
    ("efficientnet_lite0", "ethos-u55-128", "", ()),
    ("resnet18", "ethos-u65-512", "", ()),
    ("regnetx_004", "ethos-u85-1024", "", ()),
    ("mnasnet_100", "ethos-u65-512", "", ()),
    ("mobilenetv2_100", "ethos-u65-512", "FuseIBN early", (FuseIBN("*[resolution>=28]"),)),
    (
        "mobilenetv2_100",
        "ethos-u85-1024",
        "DepthMultiplier(0.75), EvenChannels",
        (DepthMultiplier(0.75), EvenChannels("nearest")),
    ),
    ("resnet18", "ethos-u55-128", "DepthMultiplier(0.75)", (DepthMultiplier(0.75),)),
)
FAMILIES = {
    "mobilenetv2_050": "ReLU6",
    "mnasnet_small": "ReLU",
    "resnet10t": "ReLU",
    "test_resnet": "ReLU",
    "mobilenetv3_small_050": "hard-swish",
    "test_efficientnet": "swish",
}
STEADY = {"learning_rate": 3e-3, "batch_size": 32}
# task -> pixels, epochs, options of the schedule, networks that learn it in so few epochs
LEARNED: Mapping[str, tuple[int, int, Mapping[str, Any], Sequence[str]]] = {
    "digits": (64, 20, STEADY, tuple(FAMILIES)),
    "rooms/presence": (64, 8, STEADY, ("test_resnet", "test_efficientnet")),
    "rooms/detection": (64, 8, {}, ("test_resnet", "mobilenetv2_050")),
    "rooms/segmentation": (64, 6, {}, ("test_resnet", "mobilenetv2_050")),
}
TARGET = "ethos-u55-128"


def alive(name: str) -> Any:
    """The model with random weights, norms and statistics, nothing near zero."""
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            if key.endswith(("bias", "running_mean")):
                value.uniform_(-0.1, 0.1)
            elif value.dim() < 2:
                value.uniform_(0.75, 1.25)
            else:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
    return model


def kept(what: Mapping[str, Any], make: Callable[[], Mapping[str, Any]], fresh: bool) -> Mapping[str, Any]:
    """A row, made once for what it is of."""
    key = sha256(json.dumps({**what, "versions": VERSIONS}, sort_keys=True).encode()).hexdigest()[:16]
    path = KEPT / f"{key}.json"
    if path.is_file() and not fresh:
        held: Mapping[str, Any] = json.loads(path.read_text())
        return held
    start = time.perf_counter()
    row = {**what, **make(), "seconds": time.perf_counter() - start}
    KEPT.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(row).encode())
    return row


@contextmanager
def home_of_its_own() -> Iterator[None]:
    usual = os.environ["WORKBENCH_HOME"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_HOME"] = folder
        try:
            yield
        finally:
            os.environ["WORKBENCH_HOME"] = usual


def cost(name: str, target: str, steps: tuple[Transform, ...]) -> Mapping[str, Any]:
    import torch

    session = open(alive(name), target=target, input_size=(3, SIZE, SIZE))
    session = session.apply(*steps) if steps else session
    estimate = session.estimate
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        (row,) = session.export(Path(folder) / "file.tflite", calibration=images).to_dict("records")
    own = session.verify()
    low, high = estimate.latency_interval_ms
    return {
        "estimate": estimate.latency_ms, "low": low, "high": high,
        "own": own.latency_ms, "own_kib": (own.sram_bytes or 0) / 1024,
        "exported": row["latency_ms"], "exported_kib": row["sram_kib"],
        "status": row["status"], "left_to_cpu": row["left_to_cpu"],
    }  # fmt: skip


def trained(name: str, task: str) -> Session:
    """The network after its training, whose weights are kept."""
    from safetensors.torch import save

    size, epochs, schedule, _ = LEARNED[task]
    session = open(name, target=TARGET, input_size=(3, size, size), task=task)
    path = KEPT / f"{name}-{task.replace('/', '-')}-{size}-{epochs}-{resolve_task(task).digest}.safetensors"
    if not path.is_file():
        learned = session.finetune(task, epochs=epochs, **schedule)
        KEPT.mkdir(parents=True, exist_ok=True)
        write_atomic(path, save({k: v.contiguous() for k, v in learned.build().state_dict().items()}))
    return session.with_weights(path)


def worth(name: str, task: str) -> Mapping[str, Any]:
    session = trained(name, task)
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for activations in ("int8", "int16"):
            path = Path(folder) / f"{activations}.tflite"
            table = session.export(path, task=task, activations=activations)
            tables[activations] = table.to_dict("records")[0]
    return tables


def costs(only: Sequence[str], fresh: bool) -> list[str]:
    lines = [
        "",
        f"1. Milliseconds at {SIZE} px: estimated (interval), compiled from our own file and from the exported one",
        "",
        f"  {'':54}{'target':16}{'estimate':>9}{'interval':>18}{'own':>9}{'exported':>10}{'differ':>8}{'SRAM KiB':>12}",
    ]
    near, inside, total = 0, 0, 0
    for name, target, edit, steps in MODELS:
        if only and name not in only:
            continue
        what = {"model": name, "target": target, "edits": ", ".join(map(repr, steps)), "size": SIZE}
        with home_of_its_own():  # what was compiled before would sharpen the estimate
            row = kept(what, partial(cost, name, target, steps), fresh)
        total += 1
        label = f"{name}{', ' + edit if edit else ''}"
        if row["exported"] is None:
            lines.append(f"  {label:54}{target:16}{row['status']}")
            continue
        differ = row["exported"] / row["own"] - 1
        near += abs(differ) <= 0.02
        inside += all(row["low"] <= row[which] <= row["high"] for which in ("own", "exported"))
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        kib = f"{row['own_kib']:.0f}/{row['exported_kib']:.0f}"
        lines.append(
            f"  {label:54}{target:16}{row['estimate']:9.3f}{interval:>18}{row['own']:9.3f}{row['exported']:10.3f}"
            f"{differ:+8.1%}{kib:>12}"
            + (f"  left to the CPU, not counted: {row['left_to_cpu']}" if row["left_to_cpu"] else "")
        )
        print(lines[-1], flush=True)
    return [
        *lines,
        "",
        f"  compiled figures within 2 % of each other: {near} of {total}      must: all",
        f"  both inside the estimate's interval: {inside} of {total}          must: all",
    ]


def scores(tasks: Sequence[str], only: Sequence[str], fresh: bool) -> list[str]:
    lines = ["", f"2. Scores of the exported files, points; compiled for {TARGET}", ""]
    held, total, idle = 0, 0, 0
    for task in tasks:
        size, epochs, _, networks = LEARNED[task]
        question = resolve_task(task)
        guessed = guess(question)
        lines += [
            f"  {task}, {question.metric} of {question.count('val')} pictures, {size} px, {epochs} epochs",
            f"  {'':24}{'':12}{'float':>8}{'int8':>8}{'drop':>7}{'int16':>8}{'drop':>7}"
            f"{'ms int8':>9}{'int16':>9}{'SRAM KiB':>10}{'flash KiB':>11}",
        ]
        for name in networks:
            if only and name not in only:
                continue
            family = FAMILIES[name]
            what = {"model": name, "task": task, "data": question.digest, "size": size, "epochs": epochs}
            try:
                row = kept({**what, "target": TARGET}, partial(worth, name, task), fresh)
            except WorkbenchError as error:
                lines.append(f"  {name:24}{family:12}{error}")
                continue
            learned = row["int8"]["module"] >= guessed + 0.05
            lines.append(worth_line(name, family, row["int8"], row["int16"]))
            lines[-1] += "" if learned else f"  (hardly learned: guessing scores {100 * guessed:.1f})"
            print(lines[-1], flush=True)
            if family.startswith("ReLU"):
                total += 1
                good = 100 * (row["int8"]["module"] - row["int8"]["exported"]) <= 1 + 1e-9
                held += good
                idle += not good and not learned
        lines.append("")
    return [
        *lines,
        f"  ReLU families that lose at most a point in int8: {held} of {total}      must: all"
        + (f"      ({idle} of the others hardly learned the task)" if idle else ""),
    ]


def guess(task: Task) -> float:
    """The score of always saying the most frequent class; 0 where pictures do not have one class each."""
    import numpy as np
    import torch

    _, targets = task.batch("val", np.arange(task.count("val")), (8, 8))
    if not isinstance(targets, torch.Tensor) or targets.dim() != 1:
        return 0.0
    return float(torch.bincount(targets).max()) / len(targets)


def worth_line(name: str, family: str, int8: Mapping[str, Any], int16: Mapping[str, Any]) -> str:
    points = [100 * x for x in (int8["module"], int8["exported"], int16["exported"])]
    line = f"  {name:24}{family:12}{points[0]:8.1f}{points[1]:8.1f}{points[0] - points[1]:7.1f}{points[2]:8.1f}"
    line += f"{points[0] - points[2]:7.1f}"
    for row, width in ((int8, 9), (int16, 9)):
        ms = row["latency_ms"]
        line += f"{ms:{width}.3f}" if ms is not None and ms == ms else f"{row['status'].partition(':')[0]:>{width}}"
    line += f"{int8['sram_kib'] or 0:10.0f}{int8['flash_kib'] or 0:11.0f}"
    line += f"  left to the CPU, not counted: {int8['left_to_cpu']}" if int8["left_to_cpu"] else ""
    return line + (f"  culprit: {int8['culprit']}" if int8["culprit"] else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=EMBEDDED, choices=EMBEDDED, help="none: only the costs")
    parser.add_argument("--only", nargs="+", default=(), help="models")
    parser.add_argument("--fresh", action="store_true", help="make the rows again")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "deploy.txt")
    arguments = parser.parse_args()
    os.environ.setdefault("WORKBENCH_HOME", str(KEPT / "home"))  # trainings of others keep their checkpoints
    lines = [
        "make bench-deploy",
        provenance(*VERSIONS),
        *costs(arguments.only, arguments.fresh),
    ]
    if arguments.tasks:
        lines += scores(arguments.tasks, arguments.only, arguments.fresh)
    print("\n".join(lines))
    if not arguments.only:
        write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
