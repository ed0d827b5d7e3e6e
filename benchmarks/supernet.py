"""What a supernet's ranking says of candidates that were really trained.

    python benchmarks/supernet.py --ledger LEDGER.parquet --data FOLDER     resumes where it stopped

The candidates of a ledger (a row each: transforms as JSON, val_accuracy, val_loss) whose steps change one block each;
the unedited network learns the task for 5 epochs, the library is filled with the choices that these candidates take,
and their supernet is trained. Kendall's tau with the trained networks, of all and of the best quarter, beside the same
candidates assembled without training.
"""

import argparse
import json
import time

import pandas as pd
from scipy.stats import kendalltau

import workbench as wb
from workbench.graph import Plan
from workbench.progress import shown
from workbench.search.sandwich import train
from workbench.search.supernet import rank, supernet
from workbench.session.block_library import PICTURES, STEPS, library_of
from workbench.surgery.library import fill
from workbench.surgery.local_choices import BlockChoice, divided
from workbench.training import Schedule, resolve_task
from workbench.transforms import TRANSFORMS

TARGET, PIXELS = "ethos-u85-1024", 96


def local_candidates(session: wb.Session, ledger: pd.DataFrame) -> dict[int, tuple[BlockChoice, ...]]:
    """Row -> its choices, of the rows whose steps change one block each."""
    choices = {}
    for row, text in enumerate(ledger.transforms):
        steps = [dict(step) for step in json.loads(text)]
        transforms = [TRANSFORMS[step.pop("transform")](**step) for step in steps]
        plans: tuple[Plan, ...] = session.apply(*transforms).plans_since_learned if transforms else ()
        local, _, further = divided(session.graph, plans)
        if not further:
            choices[row] = local
    return choices


def taus(scores: pd.DataFrame, column: str) -> str:
    """Kendall's tau of a column's losses with those of the trained networks, of all and of the best quarter."""
    best = scores.nsmallest(max(4, len(scores) // 4), "val_loss")
    return "  ".join(f"{kendalltau(rows[column], rows.val_loss).statistic:5.2f}" for rows in (scores, best))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", help=".safetensors of the unedited network; learned here where not given")
    parser.add_argument("--network", default="mobilenetv2_100")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--count", action="store_true", help="only say how many candidates there are")
    options = parser.parse_args()
    size = (3, PIXELS, PIXELS)
    session = wb.open(options.network, target=TARGET, input_size=size, task=options.data, pretrained=True)
    ledger = pd.read_parquet(options.ledger)
    ledger = ledger[ledger.seed == 0].drop_duplicates("transforms").reset_index(drop=True)
    candidates = local_candidates(session, ledger)
    choices = sorted({choice for local in candidates.values() for choice in local}, key=lambda c: (c.block, repr(c)))
    print(f"{len(candidates)} of {len(ledger)} candidates change blocks alone, by {len(choices)} choices", flush=True)
    if options.count:
        return
    if options.weights:
        session = session.with_weights(options.weights)
    else:
        session = session.finetune(options.data, epochs=5, learning_rate=1e-3)
    start, task = time.monotonic(), resolve_task(options.data)
    library = library_of(session, task, PICTURES, STEPS)
    with shown("block library") as progress:
        list(fill(library, choices, progress))
    print(f"library {time.monotonic() - start:.0f} s", flush=True)
    net = supernet(library, choices)
    paths = [net.path_of(local) for local in candidates.values()]
    scores = ledger.loc[list(candidates), ["val_loss", "val_accuracy"]]
    scores["assembled"] = [score.loss for score in rank(net, paths, task)]
    print(f"assembled  {taus(scores, 'assembled')}", flush=True)
    with shown("supernet") as progress:
        net = train(net, task, Schedule(epochs=options.epochs, learning_rate=1e-3), progress)
    scores["supernet"] = [score.loss for score in rank(net, paths, task)]
    print(f"supernet   {taus(scores, 'supernet')}   Kendall's tau of all, of the best quarter")
    print(f"{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
