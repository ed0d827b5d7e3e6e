"""Edits that keep what was learned: fitted, distilled, and taught by the network before them.

    fitted      replaced layers and narrowed widths by least squares, on pictures of the task, without labels; or the
                blocks of the block library, "library", where it was filled with all of them
    distilled   block after block towards the network before the edits, on the same pictures
    taught      the whole network for some epochs, on mixed pictures: labels, that network's outputs, and the maps its
                blocks make (`training/imitation.py`)

What is done is kept under WORKBENCH_HOME after every block and every epoch, named by what determines it: the same call
goes on where it was interrupted and ends with the weights it would have had.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from ..files import home, write_atomic
from ..graph import as_built
from ..progress import Progress, shown
from ..state import AnyState, Learned, Size, State, tensors_of
from ..surgery import build, build_state, recompress
from ..surgery.counterparts import Counterpart, Edited, carry_out_reconstructing
from ..surgery.distil_units import distil_units
from ..surgery.refit_units import refit_units
from ..surgery.units import matched_points
from ..training import Schedule, Task, Trained, fit, named, resolve_task, score
from ..training.checkpoints import digest_of
from ..training.imitation import Imitation, Point, Watched
from ..training.scoring import logits
from .block_library import PICTURES, STEPS, kept
from .evidence import keep_trained
from .learning import before_edits, images_of, learn, learned_on, schedule_of, size_of

__all__ = ["EPOCHS", "Distilled", "finetune", "recover"]

EPOCHS = 8
_TEACHING = 0.5  # labels take the network beyond its teacher, which alone would bound it
_KEPT = 4  # files; older ones go
_RECOVERY = 2  # files of another recovery are not continued


def finetune(
    state: AnyState,
    task: str | Path | Task,
    options: Mapping[str, Any],
    teacher: State | nn.Module | None = None,
) -> AnyState:
    """See `Session.finetune`."""
    data = resolve_task(task)
    if teacher is None and state.plans_since_learned:
        if state.learned is None and state.base.weights in ("pretrained", "checkpoint"):
            return recover(state, data, {**options, "epochs": EPOCHS}, PICTURES, STEPS, options)
        if state.learned is not None and learned_on(state.learned, data):
            return recover(state, data, options, PICTURES, STEPS)
    trained = learn(state, data, options, teacher)
    if state.plans_since_learned and state.learned is not None and learned_on(state.learned, data):
        keep_trained(before_edits(state), trained, data, schedule_of(data, options, "finetune"))
    return trained


def recover(
    state: AnyState,
    task: str | Path | Task,
    options: Mapping[str, Any],
    pictures: int,
    steps: int,
    tuning: Mapping[str, Any] | None = None,
) -> AnyState:
    """See `Session.recover`. tuning: options of the unedited network's own training, where it needs one."""
    data = resolve_task(task)
    size_of(state)
    rate = named(data.schedule).learning_rate / 2  # the weights are near already
    taught = options.get("epochs", EPOCHS) != 0
    numbers = {"epochs": EPOCHS, **options} if taught else {**options, "epochs": 1}
    schedule = schedule_of(data, numbers, "recover", learning_rate=rate, teaching=_TEACHING)
    for name, value, least in (("pictures", pictures, 8), ("steps", steps, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    if not state.plans_since_learned:
        raise InputError("nothing to recover: no step has been applied since weights were learned; finetune learns on")
    before = before_edits(state)
    if tuning is None:
        tuning = {name: value for name, value in options.items() if name != "epochs"}
    stages: list[dict[str, Any]] = []
    untuned = before.learned is None and before.base.weights != "given"  # a module of one's own knows what it is for
    with _timed(stages, "unedited network learned" if untuned else "before the edits"):
        if untuned:
            before = learn(before, data, tuning)
        teacher = build_state(before).to(memory_format=torch.channels_last)
        data.check(logits(teacher, images_of(before, data, 1)), before.model_name)
    stages[-1]["score"] = score(teacher, data, size_of(before)).value
    with shown("recovering") as progress:
        distilled = Distilled.of(state, before, teacher, data, pictures, steps, progress)
        if not taught:
            fitted = tensors_of(distilled.edited.module)
            return state.after(Learned(state.graph, fitted, f"{data.name}, fitted", (), (*stages, *distilled.stages)))
        with _timed(stages, "taught"):
            trained, weights = _taught(state, before, teacher, distilled.edited, data, schedule, progress)
    stages[-1]["score"] = trained.epochs[-1]["score"]
    rows = (stages[0], *distilled.stages, stages[1])
    count = len(trained.epochs)
    epochs = f"{count} epoch{'' if count == 1 else 's'}"
    recovered = state.after(Learned(state.graph, weights, f"{data.name}, {epochs}", trained.epochs, rows))
    keep_trained(before, recovered, data, schedule)
    return recovered


@contextmanager
def _timed(stages: list[dict[str, Any]], stage: str) -> Iterator[None]:
    """Adds the stage with the seconds its body took."""
    start = time.monotonic()
    yield
    stages.append({"stage": stage, "seconds": time.monotonic() - start})


# ---- taught ------------------------------------------------------------------------------------------------------


def _taught(
    state: State,
    before: State,
    teacher: nn.Module,
    edited: Edited,
    data: Task,
    schedule: Schedule,
    progress: Progress,
) -> tuple[Trained, dict[str, torch.Tensor]]:
    """The training with the network before the edits as teacher, and the weights it ends with."""
    pairs = matched_points(before.graph, edited)
    learner = Watched(edited.module, [Point(new) for new, _, _ in pairs])
    height, width = size_of(before)[1:]
    shown_by = Watched(teacher, [Point(old, basis) for _, old, basis in pairs], (height, width), always=True)

    def project(learned: nn.Module) -> None:
        recompress(learned.get_submodule("network"), state.graph)

    trained = fit(
        learner, Imitation(data), size_of(state), schedule, shown_by, progress, state.model_name,
        project if state.graph != as_built(state.graph) else None,
    )  # fmt: skip
    weights = {key.removeprefix("network."): value for key, value in trained.state.items()}
    return trained, weights


# ---- fitted and distilled, kept as far as they came -----------------------------------------------------------------


@dataclass
class Distilled:
    """The edited network on its way. units: how many blocks are distilled. stages: rows of those that are done."""

    file: Path
    edited: Edited
    units: int = 0
    stages: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(
        cls,
        state: State,
        before: State,
        teacher: nn.Module,
        data: Task,
        pictures: int,
        steps: int,
        progress: Progress,
    ) -> "Distilled":
        """Fitted and distilled, from where it was interrupted."""
        plans, size = state.plans_since_learned, size_of(state)
        inputs = state.base.example_inputs
        library = kept(before, state, data, pictures, steps)
        digest = digest_of(
            _RECOVERY, data.digest, repr(plans), before.graph.digest, size, pictures, steps, teacher.state_dict(),
            library is None,
        )  # fmt: skip
        images = _images(before, state, data, pictures)
        work = cls._read(home() / "recovery" / f"{digest}.safetensors", state, before, teacher)
        if work is None:
            start = time.monotonic()
            edited = library or carry_out_reconstructing(teacher, before.graph, plans, images[1], inputs)
            refit_units(teacher, before.graph, edited, images, progress)
            recompress(edited.module, state.graph)
            work = cls(home() / "recovery" / f"{digest}.safetensors", edited)
            work._end("library" if library else "fitted", time.monotonic() - start, data, size)
        if steps and len(work.stages) < 2:
            start = time.monotonic()
            distil_units(teacher, before.graph, work.edited, images, steps, progress, work.units, work._write_units)
            recompress(work.edited.module, state.graph)
            work._end("distilled", time.monotonic() - start, data, size)
        return work

    def _end(self, stage: str, seconds: float, data: Task, size: Size) -> None:
        value = score(self.edited.module, data, size).value
        self.stages = (*self.stages, {"stage": stage, "score": value, "seconds": seconds})
        self._write()

    def _write_units(self, units: int) -> None:
        self.units = units
        self._write()

    def _write(self) -> None:
        from safetensors.torch import save

        tensors = {f"state/{key}": value for key, value in tensors_of(self.edited.module).items()}
        names: dict[str, list[Any]] = {}
        numbers: dict[int, int] = {}
        for name, counterpart in self.edited.counterparts.items():
            basis = counterpart.basis
            number = None if basis is None else numbers.setdefault(id(basis), len(numbers))
            if basis is not None:
                tensors[f"basis/{number}"] = basis
            names[name] = [counterpart.tensor, number]
        header = {"counterparts": names, "units": self.units, "stages": self.stages}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        copies = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        write_atomic(self.file, save(copies, {"recovery": json.dumps(header)}))
        for older in sorted(self.file.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
            older.unlink(missing_ok=True)

    @classmethod
    def _read(cls, file: Path, state: State, before: State, teacher: nn.Module) -> "Distilled | None":
        """What the file holds; None where there is no whole one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, "pt") as opened:
                header = json.loads(opened.metadata()["recovery"])
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  it is no mapping
        except (FileNotFoundError, SafetensorError, KeyError, ValueError, TypeError):
            return None
        module = build(teacher, before.graph, state.plans_since_learned, inputs=state.base.example_inputs)
        module.load_state_dict({k.removeprefix("state/"): v for k, v in tensors.items() if k.startswith("state/")})
        counterparts = {
            name: Counterpart(tensor, None if number is None else tensors[f"basis/{number}"])
            for name, (tensor, number) in header["counterparts"].items()
        }
        return cls(file, Edited(module, state.graph, counterparts), header["units"], tuple(header["stages"]))


def _images(before: State, state: State, data: Task, pictures: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same training pictures as both networks read them, every other one mirrored where that may be."""
    pair = tuple(images_of(network, data, pictures) for network in (before, state))
    for images in pair:
        images[1::2] = images[1::2].flip(-1)
    first, second = (images.contiguous(memory_format=torch.channels_last) for images in pair)
    return first, second
