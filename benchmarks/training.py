"""What training shows: that the embedded data tells networks apart, and what weights carried over are worth.

    make bench-training         resumes where it stopped; two hours the first time

Two questions, every network trained from several seeds by the same schedule, scores on pictures nobody learned from:

    capacity   Does width matter on this data? The network, and the same with half the channels, both from scratch.
               Halving must lose clearly more than seeds differ: at least twice their standard deviation.
    carried    What is a fused network worth that carries weights? The network learns the task; its early blocks are
               fused, their weights composed, fitted by least squares, or fitted and distilled on unlabelled training
               pictures; then it learns on for HALF the epochs. The control is the fused network from scratch, for all
               of them. The carried one must reach the control's final score.

From scratch means: weights drawn anew from the seed as timm draws them (normal, by fan-out; He et al. 2015).
"""

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from provenance import provenance

import workbench as wb
from workbench.files import write_atomic

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nas-workbench" / "training"
TARGET = "ethos-u65-512"

# task -> network, pixels, epochs, options of the schedule
CAPACITY: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "rooms/presence": ("test_resnet", 64, 8, {"learning_rate": 3e-3, "batch_size": 32}),
    "rooms/segmentation": ("test_resnet", 64, 6, {}),
    "rooms/detection": ("test_resnet", 64, 8, {}),
}
CARRIED: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "digits": ("mobilenetv2_050", 48, 16, {"learning_rate": 3e-3, "batch_size": 32}),
}
EARLY = wb.FuseIBN(blocks="blocks.[12].*")
DISTIL = 200  # steps a block
SEEDS = {"capacity": 3, "carried": 5}


def drawn(session: wb.Session, seed: int) -> Any:
    """The session's network with weights of its own."""
    import torch

    module = session.build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, torch.nn.Conv2d):
                fan_out = layer.out_channels * prod(layer.kernel_size) // layer.groups
                layer.weight.normal_(0, (2 / fan_out) ** 0.5, generator=generator)
            elif isinstance(layer, torch.nn.Linear):
                bound = (layer.in_features + layer.out_features) ** -0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
            elif isinstance(layer, torch.nn.BatchNorm2d):
                layer.reset_parameters()
                continue
            else:
                continue
            if layer.bias is not None:
                layer.bias.zero_()
    return module


def learned(session: wb.Session, task: str, epochs: int, seed: int, options: dict[str, Any]) -> wb.Session:
    return session.finetune(task, epochs=epochs, seed=seed, **options)


def curve(session: wb.Session) -> list[float]:
    """The score after every epoch."""
    assert session.learned is not None
    return [float(row["score"]) for row in session.learned.epochs]


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, from an earlier run where there was one."""
    path = CACHE / f"{name.replace('/', '-')}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(make()).encode())
    print(f"  {name}", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def capacity(task: str, seeds: int) -> list[str]:
    network, pixels, epochs, options = CAPACITY[task]
    scores: dict[float, list[float]] = {}
    params = {}
    for width in (1.0, 0.5):
        session = wb.open(network, target=TARGET, input_size=(3, pixels, pixels), task=task)
        session = session if width == 1.0 else session.apply(wb.DepthMultiplier(ratio=width))
        params[width] = session.graph.params

        def final(seed: int, session: wb.Session = session) -> list[float]:
            return curve(learned(session.with_weights(drawn(session, seed)), task, epochs, seed, options))

        name = f"capacity-{task}-{network}-{pixels}-{epochs}-{width:g}"
        scores[width] = [kept(f"{name}-{seed}", partial(final, seed))[-1] for seed in range(seeds)]
    lost = mean(scores[1.0]) - mean(scores[0.5])
    spread = max(stdev(scores[1.0]), stdev(scores[0.5]))
    widths_text = "  ".join(
        f"width {width:g} ({params[width] / 1e6:.2f} M): {_spread(scores[width])}" for width in sorted(scores)[::-1]
    )
    return [
        f"{task}: {network} at {pixels} px, {epochs} epochs, {seeds} seeds",
        f"  {widths_text}",
        f"  halving loses {100 * lost:.1f} points, {lost / spread:.1f} times the seeds' standard deviation"
        f"     must: at least 2",
        "",
    ]


def carried(task: str, seeds: int) -> list[str]:
    network, pixels, epochs, options = CARRIED[task]
    rows = []
    for seed in range(seeds):

        def scores_of_seed(seed: int = seed) -> dict[str, Any]:
            from workbench.session.learning import images_of
            from workbench.training import resolve_task

            opened = wb.open(network, target=TARGET, input_size=(3, pixels, pixels), task=task)
            before = learned(opened.with_weights(drawn(opened, seed)), task, epochs, seed, options)
            fused, fresh = before.apply(EARLY), opened.apply(EARLY)
            images = images_of(fused, resolve_task(task))
            at_once = {
                "composed": fused.with_weights(fused.build()),
                "least squares": fused.with_weights(fused.build(images)),
                "distilled": fused.with_weights(fused.build(images, distil=DISTIL)),
            }
            return {
                "before": curve(before)[-1],
                **{name: float(session.evaluate(task)) for name, session in at_once.items()},
                "carried": curve(learned(at_once["distilled"], task, epochs // 2, seed, options)),
                "scratch": curve(learned(fresh.with_weights(drawn(fresh, seed)), task, epochs, seed, options)),
            }

        rows.append(kept(f"carried-{task}-{network}-{pixels}-{epochs}-{seed}", scores_of_seed))
    lines = [f"{task}: {network} at {pixels} px, {EARLY.blocks} fused, {seeds} seeds; {rows_metric(task)}"]
    lines.append(f"  before fusing, {epochs} epochs     {_spread([row['before'] for row in rows])}")
    for name in ("composed", "least squares", "distilled"):
        lines.append(f"  fused, {name:<22}{_spread([row[name] for row in rows])}")
    lines.append("  then learning: epoch " + "".join(f"{i + 1:>7}" for i in range(epochs)))
    means = {name: [mean(values) for values in zip(*(row[name] for row in rows), strict=True)] for name in CURVES}
    for name, label in CURVES.items():
        lines.append(f"  {label:<21}" + "".join(f"{100 * value:>7.1f}" for value in means[name]))
    final = means["scratch"][-1]
    reached = next((i + 1 for i, value in enumerate(means["carried"]) if value >= final), None)
    lines += [
        f"  from scratch in the end {_spread([row['scratch'][-1] for row in rows])}, "
        f"carried {_spread([row['carried'][-1] for row in rows])}",
        f"  carried reaches the end of scratch in epoch {reached or 'none'} of {epochs}"
        f"     must: at most {epochs // 2}",
        "",
    ]
    return lines


CURVES = {"carried": "carried", "scratch": "from scratch"}


def rows_metric(task: str) -> str:
    from workbench.training import resolve_task

    return f"{resolve_task(task).metric}, %"


def _spread(values: list[float]) -> str:
    return f"{100 * mean(values):.1f} ± {100 * stdev(values):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training.txt")
    arguments = parser.parse_args()
    lines = [
        "make bench-training",
        provenance("torch", "timm"),
        "",
        "capacity: mean ± standard deviation over the seeds, %",
        "",
    ]
    for task in CAPACITY:
        lines += capacity(task, SEEDS["capacity"])
    lines += ["carried", ""]
    for task in CARRIED:
        lines += carried(task, SEEDS["carried"])
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines).rstrip() + "\n").encode())


if __name__ == "__main__":
    main()
