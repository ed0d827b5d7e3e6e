"""How well the score of a network is forecast before it is trained, on ledgers of candidates that were trained.

    make bench-forecast                 seconds; every ledger in benchmarks/ledgers (`make bench-ledger` makes them)
    make bench-forecast ARGS=--ship     and writes the ledgers as evidence that ships with the package

Each ledger: 20 candidates, drawn over and over, calibrate, the others are held out and forecast. Beside it what else
might rank them, from the same ledger. Between ledgers: 5 candidates of one task, taught by the others.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.forecast.evidence import COLUMNS

HERE = Path(__file__).parent


def evidence_of(ledger: pd.DataFrame) -> pd.DataFrame:
    """The candidates of a ledger as the package keeps them, rows in the ledger's order; scores are of val."""
    baselines = ledger[ledger.kind == "baseline"].set_index("seed")
    scores = pd.DataFrame([json.loads(text) for text in ledger.zero_shot])
    unedited_scores = scores[ledger.kind == "baseline"].iloc[0]
    own = baselines.reindex(ledger.seed).reset_index(drop=True)  # of each row the unedited network of its seed
    rows = pd.DataFrame(
        {
            "task": ledger.task,
            "data": ledger.task,
            "network": own.graph,
            "graph": ledger.graph,
            "transforms": ledger.transforms,
            "seed": ledger.seed,
            "epochs": ledger.epochs,
            "pictures": np.nan,
            "unedited_score": own.carried_accuracy,
            "unedited_loss": own.carried_loss,
            "unedited_params": own.params,
            "unedited_macs": own.macs,
            "unedited_naswot": unedited_scores.naswot,
            "unedited_zico": unedited_scores.zico,
            "params": ledger.params,
            "macs": ledger.macs,
            "naswot": scores.naswot,
            "zico": scores.zico,
            "carried_distance": ledger.carried_distance,
            "fitted_distance": ledger.fitted_distance,
            "fitted_loss": ledger.fitted_loss,
            "fitted_score": ledger.fitted_accuracy,
            "score": ledger.val_accuracy,
        }
    )
    return rows[list(COLUMNS)].dropna(subset=["unedited_score"])
