"""What surgery did to the function, block by block.

    relative error   ||y' - y|| / ||y|| over all images and elements, y the original's output
"""

import math

import pandas as pd
import torch
from torch import Tensor, nn

from ..graph import Block, Graph

__all__ = ["fidelity"]


@torch.no_grad()
def fidelity(
    original: nn.Module, edited: nn.Module, graph: Graph, edited_graph: Graph, images: Tensor
) -> pd.DataFrame:
    """One row per block of the edited network: name, kind, relative_error, note; the last row is the network.

    images: [N, C, H, W]. A block whose output changed its shape has no error of its own: NaN, and the note says so.
    The network's row adds top1_agreement, the share of images on which both say the same class.
    """
    before = {block.name: block for block in graph.blocks}
    pairs = [(before[block.name], block) for block in edited_graph.blocks if block.name in before]
    was, y = _outputs(original, {a.name: _module(graph, a) for a, _ in pairs}, images)
    now, z = _outputs(edited, {b.name: _module(edited_graph, b) for _, b in pairs}, images)
    rows = []
    for _, block in pairs:
        a, b = was.get(block.name), now.get(block.name)
        if a is None or b is None:
            error, note = math.nan, "its output is not the output of a module"
        elif a.shape != b.shape:
            error, note = math.nan, f"its output changed from {a.shape[1]} to {b.shape[1]} channels"
        else:
            error, note = _relative(a, b), ""
        rows.append({"name": block.name, "kind": block.kind, "relative_error": error, "note": note})
    agreement = float((y.argmax(-1) == z.argmax(-1)).float().mean()) if y.shape == z.shape and y.dim() == 2 else math.nan
    error = _relative(y, z) if y.shape == z.shape else math.nan
    rows.append({"name": "network", "kind": "", "relative_error": error, "note": "", "top1_agreement": agreement})
    return pd.DataFrame(rows)


def _relative(a: Tensor, b: Tensor) -> float:
    return float((b.double() - a.double()).norm() / a.double().norm().clamp_min(1e-30))


def _module(graph: Graph, block: Block) -> str:
    return graph.by_name[block.output].module


def _outputs(model: nn.Module, modules: dict[str, str], images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Outputs of the modules the blocks end in, and of the network (its first output)."""
    caught: dict[str, Tensor] = {}
    hooks = []
    for block, path in modules.items():
        if path:

            def keep(module: nn.Module, inputs: object, output: object, block: str = block) -> None:
                if isinstance(output, Tensor):
                    caught[block] = output.clone()

            hooks.append(model.get_submodule(path).register_forward_hook(keep))
    training = model.training
    try:
        first = next(model.parameters(), None)
        y = model.eval()(images.to(first) if first is not None else images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return caught, y if isinstance(y, Tensor) else y[0]
