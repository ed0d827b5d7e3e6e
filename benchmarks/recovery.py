"""What edits cost on real pictures: recovered from the network before them, beside labels alone.

    make bench-recovery         resumes where it stopped; some 20 minutes a seed on two idle cores

mobilenetv2_100 with ImageNet weights at 96 x 96 on photographs of clothing (DATA, github: alexeygrigorev/
clothing-dataset-small, in folders train, val and test), 3 seeds:

    unedited    12 epochs; then as many more as a recovery has, without a teacher: trained as long as what is compared
    recovered   the unedited network of 12 epochs, edited, `session.recover`: fitted, distilled, taught, each judged
    labels      beside it: the pretrained network edited, fitted on 128 pictures, then all these epochs on labels

Every network is judged on the pictures of the test part. Differences are those of the same pictures and the same seed;
the interval is a bootstrap over pictures (95 %), the seeds' mean a picture.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

import workbench as wb
from workbench.files import write_atomic
from workbench.training.evidence import Hits

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nas-workbench" / "recovery"
NETWORK, TARGET, PIXELS = "mobilenetv2_100", "ethos-u85-1024", 96
EPOCHS, MORE = 12, 8
OPTIONS: dict[str, Any] = {"learning_rate": 1e-3}
FUSED = (wb.FuseIBN("*[kind==ibn, resolution>=12]"),)
EDITS: dict[str, tuple[Any, ...]] = {
    "fused": FUSED,
    "fused, 0.75, evened": (*FUSED, wb.DepthMultiplier(0.75), wb.EvenChannels("down")),
}
MUST = {"fused": 0.5, "fused, 0.75, evened": 5.0}  # points lost at most
LIMIT_S = 180  # of recovery, on two cores
SHORT = {"fused": "fused", "fused, 0.75, evened": "narrowed"}


def opened(data: str) -> wb.Session:
    return wb.open(NETWORK, target=TARGET, input_size=(3, PIXELS, PIXELS), task=data, pretrained=True)


def hits(session: wb.Session, data: str) -> list[int]:
    """1 for each picture of the test part that is named rightly, 0 for the others."""
    evidence = session.evaluate(data, part="test").evidence
    assert isinstance(evidence, Hits)
    return [int(right) for right in evidence.right]


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` gives, from an earlier run where there was one; cpu: processor seconds of this process it took."""
    path = CACHE / f"{name}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        start, begun = _processor_seconds(), time.monotonic()
        row = make()
        row |= {"cpu": _processor_seconds() - start, "seconds": time.monotonic() - begun}
        write_atomic(path, json.dumps(row).encode())
    print(f"  {name}", flush=True)
    row = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(row, dict)
    return row


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def unedited(data: str, seed: int) -> tuple[wb.Session, dict[str, Any]]:
    """The network that learned the task, its weights kept beside the figures."""
    from safetensors.torch import save

    weights = CACHE / f"unedited-{seed}.safetensors"

    def make() -> dict[str, Any]:
        session = opened(data).finetune(data, epochs=EPOCHS, seed=seed, **OPTIONS)
        weights.parent.mkdir(parents=True, exist_ok=True)
        state = {key: value.contiguous() for key, value in session.build().state_dict().items()}
        write_atomic(weights, save(state))
        return {"hits": hits(session, data), "epochs": [row["score"] for row in session.learned.epochs]}  # type: ignore

    row = kept(f"unedited-{seed}", make)
    return opened(data).with_weights(weights), row


def longer(session: wb.Session, data: str, seed: int) -> dict[str, Any]:
    return {"hits": hits(session.finetune(data, epochs=MORE, seed=seed, **OPTIONS), data)}


def recovered(session: wb.Session, edits: tuple[Any, ...], data: str, seed: int) -> dict[str, Any]:
    after = session.apply(*edits).recover(data, epochs=MORE, seed=seed)
    change = after.estimate.latency_ms / session.estimate.latency_ms - 1
    return {"hits": hits(after, data), "stages": after.recovery.to_dict("records"), "latency": change}


