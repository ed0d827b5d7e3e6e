"""What surgery did to the function, block by block.

relative error   ||y' - y|| / ||y|| over all images and elements, y the original's output
cosine           y' . y / (||y'|| ||y||) of each image, averaged: the direction alone, whatever the scale
"""

import math
from dataclasses import dataclass, field

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Block, Graph
from ..graph.paths import around
from ..graph.trace import evaluating

__all__ = ["fidelity"]

_CHUNK = 8  # images at a time


@dataclass
class _Error:
    """Sums of squares over the images so far, or a note why there are none."""

    difference: float = 0.0
    size: float = 0.0
    cosines: list[float] = field(default_factory=list)
    note: str = "its output is not the output of a module"

    def add(self, y: Tensor, edited: Tensor) -> None:
        if y.shape != edited.shape:
            self.note = f"its output changed from {_words(y)} to {_words(edited)}"
            return
        self.note = ""
        self.difference += float((edited.double() - y.double()).square().sum())
        self.size += float(y.double().square().sum())
        self.cosines += F.cosine_similarity(y.double().flatten(1), edited.double().flatten(1)).tolist()

    @property
    def relative(self) -> float:
        if self.note:
            return math.nan
        if self.size == 0:
            return math.inf if self.difference else 0.0
        return math.sqrt(self.difference / self.size)

    @property
    def cosine(self) -> float:
        return math.nan if self.note else sum(self.cosines) / len(self.cosines)

    @property
    def row(self) -> dict[str, object]:
        return {"relative_error": self.relative, "cosine": self.cosine, "note": self.note}


@dataclass
class _Watch:
    """Keeps the outputs of the modules that make the blocks' outputs."""

    model: nn.Module
    paths: dict[str, str]  # block -> path of the module that makes its output
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def run(self, images: Tensor) -> Tensor:
        """The network's first output; `outputs` holds those of the blocks."""
        self.outputs = {}
        hooks = []
        for block, path in self.paths.items():

            def keep(_: nn.Module, args: object, output: object, block: str = block) -> None:
                if isinstance(output, Tensor):
                    self.outputs[block] = output.clone()  # what follows may work in place

            hooks.append(self.model.get_submodule(path).register_forward_hook(keep))
        try:
            like = next(self.model.parameters(), None)
            output = self.model(images.to(like) if like is not None else images)
        finally:
            for hook in hooks:
                hook.remove()
        return output if isinstance(output, Tensor) else output[0]


@torch.no_grad()
def fidelity(original: nn.Module, edited: nn.Module, graph: Graph, edited_graph: Graph, images: Tensor) -> pd.DataFrame:
    """One row per block of the edited network: name, kind, relative_error, cosine, note; the last row is the network.

    images: [N, C, H, W]; a network that reads another size gets them resized (bilinear, antialiased). Errors are those
    of the whole networks, so a block's includes the error of its input. A block whose output changed its shape has no
    error: NaN, and the note says so. The network's row adds top1_agreement, the share of images on which both say the
    same class.
    """
    blocks = {block.name: block for block in graph.blocks}
    shared = [block for block in edited_graph.blocks if block.name in blocks]
    before = _Watch(original, _ends(graph, [blocks[block.name] for block in shared]))
    after = _Watch(edited, _ends(edited_graph, shared))
    errors = {block.name: _Error() for block in shared}
    whole, agreed = _Error(), 0
    with evaluating(original, edited):
        for part in images.split(_CHUNK):
            y, z = before.run(_sized(part, graph)), after.run(_sized(part, edited_graph))
            whole.add(y, z)
            if y.shape == z.shape:
                agreed += int((y.argmax(1) == z.argmax(1)).sum()) if y.dim() == 2 else 0
            for name in before.outputs.keys() & after.outputs.keys():
                errors[name].add(before.outputs[name], after.outputs[name])
    rows: list[dict[str, object]] = []
    for block in edited_graph.blocks:
        error = errors.get(block.name, _Error(note="the original has no such block"))
        rows.append({"name": block.name, "kind": block.kind, **error.row})
    agreement = agreed / len(images) if not whole.note and y.dim() == 2 else math.nan
    return pd.DataFrame([*rows, {"name": "network", "kind": "", **whole.row, "top1_agreement": agreement}])


def _sized(images: Tensor, graph: Graph) -> Tensor:
    size = graph.inputs[0].shape[2:]
    if len(size) != 2 or tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def _ends(graph: Graph, blocks: list[Block]) -> dict[str, str]:
    """Block name -> the module whose output is the block's; blocks that end in the middle of one are left out."""
    last: dict[str, str] = {}  # module path -> the last operator inside it
    for op in graph.ops:
        last |= dict.fromkeys(around(op.module), op.name)
    ends = {block.name: (graph.by_name[block.output].module, block.output) for block in blocks}
    return {name: path for name, (path, output) in ends.items() if last.get(path) == output}


def _words(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape[1:]))
