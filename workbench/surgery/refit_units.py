"""Narrowed convolutions of an edited network refitted by least squares, in the order in which they run.

    u    what the counterpart of a convolution and its batch norm makes in the network before the edits
    B    the basis of that counterpart (`counterparts.py`)

The regression of B u on what the convolution reads in the edited network so far. The last convolution of a block makes
what the block's output still lacks: B y less what else is added to it (`units.py`). He et al. 2017, Channel pruning,
section 3.2, refit so one layer after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..graph import Graph, Op
from ..graph.trace import evaluating
from ..progress import Progress
from .activations import capture
from .block_network import BlockModule
from .counterparts import Edited
from .dense_weights import affine, as_rows, fill, is_held_out, sample
from .kernels import patches
from .least_squares import Regression
from .units import CHUNK, Unit, Walk, changed_units, run, turned

__all__ = ["refit_units"]

_WIDEST = 1500  # elements of a patch


@torch.no_grad()
def refit_units(
    model: nn.Module, graph: Graph, edited: Edited, images: tuple[Tensor, Tensor], progress: Progress | None = None
) -> None:
    """Refit the narrowed convolutions of `edited` by least squares, in place, towards `model` (of `graph`).

    images: the same ones [N, C, H, W] as `model` reads them and as the edited network does.
    """
    walk, listed = Walk(model, edited, images), changed_units(graph, edited)
    with evaluating(model, edited.module):
        for i, unit in enumerate(listed, 1):
            _refit_unit(walk, graph, unit)
            if progress is not None:
                progress(unit.path, i, len(listed))
        for conv, norm in _loose(edited, listed):
            _refit_loose(model, graph, edited, conv, norm, images)


# ---- convolutions of blocks ----------------------------------------------------------------------------------------

# Number of the first of some images, what the convolution's norm and what its block make of them now -> what the norm
# should make.
_Target = Callable[[int, Tensor, Tensor], Tensor]


def _refit_unit(walk: Walk, graph: Graph, unit: Unit) -> None:
    """Refit the convolutions of a block, and go on to the next."""
    y, goal = walk.goal(unit)
    x, reads = walk.enter(unit)
    block = walk.edited.module.get_submodule(unit.path)

    def lacking(start: int, made: Tensor, whole: Tensor) -> Tensor:
        return goal[start : start + len(made)] - (whole - made)

    for conv, norm in _refittable(walk.edited, unit) if unit.changed else ():
        counterpart = walk.edited.counterparts[norm.name]
        old = _maker(graph, counterpart.tensor)
        target: _Target | None = None
        if _ends(walk.edited.graph, norm, unit):
            target = lacking
        elif old is not None and len(unit.whole) == 1 and reads.shape[2:] == x.shape[2:]:
            target = _Inner(walk.model, unit.path, old, counterpart.basis, x)
        if target is not None:
            _fit(BlockModule(unit.path, block), conv, norm, reads, target)
    walk.leave(unit, y)


@dataclass(frozen=True)
class _Inner:
    """B u: what a convolution and its norm inside a block of the network before the edits make, turned."""

    model: nn.Module
    block: str
    layers: tuple[Op, Op]
    basis: Tensor | None
    reads: Tensor

    def __call__(self, start: int, made: Tensor, whole: Tensor) -> Tensor:
        conv, norm = self.layers
        alone = BlockModule(self.block, self.model.get_submodule(self.block))
        u = capture(alone, self.reads[start : start + len(made)], {"u": (conv.module, "output")})["u"]
        return turned(_normed(u, self.model.get_submodule(norm.module)), self.basis)


def _refittable(edited: Edited, unit: Unit) -> Iterator[tuple[Op, Op]]:
    """Convolutions of the block, each with its norm: where widths changed, and the last where blocks were dropped."""
    graph = edited.graph
    block = next(block for block in graph.blocks if block.name == unit.path)
    for name in block.ops:
        conv = graph.by_name[name]
        norm = _refit_norm(edited, conv)
        if norm is not None and (
            _is_turned(edited, conv.inputs[0])
            or _is_turned(edited, norm.name)
            or (len(unit.whole) > 1 and _ends(graph, norm, unit))
        ):
            yield conv, norm


def _refit_norm(edited: Edited, conv: Op) -> Op | None:
    """The norm behind a dense convolution whose output has a counterpart, None where there is none."""
    if conv.kind != "conv2d" or conv["groups"] != 1 or conv.is_depthwise:
        return None
    weight = conv.weight_shape
    users = edited.graph.consumers[conv.name]
    if len(users) != 1 or users[0].kind != "batch_norm" or weight[1] * weight[2] * weight[3] > _WIDEST:
        return None
    return users[0] if users[0].name in edited.counterparts else None


def _is_turned(edited: Edited, tensor: str) -> bool:
    return tensor in edited.counterparts and edited.counterparts[tensor].basis is not None


def _ends(graph: Graph, norm: Op, unit: Unit) -> bool:
    """Whether the block's output is what the norm makes, or that added to something."""
    users = graph.consumers[norm.name]
    return norm.name == unit.makes or (len(users) == 1 and users[0].kind == "add" and users[0].name == unit.makes)


