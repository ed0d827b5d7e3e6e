"""What is worked out behind the clicks, a little at a time: prices of choices, findings.

Each is an iterator that does a little between two items (`lanes.py`) and hands what it has to `publish`, which is
False once another session is shown.
"""

from collections.abc import Iterator
from time import monotonic
from typing import Any, Protocol

from ..advice import findings, headline, losses_of
from ..errors import WorkbenchError
from ..state import State
from .choices_view import PricedChoice, choices_for, estimated, priced, row
from .curves import points, widths, with_knees
from .sentences import findings_view

__all__ = ["Publish", "advising", "choosing"]

_ROWS = 24  # of the table: so many are estimated whole
_EVERY_S = 0.3  # so often a table on its way is sent
_AHEAD_S = 8.0  # of a large network fewer are estimated ahead, the others when somebody points at them
_SLOW_S = 0.4  # an estimate that takes longer is not made for every point of a curve
_NOTABLE = 0.01  # of the latency
_KEPT = 0.99  # of the multiply-accumulates


class Publish(Protocol):
    """Sends traits to the browser; False where they are of no use any more."""

    def __call__(self, **traits: Any) -> bool: ...


def choosing(
    session: State, blocks: tuple[str, ...], publish: Publish, advice: Iterator[None] | None
) -> Iterator[None]:
    """Price what may be done to these blocks, send the best as they come, then estimate these whole.

    advice: worked through once prices are there.
    """
    table = _Table(blocks, publish)
    tried, items = 0, []
    for choice, names in choices_for(session.graph, blocks):
        item = priced(session, choice, names)
        yield
        tried += 1
        if item is not None:
            items.append(item)
        if table.due:
            items.sort(key=_latency)
            table.rows = [row(session, item) for item in items[:_ROWS]]
            if not table.send(f"{tried} choices tried"):
                return
    items.sort(key=_latency)
    best = items[:_ROWS]
    left = f", the best {len(best)} shown; select blocks for theirs" if len(items) > len(best) else ""
    text = f"{len(items)} of {tried} steps apply{left}" if items else "No step applies to all that is selected"
    table.rows = [row(session, item) for item in best]
    if not blocks and (number := _to_begin_with(session, best)) is not None:
        table.rows[number]["first"] = True
    table.send(text)
    if advice is not None:
        yield from advice
    started, number = monotonic(), 0
    for number, item in enumerate(best, 1):
        table.rows[number - 1] |= row(session, item, estimated(session, item))
        yield
        if monotonic() - started > _AHEAD_S:
            break
        if table.due and not table.send(text):
            return
    quick = monotonic() - started < _SLOW_S * number
    if not session.untrained:
        table.send(text)
        yield from _losing(session, best, table)
    table.send(text, done=True)
    if len(blocks) <= 1 and quick:
        yield from _bending(session, blocks, publish)


def _bending(session: State, blocks: tuple[str, ...], publish: Publish) -> Iterator[None]:
    """The curve behind the slider, sent once it is whole."""
    label, places = widths(session, blocks)
    curve = []
    for point in points(session, places):
        yield
        if point is not None:
            curve.append(point)
    publish(curve={"label": label, "points": with_knees(curve)})


def advising(session: State, publish: Publish) -> Iterator[None]:
    """Findings, and the first sentence made of them."""
    table = findings(session)
    yield
    publish(advice={"sentence": headline(session), "findings": findings_view(table)})


class _Table:
    """The rows on their way to the browser."""

    def __init__(self, blocks: tuple[str, ...], publish: Publish) -> None:
        self.rows: list[dict[str, Any]] = []
        self._blocks, self._publish = list(blocks), publish
        self._sent = monotonic() - _EVERY_S / 2  # the first rows come sooner

    @property
    def due(self) -> bool:
        return monotonic() - self._sent > _EVERY_S

    def send(self, text: str, done: bool = False) -> bool:
        self._sent = monotonic()
        return self._publish(table={"of": self._blocks, "rows": list(self.rows), "text": text, "done": done})


def _losing(session: State, items: list[PricedChoice], table: _Table) -> Iterator[None]:
    """The loss predicted for every row: the relative error of the block's output."""
    try:
        losses = losses_of(session, None)
        for number, item in enumerate(items):
            yield
            loss = None if losses is None else losses.of(item.option.plans, item.option.block)
            table.rows[number]["loss"] = None if loss is None else {"value": loss, "text": f"{loss:.3f}"}
    except WorkbenchError:
        return  # a network that does not read one image: its losses stay unknown


def _to_begin_with(session: State, items: list[PricedChoice]) -> int | None:
    """The step that saves most of those that take no arithmetic away: it can be shown before losses are known."""
    kept = [n for n, item in enumerate(items) if _worth(session, item)]
    return min(kept, key=lambda n: items[n].latency_ms, default=None)


def _worth(session: State, item: PricedChoice) -> bool:
    saved = -item.latency_ms / session.estimate.latency_ms
    return saved >= _NOTABLE and item.graph.macs >= _KEPT * session.graph.macs


def _latency(item: PricedChoice) -> float:
    return item.latency_ms
