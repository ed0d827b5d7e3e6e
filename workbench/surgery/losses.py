"""What candidate edits would do to the function, a few hundredths of a second each.

loss = ||y' - y|| / ||y||, the relative error of what the edited block makes of the original's input. Edits of several
blocks are taken to add up as independent errors do: their losses' squares sum. Where an edit reaches beyond one block
the loss is that of the network's output.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import WorkbenchError
from ..graph import Block, Graph, Op, Plan
from ..graph.trace import evaluating
from .build import carry_out, mirrored
from .layers import capture

__all__ = ["Losses", "textured"]


def textured(count: int, size: tuple[int, int, int]) -> Tensor:
    """Images [count, channels, height, width] of seeded noise at many scales, as rough as photographs are.

    Amplitudes fall with frequency as 1/f (Field 1987), each image of zero mean and unit variance. A stand-in where
    nobody gave real ones.
    """
    generator = torch.Generator().manual_seed(0)
    side = max(4, min(size[1:]))
    scales = [n for n in (2, 4, 8, 16, 32, 64, 128, 256) if n <= side]
    total = torch.zeros(count, *size)
    for n in scales:
        noise = torch.randn(count, size[0], n, n, generator=generator)
        total += F.interpolate(noise, size=size[1:], mode="bilinear", align_corners=False) / n**0.5
    total -= total.mean((1, 2, 3), keepdim=True)
    return total / total.std((1, 2, 3), keepdim=True)


@dataclass(frozen=True)
class Losses:
    """Losses of edits of one model on given images [N, C, H, W]; what was asked once is remembered.

    A block that is a module of its own is edited and run by itself, on what the original's block reads.
    """

    model: nn.Module
    graph: Graph
    images: Tensor
    _known: dict[tuple[str, tuple[Plan, ...]], float] = field(default_factory=dict)
    _begun: dict[tuple[str, tuple[Plan, ...]], tuple[nn.Module, Graph]] = field(default_factory=dict)

    def of(self, plans: Sequence[Plan], block: str = "") -> float:
        """The loss of plans that change one block, or, of none, the whole network.

        inf where the edited module does not run. Replaced layers are fitted on the images.
        """
        key = (block, tuple(plans))
        if key not in self._known:
            self._known[key] = self._measured(plans, block)
        return self._known[key]

    @torch.no_grad()
    def _measured(self, plans: Sequence[Plan], block: str) -> float:
        part = self._parts.get(block)
        x, y = (self.images, self._whole) if part is None else (part[1][::2], part[2])
        try:
            edited, _ = self._edited(plans, block)
            with evaluating(edited):
                made = _first(edited(x.clone()))
        except (WorkbenchError, RuntimeError, ValueError, TypeError):  # where code and widths disagree
            made = None
        if made is None or made.shape != y.shape:
            return self.of(plans) if block else float("inf")
        return float((made.double() - y.double()).norm() / y.double().norm().clamp_min(1e-30))

    def _edited(self, plans: Sequence[Plan], block: str) -> tuple[nn.Module, Graph]:
        """The module and graph after the plans; of plans that begin alike the beginning is carried out once a block."""
        part = self._parts.get(block)
        if not plans:
            module = copy.deepcopy(self.model if part is None else self.model.get_submodule(block))
            return (module, self.graph) if part is None else (_Shell(block, module), part[0])
        key = (block, tuple(plans))
        if key not in self._begun:
            module, graph = self._edited(plans[:-1], block)
            module = copy.deepcopy(module) if len(plans) > 1 else module
            after = carry_out(module, graph, plans[-1:], mirrored(self.images) if part is None else part[1])
            if part is None:
                return module, after
            if any(other != block for other, _ in self._begun):
                self._begun.clear()
            self._begun[key] = module, after
        return self._begun[key]

    @cached_property
    def _parts(self) -> dict[str, tuple[Graph, Tensor, Tensor]]:
        """Blocks that are one module reading one map: the block as a network, what it reads and what it makes.

        What it reads of the images and their mirror images, every second one of those; what it makes of the images.
        """
        blocks = {block.name: block for block in self.graph.blocks if _is_module(self.graph, block)}
        wanted = {f"{name} out": (name, "output") for name in blocks} | {name: (name, "input") for name in blocks}
        seen = capture(self.model, mirrored(self.images), wanted)
        return {
            name: (_alone(self.graph, block), seen[name], seen[f"{name} out"][::2])
            for name, block in blocks.items()
            if name in seen and f"{name} out" in seen
        }

    @cached_property
    def _whole(self) -> Tensor:
        with torch.no_grad(), evaluating(self.model):
            return _first(self.model(self.images))


class _Shell(nn.Module):
    """A module at its path in a tree that holds nothing else."""

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
        made: Tensor = self.get_submodule(self.path)(x)
        return made


def _alone(graph: Graph, block: Block) -> Graph:
    """The block as a network of its own."""
    source = Op(block.input, "input", (), graph.by_name[block.input].shape)
    inside = tuple(pair for pair in graph.modules if pair[0] == block.name or pair[0].startswith(f"{block.name}."))
    return Graph((source, *(graph.by_name[name] for name in block.ops)), (block.output,), inside)


def _first(made: Tensor | Sequence[Tensor]) -> Tensor:
    return made if isinstance(made, Tensor) else made[0]


def _is_module(graph: Graph, block: Block) -> bool:
    own = {op.name for op in graph.ops if op.module == block.name or op.module.startswith(f"{block.name}.")}
    read = {i for name in block.ops for i in graph.by_name[name].inputs if i not in own}
    return block.name in graph.classes and own == set(block.ops) and read == {block.input}
