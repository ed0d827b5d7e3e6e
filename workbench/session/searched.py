"""What a study stands on: its store, the session whose edits its candidates are, the space, and the options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic

from ..errors import FileFormatError
from ..recipe import from_step, to_step
from ..search.options import Options, options_of
from ..search.storage import Store
from ..space import Choice, Slot, Space
from ..state import AnyState
from .files import load

__all__ = ["SESSION", "TUNED", "Searched", "searched_of", "space_facts"]

SESSION, TUNED = "session.wb", "tuned.wb"  # files of a study: as it was searched, and once it had learned the task


@dataclass(frozen=True, eq=False)
class Searched(Generic[AnyState]):
    """session: as it was when the search began."""

    store: Store
    session: AnyState
    space: Space
    options: Options
    _tuned: dict[str, AnyState] = field(default_factory=dict)

    @property
    def task(self) -> str:
        return str(self.store.attributes["study"]["task"])

    @property
    def base(self) -> AnyState:
        """The session that candidates are edits of: once it has learned the task, where it had not."""
        path = self.store.folder / TUNED
        if TUNED not in self._tuned and path.is_file():
            tuned = load(path, self.session.base.module if self.session.base.custom else None)
            session = self.session
            for change in tuned.changes[len(session.changes) :]:
                session = session.after(change)
            self._tuned[TUNED] = session
        return self._tuned.get(TUNED, self.session)


def searched_of(store: Store, session: AnyState) -> Searched[AnyState]:
    """What a stored study stands on; FileFormatError where it is of another version."""
    facts = store.attributes["study"]
    if facts.get("version") != 1:
        raise FileFormatError(f"the study {store.name!r} is of version {facts.get('version')}; this workbench reads 1")
    options = options_of({**facts["options"], "objectives": tuple(facts["options"]["objectives"])})
    return Searched(store, session, _read_space(facts["space"]), options)


def space_facts(space: Space) -> list[dict[str, Any]]:
    """The space as plain data."""
    return [
        {
            **{field.name: getattr(slot, field.name) for field in fields(slot)},
            "choices": [
                {"label": choice.label, "transforms": [to_step(transform) for transform in choice.transforms]}
                for choice in slot.choices
            ],
        }
        for slot in space.slots
    ]


def _read_space(facts: Sequence[Mapping[str, Any]]) -> Space:
    """The space of plain data."""
    return Space(
        tuple(
            Slot(**{
                **slot,
                "choices": tuple(Choice(c["label"], tuple(map(from_step, c["transforms"]))) for c in slot["choices"]),
            })
            for slot in facts
        )
    )
