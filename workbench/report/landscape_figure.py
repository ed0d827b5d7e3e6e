"""The landscape figure: what a network costs over channels and depth, counted, on the target, and curated."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..metrics import metric_text
from ..space.landscape import Landscape
from .palette import LIGHT, TOKENS

if TYPE_CHECKING:  # half a second to import, and few sessions draw
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

__all__ = ["landscape_figure"]

_INK, _MUTED, _LINE = (TOKENS[name][1] for name in ("text", "muted", "line"))
_PATH = TOKENS["memory"][1]
_LEVELS = 12  # contour lines

Places = Sequence[tuple[float, float]]


def landscape_figure(every: Landscape, curated: Landscape, title: str, path: Places | None = None) -> "Figure":
    """Three maps of cost over channels (x) and blocks (y), and below each its profiles, one line a depth.

    Left the multiply-accumulates of every width, in the middle the latency of the same networks, estimated; right that
    of the widths the target favours. Costs are shares of the whole network's. title: network and target. path: what a
    search visited, (share of the channels, number of blocks); None draws the descent of each landscape.
    """
    from matplotlib.figure import Figure

    paths = [_places(land, path) if path else land.descent() for land in (every, curated)]
    figure = Figure(figsize=(11.5, 6.4), layout="constrained", facecolor="white")
    axes = figure.subplots(2, 3, sharex=True, sharey="row", height_ratios=(1, 1.05))
    whole = f"counted; {metric_text('macs', every.macs[-1, -1])} at full size"
    panels = (
        ("Multiply-accumulates", every, every.macs, None, whole),
        ("Latency, every width", every, every.latency_ms, paths[0], _rugged(every)),
        ("Latency, curated widths", curated, curated.latency_ms, paths[1], _rugged(curated)),
    )
    shares = [cost / cost[-1, -1] for _, _, cost, _, _ in panels]
    low, high = min(s.min() for s in shares), max(s.max() for s in shares)
    for column, ((name, land, _, path, note), share) in enumerate(zip(panels, shares, strict=True)):
        mesh = _map(axes[0, column], land, share, (low, high))
        _profiles(axes[1, column], land, share)
        axes[0, column].set_title(f"{name}\n", loc="left", fontsize=11, fontweight="bold", color=_INK)
        text = axes[0, column].text(0, 1.03, note, transform=axes[0, column].transAxes, fontsize=9, color=_MUTED)
        text.set_in_layout(False)
        if path:
            _trace(axes[:, column], land, share, path)
    axes[0, 0].set_ylabel("blocks", color=_INK)
    axes[1, 0].set_ylabel("cost, share of the whole network's", color=_INK)
    for axis in axes[1]:
        axis.set_xlabel("channels, share of the network's own", color=_INK)
    bar = figure.colorbar(mesh, cax=axes[0, 2].inset_axes((1.03, 0, 0.03, 1)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=_MUTED)
    figure.suptitle(title, x=0.008, ha="left", fontsize=12.5, color=_INK)
    return figure


def _places(land: Landscape, path: Places) -> Sequence[tuple[int, int]]:
    """(row, column) of the networks nearest to those of a path."""
    nearest = [
        (np.abs(land.blocks - blocks).argmin(), np.abs(land.channels - share).argmin()) for share, blocks in path
    ]
    return [(int(row), int(column)) for row, column in nearest]


def _rugged(land: Landscape) -> str:
    return f"estimated; smaller is slower in {100 * land.ruggedness:.1f} % of the steps"


def _map(axis: "Axes", land: Landscape, share: np.ndarray, limits: tuple[float, float]) -> "QuadMesh":
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("share", LIGHT)
    x, y = land.channels, np.arange(len(land.blocks))
    mesh = axis.pcolormesh(x, y, share, cmap=colours, vmin=limits[0], vmax=limits[1], shading="nearest")
    if min(share.shape) > 1:  # a network whose blocks all have to stay is one row
        levels = np.linspace(*limits, _LEVELS)
        axis.contour(x, y, share, levels=levels, colors="white", linewidths=0.6, alpha=0.75)
    axis.set_yticks(y, [str(blocks) for blocks in land.blocks])
    _plain(axis)
    return mesh


def _profiles(axis: "Axes", land: Landscape, share: np.ndarray) -> None:
    for y, blocks in enumerate(land.blocks):
        colour = LIGHT[2 + round(y * (len(LIGHT) - 3) / max(1, len(land.blocks) - 1))]
        label = f"{blocks} blocks" if y in (0, len(land.blocks) - 1) else None
        axis.plot(land.channels, share[y], color=colour, linewidth=1.6, label=label)
    axis.grid(axis="y", color=_LINE, linewidth=0.6)
    axis.legend(frameon=False, fontsize=8.5, labelcolor=_MUTED, loc="upper left")
    _plain(axis)


def _trace(axes: Sequence["Axes"], land: Landscape, share: np.ndarray, path: Sequence[tuple[int, int]]) -> None:
    """The places of a search on a map and on its profiles, the last one marked."""
    rows, columns = np.array(path).T
    heights = rows, share[rows, columns]
    for axis, height in zip(axes, heights, strict=True):
        x = land.channels[columns]
        axis.plot(x, height, color="white", linewidth=3.4, solid_capstyle="round")
        axis.plot(x, height, color=_PATH, linewidth=1.6, marker="o", markersize=2.6, solid_capstyle="round")
        axis.plot(x[-1], height[-1], marker="o", markersize=8, color=_PATH, markeredgecolor="white", linestyle="")


def _plain(axis: "Axes") -> None:
    axis.tick_params(length=0, labelsize=8.5, labelcolor=_MUTED)
    for spine in axis.spines.values():
        spine.set_visible(False)
