"""Figures of a study."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

__all__ = ["StudyPicture", "study_picture"]


@dataclass(frozen=True)
class StudyPicture:
    """x."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def study_picture(
    ledger: pd.DataFrame, front: pd.DataFrame, cost: str, target: str, budgets: Mapping[str, float | None], title: str
) -> StudyPicture:
    """X."""
    return StudyPicture("")
