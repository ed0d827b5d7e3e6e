"""One candidate scored, trained, or judged on the test part: functions of an order alone, which any worker can run."""

import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from ..forecast import zero_shot
from ..recipe import Recipe, from_step
from ..search.order import Answer, Order, Work
from ..search.score_files import score_file
from ..state import Learned, State, read_weights
from ..surgery import build_state
from ..training import Task, named, resolve_task
from .files import load
from .learning import evaluate, images_of, learn
from .recovery import recover

__all__ = ["WORK", "candidate", "scored", "tested", "trained"]

_ASSEMBLED = ("fitted", "distilled")  # stages without labels
_PICTURES = 16  # of the task, that zero-shot scores look at


def scored(order: Order) -> Answer:
    """Zero-shot scores of the candidate's network."""
    session, task = _opened(order)
    module = build_state(candidate(session, order))
    scores = zero_shot(module, images_of(session, task, _PICTURES))
    return Answer({f"zero_shot/{name}": value for name, value in scores.items()})


def trained(order: Order) -> Answer:
    """The candidate recovered from the session's network, and its score on the part for validation.

    The unedited network learns as long, with itself as teacher.
    """
    start = time.monotonic()
    session, task = _opened(order)
    options = order.options
    schedule: dict[str, Any] = {"epochs": options["epochs"], "seed": order.seed, "floor": order.floor}
    schedule = {"learning_rate": named(task.schedule).learning_rate / 2, **options["schedule"], **schedule}
    edited = candidate(session, order)
    if order.transforms:
        edited = recover(edited, task, schedule, options["pictures"], options["distil"])
    else:
        edited = learn(edited, task, schedule, session)
    learned = edited.learned
    assert learned is not None
    score = evaluate(edited, task)
    low, high = score.interval
    result = {
        "accuracy": score.value, "low": low, "high": high, "pictures": score.pictures, "loss": score.loss,
        "metric": score.metric, "first_epoch": learned.epochs[0]["score"], "epochs": len(learned.epochs),
        "floor": order.floor, "seed": order.seed, "source": learned.source,
        **{f"{row['stage']}_accuracy": row["score"] for row in learned.stages if row["stage"] in _ASSEMBLED},
        "seconds": time.monotonic() - start,
    }  # fmt: skip
    return Answer(result, _weights(learned), score_file(score))


def tested(order: Order) -> Answer:
    """The score of a trained candidate on the test part; nothing where the task has none."""
    session, task = _opened(order)
    if not task.count("test"):
        return Answer({"reason": f"{task.name} has no test part"})
    edited = candidate(session, order)
    edited = edited.after(Learned(edited.graph, read_weights(order.weights, "weights of a candidate"), "a study"))
    score = evaluate(edited, task, part="test")
    low, high = score.interval
    return Answer({"accuracy": score.value, "low": low, "high": high, "pictures": score.pictures})


WORK = Work(scored, trained, tested)


def candidate(session: State, order: Order) -> State:
    """The session after the order's transforms."""
    transforms = tuple(from_step(step) for step in order.transforms)
    return session.apply(Recipe("candidate", transforms)) if transforms else session


def _opened(order: Order) -> tuple[State, Task]:
    return _session(order.session, order.module), resolve_task(order.task)


@lru_cache(maxsize=2)
def _session(content: bytes, module: nn.Module | None) -> State:
    """The session of a file's content; a worker opens it once for all of its trials."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.wb"
        path.write_bytes(content)
        return load(path, module)


def _weights(learned: Learned) -> bytes:
    from safetensors.torch import save

    return save({name: value.detach().cpu().contiguous().clone() for name, value in learned.weights.items()})
