"""Block selectors: which blocks a transform works on, as text (recipes are files).

    blocks.1.*                          a glob on timm paths
    blocks.1.*, blocks.3.0              several, separated by commas (or a tuple of them)
    *[resolution>=28, stride==1]        a glob and conditions on block facts, all of which must hold
    *[kind==ibn]

Facts: kind, resolution (the smaller side of the map it reads), stride, width (channels read), mid_width (widest
inside), out_width, kernel, residual, se (the last two are 1 or 0), index (0 is the first block).
"""

import operator
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from ..errors import InputError, NotApplicable, unknown
from ..graph import Block, Graph

__all__ = ["is_explicit", "select"]

_COMPARE: dict[str, Callable[[object, object], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}  # type: ignore[dict-item]
_CONDITION = re.compile(r"^\s*(\w+)\s*(>=|<=|==|!=|>|<|=)\s*([\w.-]+)\s*$")
_SELECTOR = re.compile(r"^(?P<glob>.*?)(?:\[(?P<conditions>[^\[\]]*[<>=][^\[\]]*)\])?$")
_FACTS = ("kind", "resolution", "stride", "width", "mid_width", "out_width", "kernel", "residual", "se", "index")


def select(graph: Graph, blocks: str | tuple[str, ...]) -> tuple[Block, ...]:
    """The blocks a selector names, in execution order.

    Raises UnknownName for a pattern or fact that does not exist, NotApplicable where no block meets the conditions.
    """
    names = [block.name for block in graph.blocks]
    chosen: set[str] = set()
    for text in _selectors(blocks):
        match = _SELECTOR.match(text)
        assert match is not None
        glob, conditions = match["glob"].strip() or "*", match["conditions"]
        found = [(i, block) for i, block in enumerate(graph.blocks) if fnmatchcase(block.name, glob)]
        if not found:
            raise unknown("block pattern", glob, names)
        tests = [_condition(part) for part in conditions.split(",")] if conditions else []
        met = [block.name for i, block in found if all(test(i, block) for test in tests)]
        if not met:
            raise NotApplicable(f"none of the {len(found)} blocks {glob!r} names meets [{conditions}]")
        chosen.update(met)
    return tuple(block for block in graph.blocks if block.name in chosen)


def is_explicit(blocks: str | tuple[str, ...]) -> bool:
    """True where every selector is a plain path: the user means exactly these blocks."""
    return not any(set(text) & set("*?[") for text in _selectors(blocks))


def _selectors(blocks: str | tuple[str, ...]) -> Iterator[str]:
    """Split at commas outside brackets."""
    if not blocks or not isinstance(blocks, (str, tuple, list)) or any(not isinstance(b, str) for b in blocks):
        raise InputError(f"blocks is {blocks!r}; it must be a pattern such as 'blocks.1.*' or a tuple of patterns")
    for text in (blocks,) if isinstance(blocks, str) else blocks:
        yield from (part.strip() for part in re.split(r",(?![^\[]*\])", text))


def _condition(text: str) -> Callable[[int, Block], bool]:
    match = _CONDITION.match(text)
    if match is None:
        raise InputError(f"{text.strip()!r} is no condition; write one such as 'resolution>=28' or 'kind==ibn'")
    fact, sign, value = match.groups()
    if fact not in _FACTS:
        raise unknown("block fact", fact, _FACTS)
    if sign == "=":
        sign = "=="
    if fact == "kind":
        if sign not in ("==", "!="):
            raise InputError(f"{text.strip()!r}: a kind is compared with == or !=")
        return lambda i, block: _COMPARE[sign](block.kind, value)
    try:
        number = float({"true": "1", "false": "0"}.get(value.lower(), value))
    except ValueError:
        raise InputError(f"{text.strip()!r}: {value!r} is not a number") from None
    return lambda i, block: _COMPARE[sign](_fact(i, block, fact), number)


def _fact(index: int, block: Block, fact: str) -> float:
    if fact == "index":
        return index
    if fact == "resolution":
        return min(block.resolution)
    return float(getattr(block, fact))
