"""The options of a search, checked before anything is imported, traced or trained for it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import InputError, unknown
from ..estimators import Budgets
from ..metrics import METRICS

__all__ = ["OBJECTIVES", "STRATEGIES", "Options", "options_of"]

STRATEGIES = ("hybrid", "multishot", "single-shot", "zero-shot")
OBJECTIVES = ("accuracy", *METRICS)
_COUNTS = {"trials": 1, "epochs": 1, "pictures": 8, "distil": 0}  # options that count something, and their least value


@dataclass(frozen=True)
class Options:
    """What a search is to do.

    strategy: one of `STRATEGIES`. trials: how many networks are trained, the unedited one among them. seed: of every
    draw, and of the trainings.
    objectives: "accuracy", which is more the better, and any of `METRICS`, which are less the better. budgets: most
    latency_ms, sram_kib and model_kib (`estimators.Budgets`) that a candidate may take.
    epochs, pictures, distil: as for `Session.recover`. pool: how many candidates the scores without training are
    computed of; four a trial where None, 24 at least.
    controls: share of the trials for candidates that nothing favours, drawn at random and edited once.
    schedule: further options of the training (`training.Schedule`).

    >>> Options(trials=10).pool_size
    40

    Raises InputError for a value that breaks a rule.
    """

    strategy: str = "hybrid"
    trials: int = 40
    seed: int = 0
    objectives: tuple[str, ...] = ("accuracy", "latency_ms")
    budgets: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 2
    pictures: int = 256
    distil: int = 0
    pool: int | None = None
    controls: float = 0.2
    schedule: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        for name, least in _COUNTS.items():
            _check_count(name, getattr(self, name), least)
        if self.pool is not None:
            _check_count("pool", self.pool, self.trials)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise InputError(f"seed is {self.seed!r}; it must be a whole number from 0")
        if not 0 <= self.controls <= 1:
            raise InputError(f"controls is {self.controls!r}; it must be a share from 0 to 1")
        object.__setattr__(self, "objectives", _objectives(self.objectives))
        names = [field.name for field in fields(Budgets)]
        for name in self.budgets:
            if name not in names:
                raise unknown("budget", name, names)
        Budgets(**self.budgets)

    @property
    def limits(self) -> Budgets:
        return Budgets(**self.budgets)

    @property
    def costs(self) -> tuple[str, ...]:
        """The objectives that are less the better."""
        return tuple(name for name in self.objectives if name != "accuracy")

    @property
    def pool_size(self) -> int:
        return max(24, 4 * self.trials) if self.pool is None else self.pool

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `options_of` makes the same options of it."""
        return asdict(self) | {"objectives": list(self.objectives)}


def options_of(values: Mapping[str, Any]) -> Options:
    """The options of these values; an unknown one is refused with the nearest name."""
    names = [field.name for field in fields(Options)]
    for name in values:
        if name not in names:
            raise unknown("option of a search", name, names)
    return Options(**values)


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")


def _objectives(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"objectives is {names!r}; it must be several names, such as ('accuracy', 'latency_ms')")
    for name in names:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)
    if "accuracy" not in names or len(set(names)) < len(names):
        raise InputError(f"objectives are {', '.join(names) or 'none'}; 'accuracy' must be one, and each stands once")
    return tuple(names)
