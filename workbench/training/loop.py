"""Training: timm's optimisers and schedules, one deterministic loop, a checkpoint after every epoch.

An epoch's order, crops and dropout follow from (seed, epoch) alone, so a training that was killed goes on from its last
whole epoch and ends, on a CPU, with the weights it would have had: the same data, schedule, initial weights and teacher
name the same file.

On a CPU the layers learn by faster operators, in bfloat16 where the processor multiplies it, as on a GPU
(`surgery/fast_layers.py`); weights, losses and scores are float32. Batches are made between the steps: a thread that
makes them ahead gains nothing, as decoded pictures are kept, and its own team of OpenMP threads beside the learning one
makes both wait (2 cores: a third of the pictures a second).
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, unknown
from ..progress import Progress
from ..surgery.fast_layers import fast_layers, learning_dtype
from .checkpoints import Checkpoint, checkpoint_file, digest_of, prune
from .scoring import logits, prepared, score
from .tasks import Task

__all__ = ["Schedule", "Trained", "fit", "named"]


_LOOP = 2  # files of another loop are not continued


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    learning_rate: at its highest, after `warmup` of all steps (a share); it falls to nothing as a cosine.
    optimizer: a name timm knows. average: decay of a moving average of the weights, which is what is kept (0: none).
    teaching: share of the loss that the distance to a teacher is, where there is one.
    floor: score after the first epoch below which a training ends there, as hopeless.

    >>> Schedule(epochs=3).batch_size
    64
    """

    epochs: int = 5
    learning_rate: float = 2e-3
    batch_size: int = 64
    weight_decay: float = 0.02
    warmup: float = 0.1
    optimizer: str = "adamw"
    average: float = 0.0
    teaching: float = 0.7
    seed: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value, least = getattr(self, name), 1 if name == "epochs" else 2
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate is {self.learning_rate!r}; it must be above 0, such as 0.002")
        for name in ("warmup", "average", "teaching", "floor"):
            if not 0 <= getattr(self, name) < (1.0 + (name in ("teaching", "floor")) * 1e-9):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a share from 0 to 1")


def named(options: Mapping[str, Any]) -> Schedule:
    """The schedule of these options; an unknown one is refused with the nearest name."""
    names = [field.name for field in fields(Schedule)]
    for name in options:
        if name not in names:
            raise unknown("option of training", name, names)
    return Schedule(**options)


@dataclass(frozen=True, eq=False)
class Trained:
    """state: of the module, in its order. epochs: one row per epoch: epoch, loss, and what `Score.row` has."""

    state: Mapping[str, Tensor]
    epochs: tuple[Mapping[str, float], ...]


def fit(
    module: nn.Module,
    task: Task,
    size: tuple[int, int, int],
    schedule: Schedule | None = None,
    teacher: nn.Module | None = None,
    progress: Progress | None = None,
    name: str = "the network",
    project: Callable[[nn.Module], None] | None = None,
) -> Trained:
    """Learn the task, from the module's weights; the module itself is not touched.

    size: (channels, height, width) it reads. schedule: None for the task's own. teacher: a module of the same task
    whose outputs are imitated. progress: called after every step with (part, done, total), the epoch and the steps.
    name: of the network, for errors. project: called after every epoch to put the weights, in place, back where they
    have to be.
    Raises InputError, before anything is trained, where the outputs do not fit the task, where there are fewer pictures
    to learn from than a batch holds, and where there are none to judge by.
    """
    schedule = schedule or named(task.schedule)
    _check_counts(task, schedule)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = copy.deepcopy(module).to(device)
    _check_outputs(student, task, size, name)
    imitated = None if teacher is None else copy.deepcopy(teacher).to(device).eval()
    if imitated is not None:
        _check_outputs(imitated, task, size, "the teacher")
    weights = module.state_dict(), imitated.state_dict() if imitated else None
    numbers = f"{device} {learning_dtype(device)}"
    # a floor ends a training and changes no weight of it, so it has no part in its name
    options = tuple(value for name, value in asdict(schedule).items() if name != "floor")
    path = checkpoint_file(digest_of(_LOOP, task.digest, size, options, numbers, *weights))
    run = _Run(student, imitated, task, size, schedule, device)
    networks = {id(network): network for network in (run.student, run.kept)}.values()
    with fast_layers(*networks, *([imitated] if imitated else [])):
        epochs = run.resume(Checkpoint.read(path))
        while len(epochs) < schedule.epochs and not (epochs and epochs[0]["score"] < schedule.floor):
            loss = run.epoch(len(epochs), _reporter(progress, run, epochs))
            if project is not None:
                for network in networks:
                    project(network)
            epochs = (*epochs, {"epoch": len(epochs) + 1, "loss": loss, **score(run.kept, task, size).row})
            run.checkpoint(epochs).write(path)
    prune()
    return Trained({k: v.detach().cpu().clone() for k, v in run.kept.state_dict().items()}, epochs)


def _check_counts(task: Task, schedule: Schedule) -> None:
    """Raise InputError where there are too few pictures to learn from, or none to judge by."""
    train = task.count("train")
    if train < 2:
        raise InputError(f"{task.name} has {train} pictures to learn from; at least 2 are needed: add some")
    if train < schedule.batch_size:
        raise InputError(
            f"batch_size is {schedule.batch_size}, and {task.name} has {train} pictures to learn from; "
            f"the nearest is batch_size={train}"
        )
    if not task.count("val"):
        raise InputError(f"{task.name} has no pictures for validation, so nothing could be judged; add some")


