"""A block as a network of its own: edited, run and learned without the network around it.

A block can be one where it is a module of its own that reads one feature map. Operators, paths and parameters keep
the names they have in the whole network, so a plan for the block there is a plan for the block alone, and weights
learned for the block alone go back under their keys.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from ..graph import Block, Graph, Op
from ..graph.paths import is_inside
from .activations import capture

__all__ = ["BlockActivations", "BlockModule", "BlockNetwork", "block_activations", "block_networks"]


@dataclass(frozen=True)
class BlockNetwork:
    """The graph of a block alone.

    path: of the block's module. graph: its one input is what the block reads, under the name that has in the whole
    network; its output is the block's.
    """

    path: str
    graph: Graph

    def module(self, model: nn.Module) -> "BlockModule":
        """A copy of the block of `model`, the network the graph is of, at its path; the model itself is not touched."""
        return BlockModule(self.path, copy.deepcopy(model.get_submodule(self.path)))


class BlockModule(nn.Module):
    """A module at its path in a tree that holds nothing else.

    >>> alone = BlockModule("blocks.1.conv", nn.Conv2d(3, 8, 1))
    >>> [key for key, _ in alone.named_parameters()]
    ['blocks.1.conv.weight', 'blocks.1.conv.bias']
    """

    def __init__(self, path: str, module: nn.Module) -> None:
        super().__init__()
        self.path = path
        owner: nn.Module = self
        *parents, name = path.split(".")
        for parent in parents:
            owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """The map the block makes of the map it reads, both [N, C, H, W]."""
        output: Tensor = self.get_submodule(self.path)(x)
        return output


def block_networks(graph: Graph) -> dict[str, BlockNetwork]:
    """Name of a block -> the block as a network, for each that is a module of its own and reads one feature map."""
    return {block.name: BlockNetwork(block.name, _alone(graph, block)) for block in _separable(graph)}


@dataclass(frozen=True, eq=False)
class BlockActivations:
    """What a block reads and makes inside its network, [N, C, H, W] each."""

    reads: Tensor
    makes: Tensor


def block_activations(model: nn.Module, paths: Iterable[str], images: Tensor) -> dict[str, BlockActivations]:
    """Path of a block -> what it reads and makes on images [N, C, H, W], all in one pass of the network.

    A block that does not run on images is left out.
    """
    names = list(paths)
    points = {f"{path} output": (path, "output") for path in names} | {path: (path, "input") for path in names}
    maps = capture(model, images, points)
    return {
        path: BlockActivations(maps[path], maps[f"{path} output"])
        for path in names
        if path in maps and f"{path} output" in maps
    }


def _separable(graph: Graph) -> list[Block]:
    """The blocks that are a module of their own, hold all its operators, and read their input alone."""
    blocks = []
    for block in graph.blocks:
        inside = {op.name for op in graph.ops if is_inside(op.module, block.name)}
        reads = {i for name in block.ops for i in graph.by_name[name].inputs if i not in inside}
        if block.name in graph.classes and inside == set(block.ops) and reads == {block.input}:
            blocks.append(block)
    return blocks


def _alone(graph: Graph, block: Block) -> Graph:
    """The operators of the block behind an input operator in the place of what it reads."""
    source = Op(block.input, "input", (), graph.by_name[block.input].shape)
    modules = tuple(pair for pair in graph.modules if is_inside(pair[0], block.name))
    return Graph((source, *(graph.by_name[name] for name in block.ops)), (block.output,), modules)
