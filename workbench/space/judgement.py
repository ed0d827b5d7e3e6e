"""What curation made of the choices of a space, and why: the rows of `Space.explain`."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

__all__ = ["Judgement", "judgement_table"]


@dataclass(frozen=True)
class Judgement:
    """A choice of a slot, or several alike: kept, pruned, or merged into another that makes the same network.

    slot: path of the block, or what of the network is chosen ("widths"). choices: how many this is about.
    latency_ms, params, macs: what the choice alone changes; latency is estimated. activation_bytes: the most bytes of
    feature maps alive in the block as a network of its own, in the network where the slot is of the network. loss: as
    handed to the curation. None where it was not asked.
    """

    slot: str
    choice: str
    verdict: Literal["kept", "pruned", "merged"]
    reason: str
    choices: int = 1
    latency_ms: float | None = None
    params: int | None = None
    macs: int | None = None
    activation_bytes: int | None = None
    loss: float | None = None


def judgement_table(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """A row a judgement, a column a field; figures that were not asked are NaN."""
    columns = list(Judgement.__dataclass_fields__)
    table = pd.DataFrame([asdict(judgement) for judgement in judgements], columns=columns)
    return table.astype(dict.fromkeys(columns[5:], float))
