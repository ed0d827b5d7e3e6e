"""Which channels a narrowed layer keeps.

    W[c]      the weights that make channel c      g, v, e   scale, variance and epsilon of the batch norm behind them
    z[n, c]   a gate on channel c of image n, 1 in the network as it is

    magnitude    sum over the layers that make c of ||W[c]|| |g| / sqrt(v + e)
                 (Li et al. 2017, Pruning filters, with the norm folded in)
    batch-norm   sum of |g| over the layers that make c and have a batch norm; those without one add nothing
                 (Liu et al. 2017, Network slimming)
    taylor       sum over images n and the layers that make c of (dL[n] / dz[n, c])^2
                 (Molchanov et al. 2019, Importance estimation, equation 8)

No labels are needed for the loss L: where the network makes one row of scores an image, it is the cross-entropy against
the class that the network itself predicts; elsewhere half the squared norm of its output.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Graph, Op
from ..graph.kinds import PLAIN_LAYERS
from ..graph.trace import evaluating
from .modules import get_parameter

__all__ = ["importance"]

_CHUNK = 8  # images at a time


def importance(
    model: nn.Module, graph: Graph, segments: list[str], measure: str = "importance", images: Tensor | None = None
) -> dict[str, Tensor]:
    """Segment -> float64[width], how much each of its channels matters.

    measure: "importance" (magnitude), "batch-norm" or "taylor". Magnitude decides where what one needs is missing:
    images for "taylor", a batch norm behind a layer that makes the segment for "batch-norm".
    """
    if measure == "taylor" and images is not None:
        return _taylor(model, graph, segments, images)
    scores = {}
    for segment in segments:
        total = _summed(model, graph, segment, _scale) if measure == "batch-norm" else torch.zeros(1)
        scores[segment] = total if float(total.sum()) > 0 else _summed(model, graph, segment, _magnitude)
    return scores


def _summed(
    model: nn.Module, graph: Graph, segment: str, rows: Callable[[nn.Module, Graph, Op], Tensor | None]
) -> Tensor:
    width = graph.channels.segments[segment].width
    total = torch.zeros(width, dtype=torch.float64)
    for op in _makers(graph, segment):
        values = rows(model, graph, op)
        if values is not None:
            total += _share(graph, op, segment, values)
    return total


def _makers(graph: Graph, segment: str) -> Iterator[Op]:
    for op in graph.ops:
        layout = graph.channels.layout.get(op.name)
        if op.kind in PLAIN_LAYERS and layout is not None and segment in layout.segments and op.param("weight"):
            yield op


def _share(graph: Graph, op: Op, segment: str, values: Tensor) -> Tensor:
    """Of one value a channel of the operator's output those of the segment, summed over its repeats."""
    layout, at = graph.channels.layout[op.name], 0
    width = graph.channels.segments[segment].width
    total = torch.zeros(width, dtype=torch.float64)
    for name in layout.segments:
        n = graph.channels.segments[name].width * layout.repeat
        if name == segment:
            total += values[at : at + n].reshape(width, -1).sum(1)
        at += n
    return total


def _magnitude(model: nn.Module, graph: Graph, op: Op) -> Tensor | None:
    weight = op.param("weight")
    values = get_parameter(model, weight.name) if weight is not None else None
    if values is None:
        return None
    norms = values.detach().double().flatten(1).norm(dim=1).cpu()
    norm = _norm(model, graph, op)
    return norms if norm is None else norms * (norm[0] / norm[1])


def _scale(model: nn.Module, graph: Graph, op: Op) -> Tensor | None:
    norm = _norm(model, graph, op)
    return norm[0] if norm is not None and not op.is_depthwise else None


def _norm(model: nn.Module, graph: Graph, op: Op) -> tuple[Tensor, Tensor] | None:
    """|g| and sqrt(v + e) of the batch norm that alone reads the operator."""
    users = graph.consumers[op.name]
    if len(users) != 1 or users[0].kind != "batch_norm":
        return None
    scale, var = users[0].param("weight"), users[0].param("running_var")
    values = get_parameter(model, scale.name) if scale else None
    spread = get_parameter(model, var.name) if var else None
    if values is None or spread is None:
        return None
    return values.detach().double().abs().cpu(), (spread.double() + users[0]["eps"]).sqrt().cpu()


# ---- Taylor -----------------------------------------------------------------------------------------------------


def _taylor(model: nn.Module, graph: Graph, segments: list[str], images: Tensor) -> dict[str, Tensor]:
    makers = {
        op.module: op for segment in segments for op in _makers(graph, segment) if op.module and not op.is_depthwise
    }
    squares: dict[str, Tensor] = {}
    flags = [p.requires_grad for p in model.parameters()]
    model.requires_grad_(False)
    try:
        with evaluating(model):
            for part in images.split(_CHUNK):
                for path, gradient in _gradients(model, graph, makers, part).items():
                    squared = gradient.double().square().sum(0).cpu()
                    squares[path] = squares[path] + squared if path in squares else squared
    finally:
        for parameter, flag in zip(model.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
    scores = {}
    for segment in segments:
        shares = [
            _share(graph, op, segment, squares[op.module]) for op in _makers(graph, segment) if op.module in squares
        ]
        scores[segment] = sum(shares[1:], shares[0]) if shares else _summed(model, graph, segment, _magnitude)
    return scores


def _gradients(model: nn.Module, graph: Graph, makers: Mapping[str, Op], images: Tensor) -> dict[str, Tensor]:
    """Module path -> dL[n] / dz[n, c] of gates on what it makes, summed over its calls."""
    gates: dict[str, Tensor] = {}
    hooks = []
    for path, op in makers.items():
        axis = graph.channels.layout[op.name].axis

        def gated(_: nn.Module, args: object, output: Tensor, path: str = path, axis: int = axis) -> Tensor:
            if path not in gates:
                gates[path] = output.new_ones((len(output), output.shape[axis])).requires_grad_()
            shape = [len(output)] + [1] * (output.dim() - 1)
            shape[axis] = output.shape[axis]
            return output * gates[path].reshape(shape)

        hooks.append(model.get_submodule(path).register_forward_hook(gated))
    try:
        with torch.enable_grad():
            output = model(images)
            output = output if isinstance(output, Tensor) else output[0]
            if output.dim() == 2:
                loss = F.cross_entropy(output, output.argmax(1), reduction="sum")
            else:
                loss = output.square().sum() / 2
            gradients = torch.autograd.grad(loss, list(gates.values()), allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        path: torch.zeros_like(gate) if g is None else g
        for (path, gate), g in zip(gates.items(), gradients, strict=True)
    }
