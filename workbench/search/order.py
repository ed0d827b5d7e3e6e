"""What a search sends to its workers, and what comes back: plain values, so that they can be sent anywhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

__all__ = ["Answer", "Order", "Work"]


@dataclass(frozen=True)
class Order:
    """One candidate, and all it takes to score or train it.

    session: content of the session file that the candidate's transforms apply to. task: name or folder. transforms: as
    recipes write them (`recipe.to_step`). options: of the search (`Options.to_dict`). floor: accuracy after the first
    epoch below which the training ends. weights: safetensors, of a trained candidate that is to be judged once more.
    module: where the session was opened on a module of its user's.
    """

    session: bytes = field(repr=False)
    task: str
    transforms: tuple[Mapping[str, Any], ...]
    seed: int
    options: Mapping[str, Any]
    floor: float = 0.0
    weights: bytes = field(default=b"", repr=False)
    module: nn.Module | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """result: plain data. weights: state_dict as safetensors. evidence: the score on the validation part, as a file."""

    result: Mapping[str, Any]
    weights: bytes = field(default=b"", repr=False)
    evidence: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Work:
    """Functions of an order alone, which workers import by name.

    score: -> {"zero_shot/NAME": value}. train: -> accuracy, low, high, pictures, loss, first_epoch, epochs, seconds.
    test: -> accuracy, low, high; of the test part, empty where the task has none.
    """

    score: Callable[[Order], Answer]
    train: Callable[[Order], Answer]
    test: Callable[[Order], Answer]
