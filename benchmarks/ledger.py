"""Trained candidates: what edits of a network really cost, for forecasts, searches and recipes to be judged by.

    make bench-ledger                                       resumes where it stopped; hours on two cores
    make bench-ledger ARGS="--count 60 --network tf_efficientnet_lite0 --pixels 128"

The unedited network learns the task for EPOCHS epochs. Every candidate starts from it, edited, and takes the usual way
as short as it can be: fitted by least squares on PICTURES training pictures, then taught for MORE epochs by the
unedited network (`session.recover`). The baseline is the unedited network learned for MORE epochs more, taught by
itself: exactly as long. One schedule, whatever the edit.

The rows of clothing that are committed are of recovery as it was before it mixed pictures and kept the statistics of
norms (labels three tenths, teacher seven tenths); rows of another recovery belong in another file.

    baseline   no edit
    twin       one choice of one block, alone: what each choice does by itself
    random     a random choice in a random number of blocks
    chain      edits of the whole network, widths and depth included, some with choices of blocks after them

A row a candidate and seed in one Parquet file a task and network (`ledgers/`), added when it is trained; columns:

    carried_*    right after the edit: its weights carried, nothing fitted       on the pictures of val
    fitted_*     after least squares                                             on the pictures of val
    val_*        trained, chosen on                                              test_* trained, reported on
    *_accuracy   share named rightly   *_loss cross-entropy   *_distance divergence from the unedited network's answers
    int8_*       the int8 file of the trained network, for some
    latency_ms/* estimated, a column a target; params, macs; zero_shot: JSON, of the edited network before training
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

import workbench as wb
from workbench.errors import NotApplicable, UnknownName
from workbench.files import write_atomic
from workbench.recipe import to_step
from workbench.session.learning import images_of
from workbench.space import catalogue
from workbench.training import distance, resolve_task
from workbench.transforms import Transform

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nas-workbench" / "ledger"
TARGETS = ("ethos-u85-1024", "ethos-u65-512", "ethos-u55-128")
EPOCHS, MORE, PICTURES = 12, 2, 256
RATE = 1e-3
JUDGED = 256  # pictures of train on which answers before training are compared
ZERO_SHOT = 32  # of them, for zero-shot scores
INT8_EVERY, SEEDS_EVERY, SEEDS = 3, 6, 3  # every third candidate is judged as int8, every sixth has three seeds

Row = dict[str, Any]
Steps = tuple[Transform, ...]


def candidates(session: wb.Session, count: int) -> list[tuple[str, Steps]]:
    """The first `count` candidates after the baseline, kind and transforms, all of different networks.

    Three random ones, two chains, one twin and so on: any number of first ones is a fair sample of each.
    """
    rng = np.random.default_rng(0)
    space = catalogue(session.graph, session.target)
    network, *blocks = space.slots
    twins = [choice.transforms for slot in blocks for choice in slot.choices[1:]]
    makers = {
        "random": lambda: _random(rng, blocks, int(rng.integers(2, len(blocks) + 1))),
        "chain": lambda: _chain(rng, network, blocks),
        "twin": lambda: twins[int(rng.integers(len(twins)))],
    }
    order = ("random", "chain", "random", "twin", "random", "chain")
    kept: dict[str, tuple[str, Steps]] = {session.graph.digest: ("baseline", ())}
    while len(kept) <= count:
        kind = order[(len(kept) - 1) % len(order)]
        try:
            transforms = makers[kind]()
            kept.setdefault(session.apply(*transforms).graph.digest, (kind, transforms))
        except (NotApplicable, UnknownName):
            continue
    return list(kept.values())


def _random(rng: np.random.Generator, blocks: Any, changed: int) -> Steps:
    """A choice, drawn evenly, in so many blocks."""
    which = sorted(rng.choice(len(blocks), changed, replace=False))
    return tuple(t for s in which for t in blocks[s].choices[int(rng.integers(1, len(blocks[s].choices)))].transforms)


def _chain(rng: np.random.Generator, network: Any, blocks: Any) -> Steps:
    """Fused early blocks or none, a depth multiplier, evened widths; half of them with choices of blocks before."""
    steps: list[Transform] = []
    if rng.random() < 0.5:
        steps += _random(rng, blocks, int(rng.integers(1, 5)))
    elif rng.random() < 0.7:
        steps.append(wb.FuseIBN(f"*[kind==ibn, resolution>={rng.choice([6, 12, 24])}]"))
    steps.append(wb.DepthMultiplier(float(rng.choice([0.5, 0.625, 0.75, 0.875]))))
    if rng.random() < 0.7:
        directions: tuple[Literal["down", "nearest", "up"], ...] = ("down", "nearest", "up")
        steps.append(wb.EvenChannels(directions[int(rng.integers(3))]))
    return tuple(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a task: a folder of pictures, or the name of an embedded one")
    parser.add_argument("--network", default="mobilenetv2_100")
    parser.add_argument("--pixels", type=int, default=96)
    parser.add_argument("--count", type=int, default=60, help="candidates beside the baseline")
    parser.add_argument("--out", type=Path, default=HERE / "ledgers", help="folder of the Parquet files")
    options = parser.parse_args()
    ledger = Ledger(options.data, options.network, options.pixels, options.out)
    for done, row in enumerate(ledger.rows(options.count), 1):
        print(f"{done} {row['kind']} seed {row['seed']}: {row['val_accuracy']:.3f} {row['seconds']:.0f} s", flush=True)


class Ledger:
    """The file of one task and network, and the networks its candidates start from."""

    def __init__(self, data: str, network: str, pixels: int, folder: Path) -> None:
        self.data, self.network, self.pixels = data, network, pixels
        self.task = resolve_task(data)
        self.file = folder / f"{self.task.name}-{network}-{pixels}.parquet".replace("/", "-")
        self.opened = wb.open(network, target=TARGETS[0], input_size=(3, pixels, pixels), task=data, pretrained=True)

    def rows(self, count: int) -> Iterator[Row]:
        """The rows of the first `count` candidates, those of the file as they are, others trained and added."""
        frame = pd.read_parquet(self.file) if self.file.is_file() else pd.DataFrame()
        rows: list[Any] = frame.to_dict("records")
        trained = {(row["graph"], row["seed"]) for row in rows}
        unedited = {0: self._unedited(0)}
        chosen = candidates(unedited[0], count)
        # Seeds of the same candidates come last, so that a ledger that was stopped holds as many networks as may be.
        jobs = [(number, 0) for number in range(len(chosen))]
        jobs += [(number, seed) for seed in range(1, SEEDS) for number in range(0, len(chosen), SEEDS_EVERY)]
        for number, seed in jobs:
            kind, transforms = chosen[number]
            edited = unedited[0].apply(*transforms) if transforms else unedited[0]
            if (edited.graph.digest, seed) in trained:
                continue
            if seed not in unedited:
                unedited[seed] = self._unedited(seed)
            row = self._trained(unedited[seed], kind, transforms, seed, int8=number % INT8_EVERY == 0)
            rows.append(row)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.file, pd.DataFrame(rows).to_parquet(index=False))
            yield row

    def _unedited(self, seed: int) -> wb.Session:
        """The network that learned the task."""
        from safetensors.torch import save

        weights = CACHE / f"{self.file.stem}-{self.task.digest}-{EPOCHS}-{seed}.safetensors"
        if not weights.is_file():
            learned = self.opened.finetune(self.data, epochs=EPOCHS, seed=seed, learning_rate=RATE)
            weights.parent.mkdir(parents=True, exist_ok=True)
            state = {key: value.contiguous() for key, value in learned.build().state_dict().items()}
            write_atomic(weights, save(state))
        return self.opened.with_weights(weights)

    def _trained(self, unedited: wb.Session, kind: str, transforms: Steps, seed: int, int8: bool) -> Row:
        start = time.monotonic()
        edited = unedited.apply(*transforms) if transforms else unedited
        images = images_of(unedited, self.task, JUDGED)
        carried = edited.with_weights(edited.build())
        row: Row = {
            "task": self.task.name, "data": self.task.digest, "network": self.network, "pixels": self.pixels,
            "kind": kind, "seed": seed,
            "epochs": MORE, "transforms": json.dumps([to_step(transform) for transform in transforms]),
            "graph": edited.graph.digest, "params": edited.graph.params, "macs": edited.graph.macs,
        }  # fmt: skip
        for target in TARGETS:
            row[f"latency_ms/{target}"] = edited.on(target).estimate.latency_ms
        row["zero_shot"] = json.dumps(wb.search.zero_shot(carried.build(), images[:ZERO_SHOT]))
        fitted = edited
        options: dict[str, Any] = {"epochs": MORE, "seed": seed}
        if transforms:
            fitted = edited.recover(self.data, epochs=0, distil=0, pictures=PICTURES)
            after = edited.recover(self.data, distil=0, pictures=PICTURES, **options)
        else:
            after = edited.finetune(self.data, teacher=unedited, learning_rate=RATE / 2, **options)
        for name, session in (("carried", carried), ("fitted", fitted)):
            score = session.evaluate(self.data)
            row |= {f"{name}_accuracy": score.value, f"{name}_loss": score.loss}
            row[f"{name}_distance"] = distance(session.build(), unedited.build(), self.task, images).value
        for part in ("val", "test"):
            score = after.evaluate(self.data, part=part)
            row |= {f"{part}_accuracy": score.value, f"{part}_loss": score.loss}
            row[f"int8_{part}_accuracy"] = after.evaluate(self.data, "int8", part=part).value if int8 else None
        row["seconds"] = time.monotonic() - start
        return row


if __name__ == "__main__":
    main()
