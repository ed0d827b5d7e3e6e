"""A supernet trained by drawn paths, each learning from the unedited one (the sandwich rule).

    p_0, p_1   the unedited path, and the one of the fewest multiply-accumulates
    p_2, p_3   paths drawn at random, every branch of a slot alike

    loss = mean of    loss(p_0's answers, labels)    and    distance(p_k's answers, p_0's answers), k = 1, 2, 3

where no gradient flows through what p_0 teaches: in-place distillation (Yu and Huang 2019, Universally slimmable
networks, section 3; Yu et al. 2020, BigNAS). All norms take the statistics of the batch; those they keep are of the
unedited path, and of each branch where it ran.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..progress import Progress
from ..training import Schedule, Task, fit, named
from ..training.derived import Derived
from .supernet import Path, Supernet

__all__ = ["train"]

_RANDOM = 2  # paths a step
_LOOP = 1  # part of the digest: other paths are another training


def train(net: Supernet, task: Task, schedule: Schedule | None = None, progress: Progress | None = None) -> Supernet:
    """The supernet after learning the task; the one given is not touched.

    schedule: None for the task's own at half its rate, as the weights are near already. An epoch costs four times that
    of one network, and memory for the maps of four. As `fit` the same call goes on where it was interrupted, from the
    last whole epoch, and ends with the same bits on a CPU; the paths follow from its seed. Raises what `fit` does.
    """
    if schedule is None:
        schedule = named({**task.schedule, "learning_rate": named(task.schedule).learning_rate / 2})
    slots = tuple((slot.block, len(slot.choices)) for slot in net.slots)
    rule = f"{_LOOP} {_RANDOM} {net.smallest} {slots}"
    trained = fit(_Drawn(net), _Sandwich(task, rule), net.size, schedule, None, progress, "the supernet")
    learned = copy.deepcopy(net)
    learned.load_state_dict({key.removeprefix("net."): value for key, value in trained.state.items()})
    return learned


class _Answers(NamedTuple):
    """outputs: of each path, the unedited one first."""

    outputs: tuple[Any, ...]

    def float(self) -> "_Answers":
        """The same in float32, as a tensor's method of this name."""
        return _Answers(tuple(output.float() for output in self.outputs))


class _Drawn(nn.Module):
    """The supernet that answers by several paths while it learns, and by the unedited one else."""

    def __init__(self, net: Supernet) -> None:
        super().__init__()
        self.net = net
        self.pretrained_cfg = net.pretrained_cfg

    def forward(self, x: Tensor) -> Any:
        if not self.training:
            with self.net.taking(self.net.unedited):
                return self.net(x)
        outputs: list[Any] = []
        for path in self._paths():
            norms = _shared_norms(self.net) if outputs else []
            with self.net.taking(path), _kept_statistics(norms):
                outputs.append(self.net(x))
        return _Answers(tuple(outputs))

    def _paths(self) -> Iterator[Path]:
        """The paths of a step; what is drawn follows from PyTorch's generator, which the training seeds each epoch."""
        yield self.net.unedited
        yield self.net.smallest
        for _ in range(_RANDOM):
            yield tuple(int(torch.randint(len(slot.choices), ())) for slot in self.net.slots)


def _shared_norms(net: Supernet) -> list[Any]:
    """The norms that the unedited path runs."""
    edited = {id(module) for block in net.branches for branch in block.branches[1:] for module in branch.modules()}
    norms = (module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return [norm for norm in norms if id(norm) not in edited]


@contextmanager
def _kept_statistics(norms: Sequence[Any]) -> Iterator[None]:
    """Within it the norms take a batch's statistics as before, and do not remember them."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@dataclass(frozen=True)
class _Sandwich(Derived):
    """The task, for what answers by several paths. rule: how they are drawn, of which nets."""

    rule: str = ""

    @property
    def digest(self) -> str:
        return f"{self.task.digest}-sandwich-{self.rule}"

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        unedited, *others = outputs.outputs
        taught = unedited.detach()
        distances = [self.task.distance(output, taught) for output in others]
        return torch.stack([self.task.loss(unedited, targets), *distances]).mean()
