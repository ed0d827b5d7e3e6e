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
from ..graph import Graph, Plan
from ..graph.trace import evaluating
from ..state import WidthRules
from .block_network import BlockNetwork, block_activations, block_networks
from .build import mirrored
from .carry_out import carry_out

__all__ = ["Losses", "textured"]


def textured(count: int, size: tuple[int, int, int]) -> Tensor:
    """Images [count, channels, height, width] of seeded noise at many scales, as rough as photographs are.

    Amplitudes fall with frequency as 1/f (Field 1987), each image of zero mean and unit variance. For use where
    there are no real images.
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
class _Subject:
    """What edits are tried on: a block alone, or the whole network.

    reads: what it reads of the images and their mirror images, each image followed by its mirror image; makes: what
    it makes of the images. block: None for the whole network.
    """

    graph: Graph
    reads: Tensor
    makes: Tensor
    block: BlockNetwork | None = None


@dataclass(frozen=True)
class Losses:
    """Losses of edits of one model on images [N, C, H, W]; each loss is computed once. width_rules: as for `build`.

    A block that is a module of its own is edited and run alone, on what the original's block reads.
    """

    model: nn.Module
    graph: Graph
    images: Tensor
    width_rules: WidthRules = field(default_factory=dict)
    _losses: dict[tuple[str, tuple[Plan, ...]], float] = field(default_factory=dict)
    _edited: dict[tuple[str, tuple[Plan, ...]], tuple[nn.Module, Graph]] = field(default_factory=dict)

    def of(self, plans: Sequence[Plan], block: str = "") -> float:
        """The loss of plans that change one block; with block "" that of the network's output.

        inf where the edited module does not run. Replaced layers are fitted on the images.
        """
        key = (block, tuple(plans))
        if key not in self._losses:
            self._losses[key] = self._loss(plans, block)
        return self._losses[key]

    @torch.no_grad()
    def _loss(self, plans: Sequence[Plan], block: str) -> float:
        subject = self._blocks.get(block, self._network)
        y = subject.makes
        try:
            edited, _ = self._after(plans, block)
            with evaluating(edited):
                z = _first(edited(subject.reads[::2].clone()))
        except (WorkbenchError, RuntimeError, ValueError, TypeError):  # where code and widths disagree
            z = None
        if z is None or z.shape != y.shape:
            return self.of(plans) if block else float("inf")
        return float((z.double() - y.double()).norm() / y.double().norm().clamp_min(1e-30))

    def _after(self, plans: Sequence[Plan], block: str) -> tuple[nn.Module, Graph]:
        """Module and graph after the plans; where plans on one block begin alike, the beginning is carried out once."""
        subject = self._blocks.get(block, self._network)
        if not plans:
            module = copy.deepcopy(self.model) if subject.block is None else subject.block.module(self.model)
            return module, subject.graph
        key = (block, tuple(plans))
        if key not in self._edited:
            module, graph = self._after(plans[:-1], block)
            module = copy.deepcopy(module) if len(plans) > 1 else module
            after = carry_out(module, graph, plans[-1:], subject.reads, width_rules=self.width_rules)
            if subject.block is None:
                return module, after
            if any(other != block for other, _ in self._edited):
                self._edited.clear()
            self._edited[key] = module, after
        return self._edited[key]

    @cached_property
    def _blocks(self) -> dict[str, _Subject]:
        networks = block_networks(self.graph)
        maps = block_activations(self.model, networks, mirrored(self.images, self.graph))
        return {
            name: _Subject(networks[name].graph, block.reads, block.makes[::2], networks[name])
            for name, block in maps.items()
        }

    @cached_property
    def _network(self) -> _Subject:
        with torch.no_grad(), evaluating(self.model):
            return _Subject(self.graph, mirrored(self.images, self.graph), _first(self.model(self.images)))


def _first(output: Tensor | Sequence[Tensor]) -> Tensor:
    """The first output of a network that has several."""
    return output if isinstance(output, Tensor) else output[0]
