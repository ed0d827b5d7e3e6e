"""Compress: values of weights pruned or shared, in place, by the one rule of `graph/compress.py`."""

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
from torch import nn

from ..errors import SurgeryError
from ..graph import Compress, Graph, Op, as_built, compressed
from ..graph.compress import Schemes
from .modules import get_parameter
from .site import Site

__all__ = ["compress", "compress_again", "recompress"]


def compress(site: Site, edits: Sequence[Compress]) -> None:
    """Carry the edits out on the model, in place."""
    for edit in edits:
        _apply(site.model, [site.graph.by_name[edit.op]], (edit.scheme,))


def compress_again(model: nn.Module, before: Graph, after: Graph) -> None:
    """Compress what another edit resized or replaced: an operator stays compressed whatever is done to it later."""
    for op in after.ops:
        if op.get("compress") and op is not before.by_name.get(op.name):
            _apply(model, [op], op["compress"])


def recompress(model: nn.Module, graph: Graph) -> None:
    """Compress, in place, all that the graph of the module says is compressed: training moves values off their rule."""
    compress_again(model, as_built(graph), graph)


@torch.no_grad()
def _apply(model: nn.Module, ops: Iterable[Op], schemes: Schemes) -> None:
    for op in ops:
        weight = op.param("weight")
        stored = get_parameter(model, weight.name) if weight is not None else None
        if weight is None or stored is None:
            raise SurgeryError(f"{op.module or op.name}: the module keeps no weight that could be compressed")
        # float64 holds every value of the types weights have, so what is kept comes back as it was
        values = stored.detach().to("cpu", torch.float64).reshape(weight.shape).numpy()
        new = torch.from_numpy(reduce(compressed, schemes, values)).reshape(stored.shape)
        stored.copy_(new.to(stored))  # in place: whatever is tied to the parameter stays tied
