"""What may be chosen for the network as a whole: its widths, its input size, its output stride.

Fusing, kernels, activations and gates are chosen block by block; only what blocks cannot have alone is chosen here.
"""

from collections.abc import Sequence

from ..errors import NotApplicable
from ..graph import Graph
from ..hardware import Target
from ..transforms import DepthMultiplier, EvenChannels, InputSize, OutputStride
from .catalogue import Option, option
from .slots import Choice

__all__ = ["AS_IT_IS", "FINEST", "favours", "input_sizes", "network_ratios", "network_widths", "output_strides"]

AS_IT_IS = Choice("as it is")
FINEST = 64  # the uncurated space has the network's widths in 64ths of their own
_LEAST_RATIO = 0.5
_DIRECTIONS = ("nearest", "up", "down")
_SIZE_STEP = 32  # pixels: the stride of nearly all backbones
_MOST_SIZES = 2


def network_ratios(count: int) -> tuple[float, ...]:
    """Shares k / count of the network's widths, from 1/2 to below 1, the largest first.

    >>> network_ratios(8)
    (0.875, 0.75, 0.625, 0.5)
    """
    return tuple(k / count for k in range(count - 1, 0, -1) if k / count >= _LEAST_RATIO)


def network_widths(graph: Graph, target: Target, ratios: Sequence[float]) -> tuple[Option, ...]:
    """Depth multipliers, each as it comes and with channels evened either way, and evening alone, where they apply.

    Labels: "multiplier 0.75", "multiplier 0.75, even down", "even cost".
    """
    choices = [Choice(f"even {way}", (EvenChannels(way),)) for way in (*_DIRECTIONS, "cost")]  # type: ignore[arg-type]
    for ratio in ratios:
        scaled = DepthMultiplier(ratio)
        label = f"multiplier {round(ratio, 4):g}"
        choices.append(Choice(label, (scaled,)))
        evened = (Choice(f"{label}, even {way}", (scaled, EvenChannels(way))) for way in _DIRECTIONS)  # type: ignore[arg-type]
        choices += evened
    return _applied(graph, target, choices)


def input_sizes(graph: Graph, target: Target, sizes: Sequence[int] | None) -> tuple[Option, ...]:
    """Other input sizes, in pixels, where the network runs at them; None: the next smaller multiples of 32 above half.

    Labels: "input 160". Raises InputError for a size no network reads.
    """
    if sizes is None:
        sizes = _smaller_sizes(graph)
    return _applied(graph, target, [Choice(f"input {size}", (InputSize(size),)) for size in sizes])


def output_strides(graph: Graph, target: Target) -> tuple[Option, ...]:
    """Finer grids, for dense tasks: where what the network gives is a map. Labels: "output stride 16"."""
    shapes = [graph.by_name[name].shape for name in graph.outputs]
    if not any(len(shape) == 4 and max(shape[2:]) > 1 for shape in shapes):
        return ()
    return _applied(graph, target, [Choice(f"output stride {step}", (OutputStride(step),)) for step in (16, 8)])


def favours(target: Target, graph: Graph) -> bool:
    """Whether all widths that can move are multiples of the channels the target favours, or too small to be."""
    try:
        EvenChannels("nearest").plan(graph, target)
    except NotApplicable:
        return True
    return False


def _smaller_sizes(graph: Graph) -> tuple[int, ...]:
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        return ()
    image = graph.inputs[0]
    height, width = image.shape[1:3] if graph.channels_last(image.name) else image.shape[2:]
    if height != width:
        return ()
    largest = (height - 1) // _SIZE_STEP * _SIZE_STEP
    sizes = range(largest, max(height // 2 - 1, _SIZE_STEP - 1), -_SIZE_STEP)
    return tuple(sizes)[:_MOST_SIZES]


def _applied(graph: Graph, target: Target, choices: Sequence[Choice]) -> tuple[Option, ...]:
    options = (option(graph, target, choice) for choice in choices)
    return tuple(applied for applied in options if applied is not None)
