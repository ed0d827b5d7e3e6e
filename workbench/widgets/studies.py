"""What the bench needs of a search: how one is started, and what its study says and is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from ..hardware import Target
from ..search.options import Options
from ..search.row import Row
from ..search.storage import Store
from ..space import Space
from ..state import State

__all__ = ["Searches", "Stage", "Study"]


class Stage(Protocol):
    """Where a search stands (`session.status.Status`)."""

    @property
    def stage(self) -> str: ...
    @property
    def trials(self) -> int: ...
    @property
    def trained(self) -> int: ...
    @property
    def stopped(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def ended(self) -> bool: ...


class Study(Protocol):
    """A study (`session.Study`): its ledger is read anew from its storage whenever it is asked."""

    @property
    def name(self) -> str: ...
    @property
    def storage(self) -> str: ...
    @property
    def store(self) -> Store: ...
    @property
    def task(self) -> str: ...
    @property
    def session(self) -> State: ...
    @property
    def space(self) -> Space: ...
    @property
    def options(self) -> Options: ...
    @property
    def target(self) -> Target: ...
    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def front(self) -> pd.DataFrame: ...
    @property
    def status(self) -> Stage: ...
    def pause(self) -> None: ...
    def resume(self) -> Any: ...
    def cancel(self) -> None: ...
    def adopt(self, trial: int) -> State: ...


@dataclass(frozen=True)
class Searches:
    """start: of (session, task, options by name) the study, whose search runs in a process of its own. task: name or
    folder of the task that a session names, "" where it names none.
    """

    start: Callable[..., Study]
    task: Callable[[Any], str]