def _maker(graph: Graph, tensor: str) -> tuple[Op, Op] | None:
    """The convolution and the batch norm that make a tensor of the network before the edits."""
    norm = graph.by_name[tensor]
    if norm.kind != "batch_norm":
        return None
    conv = graph.by_name[norm.inputs[0]]
    return (conv, norm) if conv.kind == "conv2d" else None


def _fit(alone: BlockModule, conv: Op, norm: Op, reads: Tensor, target: _Target) -> None:
    """Regress what the norm should make on what the convolution reads, and write it into both."""
    layer: Any = alone.get_submodule(conv.module)
    behind: Any = alone.get_submodule(norm.module)
    fitted = Regression()
    generator = torch.Generator().manual_seed(0)
    parts = reads.split(CHUNK)
    points = {"x": (conv.module, "input"), "u": (conv.module, "output"), "y": (alone.path, "output")}
    for i, part in enumerate(parts):
        maps = capture(alone, part, points)
        goal = target(i * CHUNK, _normed(maps["u"], behind), maps["y"])
        _add(fitted, layer, maps["x"], goal, len(reads), is_held_out(i, parts), generator)
    fill(layer, behind, fitted)


def _normed(maps: Tensor, norm: Any) -> Tensor:
    gain, shift = affine(norm)
    return maps * gain[:, None, None] + shift[:, None, None]


def _add(
    fitted: Regression, layer: Any, x: Tensor, goal: Tensor, total: int, held: bool, generator: torch.Generator
) -> None:
    """Add what the layer reads and what it should make, some positions of `total` images in all."""
    columns = patches(x, layer, layer.kernel_size)
    rows = sample(columns, len(x), total, generator)
    fitted.add(columns[rows], as_rows(goal)[rows], held)


# ---- convolutions outside blocks -----------------------------------------------------------------------------------


def _loose(edited: Edited, listed: Sequence[Unit]) -> Iterator[tuple[Op, Op]]:
    """Convolutions behind the units that read other channels than before."""
    inside = {name for b in edited.graph.blocks if b.name in {unit.path for unit in listed} for name in b.ops}
    for op in edited.graph.ops:
        norm = _refit_norm(edited, op)
        if norm is not None and op.name not in inside and _is_turned(edited, op.inputs[0]):
            yield op, norm


def _refit_loose(
    model: nn.Module, graph: Graph, edited: Edited, conv: Op, norm: Op, images: tuple[Tensor, Tensor]
) -> None:
    counterpart = edited.counterparts[norm.name]
    old = _maker(graph, counterpart.tensor)
    if old is None:
        return
    layer: Any = edited.module.get_submodule(conv.module)
    fitted = Regression()
    generator = torch.Generator().manual_seed(0)
    parts = images[1].split(CHUNK)
    for i, (before, part) in enumerate(zip(images[0].split(CHUNK), parts, strict=True)):
        x = capture(edited.module, part, {"x": (conv.module, "input")})["x"]
        made = capture(model, before, {"u": (old[0].module, "output")})["u"]
        goal = turned(_normed(made, model.get_submodule(old[1].module)), counterpart.basis)
        if goal.shape[2:] != run(layer, x[:1]).shape[2:]:
            return
        _add(fitted, layer, x, goal, len(images[1]), is_held_out(i, parts), generator)
    fill(layer, edited.module.get_submodule(norm.module), fitted)
