"""What is measured of an edited network before it is trained: damages, which say what training will leave lost.

Each is 0 of the network before the edits, and at least 0; more of it never means less loss.

    layers     share of the convolutions and linear layers that are gone, new ones set off against them
    widths     doublings by which layers that stayed were narrowed, mean over all layers
    kernels    doublings by which their taps became fewer, mean over all layers
    pixels     doublings by which the picture became smaller
    macs       doublings by which the multiply-accumulates became more: dense layers whose weights are all new
    distance   log(1 + d / 0.05), d the distance of the answers from those of the network before the edits, weights as
               `build()` carries them, mean over training pictures (`Task.distances`)

Chosen on ledgers of trained candidates (`benchmarks/forecast.py`): what training does not bring back in a few epochs is
what is gone of depth and width, and what is new. How far the answers are off before it says little beside that, of
fitted weights as of carried ones: what is broken is mended. Zero-shot scores rank by the same depth and width, and less
well. The distance counts for edits that leave all layers as they are.
"""

from dataclasses import dataclass, fields
from math import log1p, log2, prod

from ..graph import Graph, Op
from ..graph.kinds import PLAIN_LAYERS

__all__ = ["DAMAGES", "SIZES", "Features", "features_of"]

# A size of each damage that matters, as far as is known before any candidate was trained.
SIZES = {"layers": 0.1, "widths": 0.1, "kernels": 0.1, "pixels": 0.5, "macs": 0.5, "distance": 6.0}
DAMAGES = tuple(SIZES)

_NATS = 0.05


@dataclass(frozen=True)
class Features:
    """Damages of an edited network. unedited_score: of the network before the edits, on the pictures for validation."""

    unedited_score: float
    layers: float = 0.0
    widths: float = 0.0
    kernels: float = 0.0
    pixels: float = 0.0
    macs: float = 0.0
    distance: float = 0.0


assert {"unedited_score", *DAMAGES} == {figure.name for figure in fields(Features)}


def features_of(before: Graph, after: Graph, unedited_score: float, distance: float) -> Features:
    """Of the networks before and after edits, and the distance d of their answers.

    >>> from workbench.graph import Op
    >>> picture = Graph((Op("x", "input", (), (1, 3, 32, 32)),), ("x",))
    >>> features_of(picture, picture, 0.9, 0.0) == Features(0.9)
    True
    """
    old, new = _layers(before), _layers(after)
    stayed = [(op, new[name]) for name, op in old.items() if name in new]
    count = max(len(old), 1)
    return Features(
        unedited_score,
        layers=max(0, len(old) - len(new)) / count,
        widths=sum(_doublings(a.weight_shape[0], b.weight_shape[0]) for a, b in stayed) / count,
        kernels=sum(_doublings(prod(a.weight_shape[2:]), prod(b.weight_shape[2:])) for a, b in stayed) / count,
        pixels=_doublings(*(prod(graph.inputs[0].shape[2:]) for graph in (before, after))),
        macs=_doublings(after.macs, before.macs),
        distance=log1p(max(distance, 0.0) / _NATS),
    )


def _layers(graph: Graph) -> dict[str, Op]:
    return {op.name: op for op in graph.ops if op.kind in PLAIN_LAYERS and op.param("weight") is not None}


def _doublings(more: int, less: int) -> float:
    """How often `less` doubles to `more`; 0 where it is no less."""
    return log2(more / less) if more > less > 0 else 0.0
