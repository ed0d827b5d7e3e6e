"""How fast networks learn here: pictures a second by the plain loop and by the workbench's, and what each learns.

    make bench-training-speed       minutes, on a machine that does nothing else

    plain    the loop as a tutorial writes it, kept below: PyTorch's layers in the order of their channels, the batch
             made between the steps, the optimiser operator by operator
    fast     `workbench.training.fit`
    ceiling  what the processor multiplies and adds at most, a dense 3x3 convolution of 128 channels, in the same run

Both loops learn the same pictures in the same order at the same pace from the same weights, epochs in turns, so that
what else the machine does falls on both alike; the medians of their steps are compared. CPU is the processor time of
a picture, over all threads, which another process disturbs less.

Clothing photographs (github: alexeygrigorev/clothing-dataset-small) where `../shared/data/clothing` holds them, the
embedded rooms elsewhere.
"""

import argparse
import copy
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from provenance import provenance
from torch import Tensor, nn

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.files import write_atomic
from workbench.training import Schedule, Task, fit, named, resolve_task, score

HERE = Path(__file__).parent
CLOTHING = HERE.parent.parent / "shared" / "data" / "clothing"
TARGET = "ethos-u85-1024"
# network, pixels, task (None: clothing, or its stand-in), what it must be over the plain loop
NETWORKS: list[tuple[str, int, str | None, float]] = [
    ("mobilenetv2_100", 96, None, 2.0),
    ("tf_efficientnet_lite0", 128, None, 2.0),
    ("test_resnet", 64, "rooms/detection", 1.0),
    ("test_resnet", 64, "rooms/segmentation", 1.0),
]
STAND_IN = "rooms/presence"
_WARM = 2  # steps at the start of each epoch
# network, pixels, pictures to learn from, options of the schedule
LEARNED = ("mobilenetv2_100", 96, 1152, {"epochs": 2, "learning_rate": 1e-3, "batch_size": 32})


Moment = tuple[float, float]  # seconds on the clock, of the processor


@dataclass(frozen=True)
class Rate:
    """Seconds a picture: on the clock, and of the processor."""

    wall: float
    cpu: float

    @staticmethod
    def of(epochs: list[list[Moment]], batch: int) -> "Rate":
        """The median step of all epochs, without those that warm up."""
        steps = [np.subtract(after, before) for epoch in epochs for before, after in pairwise(epoch[_WARM:])]
        wall, cpu = (float(median(column)) / batch for column in zip(*steps, strict=True))
        return Rate(wall, cpu)


def opened(network: str, pixels: int, task: Task, pretrained: bool = False) -> nn.Module:
    size = (3, pixels, pixels)
    return wb.open(network, target=TARGET, input_size=size, task=task, pretrained=pretrained).build()


# The plain loop