def labels(edits: tuple[Any, ...], data: str, seed: int) -> dict[str, Any]:
    from workbench.session.learning import images_of
    from workbench.training import resolve_task

    edited = opened(data).apply(*edits)
    fitted = edited.with_weights(edited.build(images_of(edited, resolve_task(data), 128)))
    return {"hits": hits(fitted.finetune(data, epochs=EPOCHS + MORE, seed=seed, **OPTIONS), data)}


def difference(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Mean difference of paired hits in points, and its 95 % interval over pictures."""
    pairs = zip(rows, others, strict=True)
    per_picture = np.mean([np.array(a["hits"]) - np.array(b["hits"]) for a, b in pairs], axis=0)
    draws = np.random.default_rng(0).integers(0, len(per_picture), (10_000, len(per_picture)))
    low, high = np.percentile(per_picture[draws].mean(1), (2.5, 97.5))
    return 100 * float(per_picture.mean()), 100 * float(low), 100 * float(high)


def percent(row: dict[str, Any]) -> float:
    return 100 * float(np.mean(row["hits"]))


def report(data: str, seeds: int, with_labels: bool) -> list[str]:
    sessions, short, long = {}, [], []
    for seed in range(seeds):
        sessions[seed], row = unedited(data, seed)
        short.append(row)
        long.append(kept(f"longer-{seed}", partial(longer, sessions[seed], data, seed)))
    lines = [
        f"test part, %, {seeds} seed{'' if seeds == 1 else 's'} of 3, a figure each; the clock ran on a shared machine",
        f"unedited, {EPOCHS} epochs: {_each(short)}     {EPOCHS + MORE} epochs: {_each(long)}",
    ]
    for name, edits in EDITS.items():
        rows = [
            kept(f"recovered-{SHORT[name]}-{seed}", partial(recovered, sessions[seed], edits, data, seed))
            for seed in range(seeds)
        ]
        lines += ["", f"{name}: latency {100 * rows[0]['latency']:+.0f} % on {TARGET} (estimated)"]
        lines.append(f"  recovered   {_each(rows)}")
        for which, others in ((f"{EPOCHS} epochs", short), (f"{EPOCHS + MORE} epochs", long)):
            mean, low, high = difference(rows, others)
            lines.append(f"    against the unedited network, {which}: {mean:+.1f} points [{low:+.1f}, {high:+.1f}]")
        lines[-1] += f"     must: at most {MUST[name]} lost"
        stages = [stage["stage"] for stage in rows[0]["stages"]]
        for i, stage in enumerate(stages):
            scores = " ".join(f"{100 * row['stages'][i]['score']:.1f}" for row in rows)
            seconds = " ".join(f"{row['stages'][i]['seconds']:.0f}" for row in rows)
            lines.append(f"    {stage:<26} val {scores} %     {seconds} s by the clock")
        cpu = " ".join(f"{row['cpu'] / 2:.0f}" for row in rows)
        lines.append(f"    processor seconds over two cores: {cpu}     must: at most {LIMIT_S}")
        if with_labels:
            plain = [kept(f"labels-{SHORT[name]}-{seed}", partial(labels, edits, data, seed)) for seed in range(seeds)]
            mean, low, high = difference(plain, long)
            lines.append(f"  labels      {_each(plain)}")
            lines.append(
                f"    against the unedited network, {EPOCHS + MORE} epochs: {mean:+.1f} [{low:+.1f}, {high:+.1f}]"
            )
    return lines


def _each(rows: list[dict[str, Any]]) -> str:
    return " ".join(f"{percent(row):.1f}" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="the folder of photographs of clothing, with train, val and test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-labels", action="store_true", help="leave today's path out")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "recovery.txt")
    arguments = parser.parse_args()
    lines = [
        "make bench-recovery",
        provenance("torch", "timm"),
        "",
        *report(arguments.data, arguments.seeds, not arguments.no_labels),
    ]
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines).rstrip() + "\n").encode())


if __name__ == "__main__":
    main()