def _check_outputs(network: nn.Module, task: Task, size: tuple[int, int, int], name: str) -> None:
    device = next(network.parameters()).device
    images, _ = task.batch("train", np.arange(2), size[1:])
    task.check(logits(network, prepared(images, size, network).to(device)), name)


def _reporter(progress: Progress | None, run: "_Run", epochs: tuple[Mapping[str, float], ...]) -> Callable[[int], None]:
    """Reports the steps of the epoch that follows these."""
    number, schedule = len(epochs), run.schedule
    last = f"{run.task.metric} {epochs[-1]['score']:.1%}" if epochs else ""

    def report(step: int) -> None:
        if progress is not None:
            part = f"epoch {number + 1}/{schedule.epochs} {last}"
            progress(part, number * run.steps + step, schedule.epochs * run.steps)

    return report


class _Run:
    """A training under way: what changes while it runs."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        task: Task,
        size: tuple[int, int, int],
        schedule: Schedule,
        device: torch.device,
    ) -> None:
        from timm.optim import create_optimizer_v2
        from timm.scheduler import CosineLRScheduler
        from timm.utils import ModelEmaV3

        self.student, self.teacher, self.task, self.size = student, teacher, task, size
        self.schedule, self.device = schedule, device
        self.steps = task.count("train") // schedule.batch_size  # an epoch
        self.optimizer = create_optimizer_v2(
            student, opt=schedule.optimizer, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        _fuse(self.optimizer)
        total = schedule.epochs * self.steps
        warmup = round(total * schedule.warmup)
        self.pace = CosineLRScheduler(
            self.optimizer, total, warmup_t=warmup, warmup_lr_init=schedule.learning_rate / 100, t_in_epochs=False
        )
        self.average = ModelEmaV3(student, decay=schedule.average, use_warmup=True) if schedule.average else None

    @property
    def kept(self) -> nn.Module:
        return self.student if self.average is None else self.average.module

    def resume(self, checkpoint: Checkpoint | None) -> tuple[Mapping[str, float], ...]:
        """Go on from the checkpoint, from the beginning without one; the rows of the epochs done."""
        if checkpoint is None:
            return ()
        self.student.load_state_dict(checkpoint.state)
        if self.average is not None:
            self.average.module.load_state_dict(checkpoint.averaged)
        state = self.optimizer.state_dict()
        state["state"] = {}
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        for (index, key), value in checkpoint.optimizer.items():
            state["state"].setdefault(index, {})[key] = _ordered_like(parameters[index], value)
        self.optimizer.load_state_dict(state)
        return checkpoint.epochs

    def checkpoint(self, epochs: tuple[Mapping[str, float], ...]) -> Checkpoint:
        rows = self.optimizer.state_dict()["state"]
        optimizer = {(i, key): torch.as_tensor(value) for i, row in rows.items() for key, value in row.items()}
        averaged = {} if self.average is None else self.average.module.state_dict()
        return Checkpoint(self.student.state_dict(), averaged, optimizer, epochs)

    def epoch(self, number: int, report: Callable[[int], None]) -> float:
        """One pass over the pictures; the mean loss."""
        seed = self.schedule.seed * 100_003 + number
        self.student.train()
        losses = []
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout, stochastic depth
            for step, (images, targets) in enumerate(self._batches(seed)):
                losses.append(self._learn(images, _to(targets, self.device), number * self.steps + step))
                report(step + 1)
        return float(torch.stack(losses).mean())

    def _batches(self, seed: int) -> Iterator[tuple[Tensor, Any]]:
        """The varied pictures and targets of an epoch, on the CPU; what is random in them follows from the seed."""
        task, batch = self.task, self.schedule.batch_size
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(task.count("train"), generator=generator).numpy()
        for step in range(self.steps):
            rows = np.sort(order[step * batch : (step + 1) * batch])
            images, targets = task.varied(*task.batch("train", rows, self.size[1:]), generator)
            yield images.contiguous(memory_format=torch.channels_last), targets

    def _learn(self, images: Tensor, targets: Any, step: int) -> Tensor:
        self.pace.step_update(step)
        with torch.autocast(self.device.type, torch.bfloat16, learning_dtype(self.device) == torch.bfloat16):
            outputs = self._answers(self.student, images)
            with torch.no_grad():
                target = None if self.teacher is None else self._answers(self.teacher, images)
        loss = self.task.loss(outputs, targets)
        if target is not None:
            share = self.schedule.teaching
            loss = (1 - share) * loss + share * self.task.distance(outputs, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.student, step)
        return loss.detach()

    def _answers(self, network: nn.Module, images: Tensor) -> Tensor:
        return network(prepared(images, self.size, network).to(self.device)).float()


def _fuse(optimizer: torch.optim.Optimizer) -> None:
    """One pass over all parameters instead of several operators for each, where PyTorch has it."""
    if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        for group in optimizer.param_groups:
            group["fused"] = True


def _ordered_like(parameter: Tensor, value: Tensor) -> Tensor:
    """The optimiser's value of a parameter with its order in memory, which fused optimisers take for equal."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _to(targets: Any, device: torch.device) -> Any:
    if isinstance(targets, Tensor):
        return targets.to(device)
    return [_to(target, device) for target in targets]
