"""The block library: every block of a network edited every way, fitted and distilled once, kept by content.

    x, y    [N, C, H, W], [N, D, h, w]   what a block of the network reads and makes on training pictures, no labels
    B       the edited block, its norms with fixed statistics
    loss    ||B(x) - y|| / ||y||, on every fourth pair of pictures, which nothing is fitted to

    fitted      B by least squares: replaced layers, and the readers of narrowed widths (`reconstruction.py`)
    distilled   then all parameters of B by gradient descent on ||B(x) - y||^2 (`distil.py`)

A choice of several steps is fitted from the distilled block of the steps before its last one. As in DNA (Li et al.
2020), DONNA (Moons et al. 2021), LANA (Molchanov et al. 2022) and Puzzle (Bercovich et al. 2024), a block learns from
the original's block alone, so one library serves every combination, and every target.

An entry is one file under WORKBENCH_HOME, named by the network's weights, the pictures, the steps, the block and the
plans; it is written whole once it is done. Where filling ends, at whatever point, the next one goes on.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import FileFormatError, InputError, WorkbenchError
from ..files import home, write_atomic
from ..graph import Graph
from ..graph.trace import evaluating
from ..progress import Progress
from ..state import check_weights, tensors_of
from .activations import capture
from .block_network import BlockActivations, BlockModule, BlockNetwork, block_networks
from .carry_out import carry_out
from .compress import recompress
from .counterparts import carry_out_reconstructing
from .distil import held_out, imitate
from .fast_layers import fast_layers
from .local_choices import BlockChoice, LeftOut
from .refit_units import refit_units

__all__ = ["BlockEntry", "BlockLibrary", "fill"]

_FORMAT = 1  # entries of another one are not read
_EXACT = 1e-3  # a loss under this is rounding: nothing is fitted, and the edit alone makes the weights
_CHUNK = 32  # images at a time
_FEWEST = 8  # images


@dataclass(frozen=True, eq=False)
class BlockEntry:
    """An edited block.

    weights: its tensors by their names in the network; none where the edit alone makes them. loss_fitted,
    loss_distilled: before and after distillation. seconds: of wall clock that it took.
    """

    choice: BlockChoice
    weights: Mapping[str, Tensor]
    loss_fitted: float
    loss_distilled: float
    seconds: float


@dataclass(frozen=True, eq=False)
class BlockLibrary:
    """What entries are of. Raises InputError for fewer than eight images.

    model: the network, never changed. graph: its trace. images: training pictures [N, C, H, W], as it reads them.
    steps: of distillation an entry, at most.
    """

    model: nn.Module
    graph: Graph
    images: Tensor
    steps: int = 200

    def __post_init__(self) -> None:
        if len(self.images) < _FEWEST:
            raise InputError(f"a block library of {len(self.images)} images; at least {_FEWEST} are needed")
        if self.steps < 0:
            raise InputError(f"steps is {self.steps}; it must be a whole number of at least 0, such as 200")

    @cached_property
    def digest(self) -> str:
        """16 hex digits of network, weights, images and steps."""
        pixels = self.images.detach().cpu().contiguous().numpy().tobytes()
        parts = (_FORMAT, self.graph.digest, self.steps, tuple(self.images.shape), sha256(pixels).hexdigest())
        return sha256(f"{parts} {_digest(tensors_of(self.model))}".encode()).hexdigest()[:16]

    @cached_property
    def networks(self) -> Mapping[str, BlockNetwork]:
        """Path of a block -> the block as a network."""
        return block_networks(self.graph)

    def file(self, choice: BlockChoice) -> Path:
        """Where the entry of a choice is kept, whatever its label."""
        digest = sha256(repr((choice.block, choice.plans)).encode()).hexdigest()[:16]
        return home() / "library" / self.digest / f"{digest}.safetensors"

    def entry(self, choice: BlockChoice) -> BlockEntry | None:
        """The entry that is kept; None where there is none. Raises FileFormatError where its file is damaged."""
        from safetensors import SafetensorError, safe_open

        file = self.file(choice)
        try:
            with safe_open(file, "pt") as opened:
                weights = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  it is no mapping
                header = json.loads(opened.metadata()["entry"])
            losses = float(header["loss_fitted"]), float(header["loss_distilled"])
            recorded, seconds = str(header["sha256"]), float(header["seconds"])
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, ValueError, TypeError):
            raise FileFormatError(f"{file} is no whole entry of a block library; delete it and fill again") from None
        digest = _digest(weights, *losses)
        if digest != recorded:
            raise FileFormatError(
                f"{file} has weights of digest {digest[:8]} where {recorded[:8]} is recorded; delete it and fill again"
            )
        return BlockEntry(choice, weights, *losses, seconds)

    def keep(self, entry: BlockEntry) -> None:
        """Write an entry's file, whole or not at all."""
        from safetensors.torch import save

        header = {
            "block": entry.choice.block, "plans": repr(entry.choice.plans), "loss_fitted": entry.loss_fitted,
            "loss_distilled": entry.loss_distilled, "seconds": entry.seconds,
            "sha256": _digest(entry.weights, entry.loss_fitted, entry.loss_distilled),
        }  # fmt: skip
        file = self.file(entry.choice)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, save(_stored(entry.weights), {"entry": json.dumps(header)}))

    def block(self, entry: BlockEntry) -> BlockModule:
        """The edited block alone, in evaluation mode; raises FileFormatError where the weights are another block's."""
        return self._edited(entry)[0]

    def _edited(self, entry: BlockEntry) -> tuple[BlockModule, Graph]:
        choice, network = entry.choice, self.networks[entry.choice.block]
        module = network.module(self.model).eval()
        graph = carry_out(module, network.graph, choice.plans, None)
        if entry.weights:
            check_weights(module, entry.weights, str(self.file(choice)), f"{choice.label}, {choice.block}")
            module.load_state_dict(dict(entry.weights))
        return module, graph

    def activations(self, block: str) -> BlockActivations:
        """What the block reads and makes on the images, [N, ...] each; raises InputError where it does not run."""
        like = next(self.model.parameters(), self.images)
        points = {"x": (block, "input"), "y": (block, "output")}
        maps = [capture(self.model, part.to(like), points) for part in self.images.split(_CHUNK)]
        if any(len(part) < 2 for part in maps):
            raise InputError(f"{block} does not run on the images")
        reads, makes = (torch.cat([part[name] for part in maps]) for name in ("x", "y"))
        channels_last = torch.channels_last
        return BlockActivations(reads.contiguous(memory_format=channels_last), makes)