def plain_epochs(
    module: nn.Module, task: Task, size: tuple[int, int, int], schedule: Schedule
) -> Iterator[list[Moment]]:
    """Learns in place; each epoch's moments on the clock and of the processor, before the first step and after each."""
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler

    steps = task.count("train") // schedule.batch_size
    optimizer = create_optimizer_v2(
        module, opt=schedule.optimizer, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    total = schedule.epochs * steps
    pace = CosineLRScheduler(
        optimizer, total, warmup_t=round(total * schedule.warmup), warmup_lr_init=schedule.learning_rate / 100,
        t_in_epochs=False,
    )  # fmt: skip
    for epoch in range(schedule.epochs):
        generator = torch.Generator().manual_seed(schedule.seed * 100_003 + epoch)
        order = torch.randperm(task.count("train"), generator=generator).numpy()
        module.train()
        torch.manual_seed(schedule.seed * 100_003 + epoch)
        moments = [moment()]
        for step in range(steps):
            rows = np.sort(order[step * schedule.batch_size : (step + 1) * schedule.batch_size])
            images, targets = task.varied(*task.batch("train", rows, size[1:]), generator)
            images = images.contiguous()
            pace.step_update(epoch * steps + step)
            loss = task.loss(module(normalised(images, module)), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            moments.append(moment())
        yield moments


def normalised(images: Tensor, module: nn.Module) -> Tensor:
    backbone: Any = getattr(module, "backbone", module)
    config = backbone.pretrained_cfg
    mean_, std = (torch.tensor(config[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (images.float() / 255 - mean_) / std


def moment() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


# Both, in turns


def fast_epoch(
    module: nn.Module, task: Task, size: tuple[int, int, int], schedule: Schedule, name: str
) -> list[Moment]:
    """The moments of the steps of one epoch by the workbench's loop."""
    moments = [moment()]
    fit(module, task, size, schedule, progress=lambda *_: moments.append(moment()), name=name)
    return moments


def rates(network: str, pixels: int, task: Task, pictures: int, rounds: int) -> tuple[Rate, Rate]:
    """By the plain loop, and by the workbench's."""
    size = (3, pixels, pixels)
    module = opened(network, pixels, task)
    schedule = replace(named(task.schedule), epochs=1)
    few = shortened(task, pictures, 64)
    for part in ("train", "val"):
        few.batch(part, np.arange(few.count(part)), size[1:])  # decoded, as they are from the second epoch on
    plain, fast = [], []
    for seed in range(rounds):
        seeded = replace(schedule, seed=seed)
        plain += list(plain_epochs(copy.deepcopy(module), few, size, seeded))
        fast.append(fast_epoch(module, few, size, seeded, network))
    return Rate.of(plain, schedule.batch_size), Rate.of(fast, schedule.batch_size)


def shortened(task: Any, train: int, val: int) -> Task:
    """The task with at most as many pictures to learn from, and to judge by."""
    source = task.source
    if hasattr(source, "files"):
        few = {"train": spread(source.files["train"], train), "val": spread(source.files["val"], val)}
        return replace(task, source=replace(source, files=few))
    return replace(task, source=replace(source, rooms=replace(source.rooms, train=train, val=val)))


def spread(files: Any, count: int) -> Any:
    return tuple(files[i * len(files) // count] for i in range(count)) if count < len(files) else files


def ceiling() -> float:
    """10^9 multiplications with additions a second: a dense convolution, the best of ten."""
    layer = nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(16, 128, 32, 32).contiguous(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(10):
            start = time.perf_counter()
            layer(x)
            times.append(time.perf_counter() - start)
    return 16 * 32 * 32 * 128 * 128 * 9 / min(times) / 1e9


def learned(seeds: int, task: Task) -> list[str]:
    """What both loops come to, by seed."""
    network, pixels, pictures, options = LEARNED
    size = (3, pixels, pixels)
    task = shortened(task, pictures, task.count("val"))
    try:
        module, weights = opened(network, pixels, task, pretrained=True), "pretrained"
    except WorkbenchError:  # no weights at hand
        module, weights = opened(network, pixels, task), "from scratch"
    scores: dict[str, list[float]] = {"plain": [], "fast": []}
    seconds: dict[str, float] = {}
    for seed in range(seeds):
        schedule = replace(named(options), seed=seed)
        student, start = copy.deepcopy(module), time.perf_counter()
        for _ in plain_epochs(student, task, size, schedule):
            value = score(student, task, size).value
        scores["plain"].append(value)
        seconds["plain"] = time.perf_counter() - start
        start = time.perf_counter()
        scores["fast"].append(float(fit(module, task, size, schedule).epochs[-1]["score"]))
        seconds["fast"] = time.perf_counter() - start
    lines = [
        f"{task.name}: {network} at {pixels} px, {weights}, {pictures} pictures, {options['epochs']} epochs, "
        f"{seeds} seeds, {task.metric} on val"
    ]
    for name, values in scores.items():
        each = " ".join(f"{100 * value:.1f}" for value in values)
        lines.append(f"  {name:<6} {100 * mean(values):.1f} %  ({each})   {seconds[name]:.0f} s")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training_speed.txt")
    parser.add_argument("--steps", type=int, default=12, help="of 64 pictures, an epoch")
    parser.add_argument("--rounds", type=int, default=4, help="epochs of each loop, in turns")
    parser.add_argument("--seeds", type=int, default=2, help="of the trainings whose scores are compared; 0: none")
    arguments = parser.parse_args()
    pictures = resolve_task(str(CLOTHING) if CLOTHING.is_dir() else STAND_IN)
    lines = [
        "make bench-training-speed",
        f"{provenance('torch', 'timm')}, {torch.get_num_threads()} threads",
        f"ceiling: a dense 3x3 convolution in float32 runs at {ceiling():.0f} GMAC/s; "
        f"load average {os.getloadavg()[1]:.1f}",
        "",
        f"{'':<46}{'pictures a second':>30}{'CPU ms a picture':>20}{'GMAC/s':>9}",
        f"{'network, pixels, task':<46}{'plain':>9}{'fast':>9}{'gain':>7}{'must':>5}"
        f"{'plain':>10}{'fast':>10}{'fast':>9}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_HOME"] = folder
        for network, pixels, name, must in NETWORKS:
            task = pictures if name is None else resolve_task(name)
            plain, fast = rates(network, pixels, task, 64 * arguments.steps, arguments.rounds)
            graph = wb.open(network, target=TARGET, input_size=(3, pixels, pixels), task=task).graph
            lines.append(
                f"{f'{network}, {pixels}, {task.name}':<46}{1 / plain.wall:>9.0f}{1 / fast.wall:>9.0f}"
                f"{plain.wall / fast.wall:>7.2f}{must:>5g}{1e3 * plain.cpu:>10.1f}{1e3 * fast.cpu:>10.1f}"
                f"{3 * graph.macs / fast.wall / 1e9:>9.0f}"
            )
            print(lines[-1], flush=True)
        lines += ["", *(learned(arguments.seeds, pictures) if arguments.seeds else [])]
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines).rstrip() + "\n").encode())


if __name__ == "__main__":
    main()
