"""How well the score of a network is forecast before it is trained, on ledgers of candidates that were trained.

    make bench-forecast                 seconds; every ledger in benchmarks/ledgers (`make bench-ledger` makes them)
    make bench-forecast ARGS=--ship     and writes the ledgers as evidence that ships with the package

Each ledger: 20 candidates, drawn over and over, calibrate, the others are held out and forecast. Beside it what else
might rank them, from the same ledger. Between ledgers: 5 candidates of one task, taught by the others.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from workbench.files import write_atomic
from workbench.forecast.calibration import calibrate
from workbench.forecast.evidence import COLUMNS, SHIPPED, write_evidence
from workbench.forecast.features import CARRIED, FITTED

HERE = Path(__file__).parent


def evidence_of(ledger: pd.DataFrame) -> pd.DataFrame:
    """The candidates of a ledger as the package keeps them, rows in the ledger's order; scores are of val."""
    baselines = ledger[ledger.kind == "baseline"].set_index("seed")
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
            "params": ledger.params,
            "macs": ledger.macs,
            "carried_distance": ledger.carried_distance,
            "fitted_distance": ledger.fitted_distance,
            "fitted_loss": ledger.fitted_loss,
            "fitted_score": ledger.fitted_accuracy,
            "score": ledger.val_accuracy,
        }
    )
    return rows[list(COLUMNS)].dropna(subset=["unedited_score"])