def fill(
    library: BlockLibrary, choices: Sequence[BlockChoice], progress: Progress | None = None
) -> Iterator[BlockEntry | LeftOut]:
    """The entry of every choice, in their order; those that are not kept yet are made and kept, one a time.

    In an order of use, what is needed first can be used while the rest is made; choices of one block in a row share
    what it reads and makes. A choice that cannot be carried out is left out, and the reason told. progress is called
    with the block and the label, the choices done and their number. The same library and choice make the same bits on
    the same machine.
    """
    activations: dict[str, BlockActivations] = {}
    for done, choice in enumerate(choices):
        if progress is not None:
            progress(f"{choice.block} {choice.label}", done, len(choices))
        try:
            entry: BlockEntry | None = None
            for beginning in choice.beginnings:
                before, entry = entry, library.entry(beginning)
                if entry is None:
                    if choice.block not in activations:
                        activations = {choice.block: library.activations(choice.block)}
                    entry = _made(library, beginning, before, activations[choice.block])
                    library.keep(entry)
        except FileFormatError:
            raise
        except WorkbenchError as error:
            yield LeftOut(choice.block, choice.label, str(error))
            continue
        assert entry is not None
        yield entry
    if progress is not None:
        progress("", len(choices), len(choices))


@torch.no_grad()
def _made(library: BlockLibrary, choice: BlockChoice, before: BlockEntry | None, maps: BlockActivations) -> BlockEntry:
    """The edited block, fitted and distilled, from the block after all steps but the last one."""
    start = time.monotonic()
    held = held_out(len(maps.reads))
    judged = BlockActivations(maps.reads[held], maps.makes[held])
    exact = library.block(BlockEntry(choice, {}, 0, 0, 0))
    if before is None or not before.weights:
        loss = _loss(exact, judged)
        if loss < _EXACT or not any(True for _ in exact.parameters()):
            return BlockEntry(choice, {}, loss, loss, time.monotonic() - start)
    unedited = BlockEntry(BlockChoice(choice.block, choice.label, ()), {}, 0, 0, 0)
    alone, graph = library._edited(unedited if before is None else before)
    reads = maps.reads[~held]
    edited = carry_out_reconstructing(alone, graph, choice.plans[-1:], reads)
    refit_units(alone, graph, edited, (reads, reads))
    module = edited.module
    fitted = _loss(module, judged)
    if library.steps:
        with fast_layers(module):
            imitate(module, maps.reads, maps.makes, library.steps)
    recompress(module, edited.graph)
    weights = {key: value.detach().clone() for key, value in tensors_of(module).items()}
    return BlockEntry(choice, weights, fitted, _loss(module, judged), time.monotonic() - start)


def _loss(module: nn.Module, maps: BlockActivations) -> float:
    """Relative error of what the module makes of these maps."""
    squares = size = 0.0
    with evaluating(module):
        for x, y in zip(maps.reads.split(_CHUNK), maps.makes.split(_CHUNK), strict=True):
            z = module(x.clone())
            squares += float((z.double() - y.double()).square().sum())
            size += float(y.double().square().sum())
    return float((squares / max(size, 1e-30)) ** 0.5)


def _stored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous().clone() for key, value in weights.items()}


def _digest(weights: Mapping[str, Tensor], *numbers: float) -> str:
    """64 hex digits of tensors, by name, and numbers."""
    digest = sha256(repr(numbers).encode())
    for key, value in sorted(weights.items()):
        stored = value.detach().cpu().contiguous()
        digest.update(f"{key} {stored.dtype} {tuple(stored.shape)} ".encode())
        digest.update(stored.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
