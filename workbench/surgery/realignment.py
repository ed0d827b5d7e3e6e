"""An edited network brought nearer to the network before the edits, block after block, from images alone.

    x, y     what a block reads and makes in the network before the edits
    x~       what reaches it in the edited network
    B        the basis of the counterpart of a tensor (`counterparts.py`)

Two ways, both in the order in which blocks run, so that each block also mends what those before it got wrong:

    refit    each convolution by least squares: what it would read in the edited network -> B u, with u what its
             counterpart makes, batch norm included; the last one of a block makes what the block's output still lacks
    distil   all parameters of a block by gradient descent, x~ -> B y (`distil.py`)

A block behind which blocks were dropped learns to do what they did, too: y is what the last of them made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Block, Graph, Op
from ..graph.paths import around
from ..graph.trace import evaluating
from ..progress import Progress
from .activations import capture
from .block_network import BlockModule, block_networks
from .counterparts import Edited
from .dense_weights import affine, as_rows, fill, is_held_out, sample
from .distil import imitate
from .kernels import patches
from .least_squares import Regression

__all__ = ["Unit", "distil_units", "matched_points", "refit_units", "units"]

_CHUNK = 32  # images at a time
_WIDEST = 1500  # elements of a patch


@dataclass(frozen=True)
class Unit:
    """A block of the edited network, and the blocks before the edits whose work it does.

    path: of both modules. reads, makes: tensors of the edited graph. whole: the paths in the network before the edits
    from the block's own on. goal: what the last of these makes, a tensor there. changed: whether anything in it did.
    """

    path: str
    reads: str
    makes: str
    whole: tuple[str, ...]
    goal: str
    changed: bool


def units(graph: Graph, edited: Edited) -> tuple[Unit, ...]:
    """The blocks that are modules of their own in both networks, in the order in which they run."""
    before, after = block_networks(graph), block_networks(edited.graph)
    old = [block for block in graph.blocks if block.name in before]
    new = {block.name: block for block in edited.graph.blocks if block.name in after}
    running = {path for op in edited.graph.ops for path in around(op.module)}
    listed: list[Unit] = []
    for i, block in enumerate(old):
        if block.name not in new:
            continue
        whole = [block]
        for other in old[i + 1 :]:
            if other.name in running or other.input != whole[-1].output:
                break
            whole.append(other)
        mine = new[block.name]
        changed = len(whole) > 1 or _signature(graph, block) != _signature(edited.graph, mine)
        output = edited.counterparts.get(mine.output)
        if output is not None and output.tensor == block.output:
            goal = whole[-1].output
            listed.append(Unit(block.name, mine.input, mine.output, tuple(b.name for b in whole), goal, changed))
    return tuple(listed)


def matched_points(graph: Graph, edited: Edited) -> list[tuple[str, str, Tensor | None]]:
    """Paths of modules that make counterparts, in the edited network and in the one before, and the basis."""
    return [(unit.path, unit.whole[-1], edited.counterparts[unit.makes].basis) for unit in units(graph, edited)]


def _changed_units(graph: Graph, edited: Edited) -> tuple[Unit, ...]:
    """The units up to the last one that changed."""
    listed = units(graph, edited)
    last = max((i for i, unit in enumerate(listed) if unit.changed), default=-1)
    return listed[: last + 1]


def _signature(graph: Graph, block: Block) -> tuple[object, ...]:
    """What a block is, whatever the size of the maps it reads."""
    ops = [graph.by_name[name] for name in block.ops]
    return tuple((op.kind, op.module, op.attrs, tuple(p.shape for p in op.params)) for op in ops)


@dataclass
class _Walk:
    """Both networks on the same images, block after block: what the next block reads is what the last one made."""

    model: nn.Module
    edited: Edited
    images: tuple[Tensor, Tensor]  # as the network before the edits reads them, and as the edited one does
    reads: tuple[Tensor, Tensor] | None = None
    tensor: str = ""  # of the edited graph, that `reads` are of

    def enter(self, unit: Unit) -> tuple[Tensor, Tensor]:
        """X and x~ of all images."""
        if self.reads is None or self.tensor != unit.reads:
            point = {"x": (unit.path, "input")}
            pairs = zip((self.model, self.edited.module), self.images, strict=True)
            x, edited = (
                torch.cat([capture(module, part, point)["x"] for part in images.split(_CHUNK)])
                for module, images in pairs
            )
            self.reads = x, edited
        return self.reads

    def goal(self, unit: Unit) -> tuple[Tensor, Tensor]:
        """Y of all images, and what is asked of the edited block: B y, at the size of the maps it makes."""
        x, edited = self.enter(unit)
        y = x
        for path in unit.whole:
            y = _run(self.model.get_submodule(path), y)
        shape = _run(self.edited.module.get_submodule(unit.path), edited[:1]).shape
        return y, _sized(_turned(y, self.edited.counterparts[unit.makes].basis), shape[2:])

    def leave(self, unit: Unit, y: Tensor) -> None:
        _, edited = self.enter(unit)
        self.reads = y, _run(self.edited.module.get_submodule(unit.path), edited)
        self.tensor = unit.makes


@torch.no_grad()
def refit_units(
    model: nn.Module, graph: Graph, edited: Edited, images: tuple[Tensor, Tensor], progress: Progress | None = None
) -> None:
    """Refit the narrowed convolutions of `edited` by least squares, in place, towards `model` (of `graph`).

    images: the same ones [N, C, H, W] as `model` reads them and as the edited network does.
    """
    walk, listed = _Walk(model, edited, images), _changed_units(graph, edited)
    with evaluating(model, edited.module):
        for i, unit in enumerate(listed, 1):
            _refit_unit(walk, graph, unit)
            if progress is not None:
                progress(unit.path, i, len(listed))
        for conv, norm in _loose(edited, listed):
            _refit_loose(model, graph, edited, conv, norm, images)


@torch.no_grad()
def distil_units(
    model: nn.Module,
    graph: Graph,
    edited: Edited,
    images: tuple[Tensor, Tensor],
    steps: int,
    progress: Progress | None = None,
    start: int = 0,
    done: Callable[[int], None] | None = None,
) -> None:
    """Distil the changed blocks of `edited`, in place, towards those of `model`; arguments as for `refit_units`.

    steps: a block. start: this many of the units are distilled already. done: called with their number after each.
    """
    walk, listed = _Walk(model, edited, images), _changed_units(graph, edited)
    with evaluating(model, edited.module):
        for i, unit in enumerate(listed):
            y, goal = walk.goal(unit)
            if unit.changed and i >= start:
                module = edited.module.get_submodule(unit.path)
                imitate(module, walk.enter(unit)[1], goal, steps)
            walk.leave(unit, y)
            if progress is not None:
                progress(unit.path, i + 1, len(listed))
            if done is not None and i >= start:
                done(i + 1)


# ---- least squares -----------------------------------------------------------------------------------------------


def _refit_unit(walk: _Walk, graph: Graph, unit: Unit) -> None:
    y, goal = walk.goal(unit)
    x, reads = walk.enter(unit)
    edited = walk.edited
    if unit.changed:
        for conv, norm in _refittable(edited, unit):
            last = _ends(edited.graph, norm, unit)
            if last:
                block = edited.module.get_submodule(unit.path)
                _fit(block, conv, norm, unit.path, reads, lambda i, part, z: goal[i : i + len(part)] - z, len(reads))
            elif len(unit.whole) == 1 and reads.shape[2:] == x.shape[2:]:
                counterpart = edited.counterparts[norm.name]
                old = _maker(graph, counterpart.tensor)
                if old is not None:
                    target = _Inner(walk.model, unit.path, old, counterpart.basis, x)
                    block = edited.module.get_submodule(unit.path)
                    _fit(block, conv, norm, unit.path, reads, target, len(reads))
    walk.leave(unit, y)


@dataclass(frozen=True)
class _Inner:
    """B u: what a convolution and its norm inside a block of the network before the edits make, turned."""

    model: nn.Module
    block: str
    layers: tuple[Op, Op]
    basis: Tensor | None
    reads: Tensor

    def __call__(self, start: int, part: Tensor, _: Tensor) -> Tensor:
        conv, norm = self.layers
        alone = BlockModule(self.block, self.model.get_submodule(self.block))
        made = capture(alone, self.reads[start : start + len(part)], {"u": (conv.module, "output")})["u"]
        gain, shift = affine(self.model.get_submodule(norm.module))
        return _turned(made * gain[:, None, None] + shift[:, None, None], self.basis)


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


def _fit(
    block: nn.Module,
    conv: Op,
    norm: Op,
    path: str,
    reads: Tensor,
    target: Callable[[int, Tensor, Tensor], Tensor],
    total: int,
) -> None:
    """Regress what the convolution and its norm should make on what the convolution reads, and write it into both.

    target: number of the first image of a part, the part, what the block adds to what the norm makes -> [n, c, h, w].
    """
    alone = BlockModule(path, block)
    layer: Any = alone.get_submodule(conv.module)
    behind: Any = alone.get_submodule(norm.module)
    fitted = Regression()
    generator = torch.Generator().manual_seed(0)
    parts = reads.split(_CHUNK)
    gain, shift = affine(behind)
    for i, part in enumerate(parts):
        points = {"x": (conv.module, "input"), "u": (conv.module, "output"), "y": (path, "output")}
        maps = capture(alone, part, points)
        rest = maps["y"] - (maps["u"] * gain[:, None, None] + shift[:, None, None]) if _same(maps) else maps["u"]
        goal = target(i * _CHUNK, part, rest)
        _add(fitted, layer, maps["x"], goal, total, is_held_out(i, parts), generator)
    fill(layer, behind, fitted)


def _same(maps: Mapping[str, Tensor]) -> bool:
    return maps["y"].shape == maps["u"].shape


def _add(
    fitted: Regression, layer: Any, x: Tensor, goal: Tensor, total: int, held: bool, generator: torch.Generator
) -> None:
    columns = patches(x, layer, layer.kernel_size)
    rows = sample(columns, len(x), total, generator)
    fitted.add(columns[rows], as_rows(goal)[rows], held)


# ---- convolutions outside blocks ---------------------------------------------------------------------------------


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
    gain, shift = affine(model.get_submodule(old[1].module))
    fitted = Regression()
    generator = torch.Generator().manual_seed(0)
    parts = images[1].split(_CHUNK)
    for i, (before, part) in enumerate(zip(images[0].split(_CHUNK), parts, strict=True)):
        x = capture(edited.module, part, {"x": (conv.module, "input")})["x"]
        made = capture(model, before, {"u": (old[0].module, "output")})["u"]
        goal = _turned(made * gain[:, None, None] + shift[:, None, None], counterpart.basis)
        if goal.shape[2:] != _run(layer, x[:1]).shape[2:]:
            return
        _add(fitted, layer, x, goal, len(images[1]), is_held_out(i, parts), generator)
    fill(layer, edited.module.get_submodule(norm.module), fitted)


def _run(module: nn.Module, x: Tensor) -> Tensor:
    """What the module makes of copies of these maps, a few at a time."""
    return torch.cat([module(part.clone()) for part in x.split(_CHUNK)])


def _turned(y: Tensor, basis: Tensor | None) -> Tensor:
    return y if basis is None else torch.einsum("kc,nchw->nkhw", basis.to(y), y)


def _sized(y: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(y.shape[2:]) == tuple(size):
        return y
    return F.interpolate(y, size=tuple(size), mode="bilinear", antialias=True)
