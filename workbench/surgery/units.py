"""Blocks of an edited network beside those of the network before the edits, and what both read on the same images.

    x, y     what a block reads and makes in the network before the edits
    x~       what reaches it in the edited network
    B        the basis of the counterpart of a tensor (`counterparts.py`)

A block is asked to make B y of x~, in the order in which blocks run, so that each also mends what those before it got
wrong. A block behind which blocks were dropped is to do what they did, too: y is what the last of them made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Block, Graph
from ..graph.paths import around
from .activations import capture
from .block_network import block_networks
from .counterparts import Edited

__all__ = ["CHUNK", "Unit", "Walk", "changed_units", "matched_points", "run", "turned", "units"]

CHUNK = 32  # images at a time


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


def changed_units(graph: Graph, edited: Edited) -> tuple[Unit, ...]:
    """The units up to the last one that changed."""
    listed = units(graph, edited)
    last = max((i for i, unit in enumerate(listed) if unit.changed), default=-1)
    return listed[: last + 1]


def _signature(graph: Graph, block: Block) -> tuple[object, ...]:
    """What a block is, whatever the size of the maps it reads."""
    ops = [graph.by_name[name] for name in block.ops]
    return tuple((op.kind, op.module, op.attrs, tuple(p.shape for p in op.params)) for op in ops)


@dataclass
class Walk:
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
                torch.cat([capture(module, part, point)["x"] for part in images.split(CHUNK)])
                for module, images in pairs
            )
            self.reads = x, edited
        return self.reads

    def goal(self, unit: Unit) -> tuple[Tensor, Tensor]:
        """Y of all images, and what is asked of the edited block: B y, at the size of the maps it makes."""
        x, edited = self.enter(unit)
        y = x
        for path in unit.whole:
            y = run(self.model.get_submodule(path), y)
        shape = run(self.edited.module.get_submodule(unit.path), edited[:1]).shape
        return y, _sized(turned(y, self.edited.counterparts[unit.makes].basis), shape[2:])

    def leave(self, unit: Unit, y: Tensor) -> None:
        """Go on behind the block, whose counterpart made y."""
        _, edited = self.enter(unit)
        self.reads = y, run(self.edited.module.get_submodule(unit.path), edited)
        self.tensor = unit.makes


def run(module: nn.Module, x: Tensor) -> Tensor:
    """What the module makes of copies of these maps, a few at a time."""
    return torch.cat([module(part.clone()) for part in x.split(CHUNK)])


def turned(y: Tensor, basis: Tensor | None) -> Tensor:
    """B y, [N, c, h, w]."""
    return y if basis is None else torch.einsum("kc,nchw->nkhw", basis.to(y), y)


def _sized(y: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(y.shape[2:]) == tuple(size):
        return y
    return F.interpolate(y, size=tuple(size), mode="bilinear", antialias=True)
