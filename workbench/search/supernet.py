"""The supernet: one network in which every block holds its choices, so that all candidates share its weights.

    slot      a block with its branches: the block as it is, then the library's entry of each choice
    path      the number of one branch a slot; the unedited path takes the first everywhere

Branches stand beside each other; what candidates share is all that runs before and behind them. The choices are local
ones. Narrowed stages reach over several blocks: as masks of ranked channels they are not here yet.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..errors import InputError
from ..graph import Graph, as_built, rewrite
from ..surgery.library import BlockLibrary
from ..surgery.local_choices import BlockChoice
from ..surgery.modules import replace_module
from ..surgery.norm_statistics import estimate_statistics
from ..training import Score, Task, score
from ..training.scoring import training_pictures

__all__ = ["Branches", "Path", "Slot", "Supernet", "candidate", "rank", "supernet"]

Path = tuple[int, ...]

_PICTURES = 256  # that the statistics of a candidate's norms are estimated on


class Branches(nn.Module):
    """Modules for one block, of which one runs.

    >>> block = Branches([nn.Identity(), nn.Flatten()])
    >>> block.branch = 1
    >>> block(Tensor(1, 3, 2, 2)).shape
    torch.Size([1, 12])
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.branch = 0

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.branches[self.branch](x)
        return output


@dataclass(frozen=True)
class Slot:
    """block: its path. choices: of its branches, the first of which changes nothing. macs: multiply-accumulates of each
    branch for one image.
    """

    block: str
    choices: tuple[BlockChoice, ...]
    macs: tuple[int, ...]


class Supernet(nn.Module):
    """A network whose blocks are `Branches`, one for each slot; it runs the path that was taken last.

    size: (channels, height, width) that it reads.
    """

    def __init__(self, network: nn.Module, slots: Sequence[Slot], size: tuple[int, int, int]) -> None:
        super().__init__()
        self.network = network
        self.slots = tuple(slots)
        self.size = size
        reader = network if getattr(network, "pretrained_cfg", None) else getattr(network, "backbone", network)
        self.pretrained_cfg: Any = getattr(reader, "pretrained_cfg", None)  # says how pictures are prepared

    def forward(self, x: Tensor) -> Any:
        return self.network(x)

    @property
    def branches(self) -> tuple[Branches, ...]:
        """Of each slot."""
        modules = (self.network.get_submodule(slot.block) for slot in self.slots)
        return tuple(module for module in modules if isinstance(module, Branches))

    @property
    def unedited(self) -> Path:
        """The path of the network as it was."""
        return (0,) * len(self.slots)

    @property
    def smallest(self) -> Path:
        """The path of the fewest multiply-accumulates."""
        return tuple(slot.macs.index(min(slot.macs)) for slot in self.slots)

    @property
    def path(self) -> Path:
        """The path that runs."""
        return tuple(block.branch for block in self.branches)

    @contextmanager
    def taking(self, path: Sequence[int]) -> Iterator[None]:
        """Within it this path runs; raises InputError where it does not fit the slots."""
        self._check(path)
        before = self.path
        self._take(path)
        try:
            yield
        finally:
            self._take(before)

    def path_of(self, choices: Sequence[BlockChoice]) -> Path:
        """The path of these choices, at most one a block; raises InputError where a slot does not hold one."""
        path = dict.fromkeys((slot.block for slot in self.slots), 0)
        for choice in choices:
            slot = next((slot for slot in self.slots if slot.block == choice.block), None)
            plans = [] if slot is None else [branch.plans for branch in slot.choices]
            if choice.plans not in plans:
                raise InputError(f"the supernet has no {choice.label!r} of {choice.block}; make it with that choice")
            path[choice.block] = plans.index(choice.plans)
        return tuple(path.values())

    def _take(self, path: Sequence[int]) -> None:
        for block, number in zip(self.branches, path, strict=True):
            block.branch = number

    def _check(self, path: Sequence[int]) -> None:
        if len(path) != len(self.slots):
            raise InputError(f"a path of {len(path)} numbers in a supernet of {len(self.slots)} slots")
        for number, slot in zip(path, self.slots, strict=True):
            if not 0 <= number < len(slot.choices):
                raise InputError(f"branch {number} of {slot.block}, which has 0 to {len(slot.choices) - 1}")


def supernet(library: BlockLibrary, choices: Sequence[BlockChoice]) -> Supernet:
    """The library's network with the distilled block of every choice beside the original's.

    choices: in any order, several a block. Blocks of one choice or more become slots, in the order in which they run.
    Raises InputError where there is no choice, where the library has no entry of one, and where weights are compressed:
    training would move them off their rule.
    """
    if not choices:
        raise InputError("a supernet of no choices; name some of `local_choices`, and fill the library with them")
    network = copy.deepcopy(library.model).eval()
    slots = []
    for block in library.graph.blocks:
        mine = list(dict.fromkeys(choice for choice in choices if choice.block == block.name))
        if mine:
            graphs = [library.networks[block.name].graph, *(_edited(library, choice) for choice in mine)]
            branches = [network.get_submodule(block.name), *(_entry(library, choice) for choice in mine)]
            replace_module(network, block.name, Branches(branches))
            as_it_is = BlockChoice(block.name, "as it is", ())
            slots.append(Slot(block.name, (as_it_is, *mine), tuple(graph.macs for graph in graphs)))
    shape = library.graph.inputs[0].shape
    return Supernet(network, slots, (shape[1], shape[2], shape[3])).eval()


def _edited(library: BlockLibrary, choice: BlockChoice) -> Graph:
    """The graph of the block after the choice."""
    graph = library.networks[choice.block].graph
    for plan in choice.plans:
        graph = rewrite(graph, plan)
    if graph != as_built(graph):
        raise InputError(f"{choice.label!r} of {choice.block} compresses weights, which a supernet would move")
    return graph


def _entry(library: BlockLibrary, choice: BlockChoice) -> nn.Module:
    """The block of an entry."""
    entry = library.entry(choice)
    if entry is None:
        raise InputError(f"the block library has no {choice.label!r} of {choice.block}; fill it with that first")
    return library.block(entry).get_submodule(choice.block)


def candidate(net: Supernet, path: Sequence[int]) -> nn.Module:
    """The network of a path by itself, of its own class, with copies of the supernet's weights."""
    net._check(path)
    chosen = {id(block): copy.deepcopy(block.branches[n]) for block, n in zip(net.branches, path, strict=True)}
    return copy.deepcopy(net.network, chosen)  # a copy finds its branches copied already, as the ones that were chosen


def rank(net: Supernet, candidates: Sequence[Sequence[int]], task: Task) -> tuple[Score, ...]:
    """The score of each path on the task's pictures for validation, in the order of the candidates.

    Their norms get the statistics of 256 pictures the task trains on, path by path (Yu and Huang 2019, section 3.3):
    those kept while paths were drawn are of all of them together. `Score.loss`, the cross-entropy, tells candidates
    apart more finely than the accuracy. The supernet itself is not touched.
    """
    images = training_pictures(task, net.size, net, _PICTURES)
    scores = []
    for path in candidates:
        network = candidate(net, path)
        estimate_statistics(network, images)
        scores.append(score(network, task, net.size))
    return tuple(scores)
