"""The space of a session's network, and the landscape it lies in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ..report.landscape_figure import landscape_figure
from ..space import Losses, Offer, Space, curated, landscape, uncurated
from ..state import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["landscape_of", "space_of"]


def space_of(state: State, offer: Offer, curate: bool, losses: Losses | pd.DataFrame | None) -> Space:
    """See `Session.space`."""
    if not curate:
        return uncurated(state.graph, state.target, offer)
    if isinstance(losses, pd.DataFrame):
        table = losses.dropna(subset="loss_distilled")
        keys = zip(table["block"], table["choice"], strict=True)
        losses = dict(zip(keys, map(float, table["loss_distilled"]), strict=True))
    return curated(state.graph, state.target, offer, losses, state.weight_values)


def landscape_of(state: State, path: Sequence[tuple[float, int]] | None) -> "Figure":
    """See `Session.landscape`."""
    graph, target, values = state.graph, state.target, state.weight_values
    every = landscape(graph, target, values=values)
    favoured = landscape(graph, target, target.channel_multiple, values).favoured
    title = f"{state.base.name} on {target.name}"
    return landscape_figure(every, favoured, title, path)
