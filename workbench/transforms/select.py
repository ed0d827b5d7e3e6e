"""Block selectors: which blocks a transform works on, as text (recipes are files).

    blocks.1.*                          a glob on timm paths
    blocks.[12].*                       brackets without a comparison are the glob's own
    blocks.1.*, blocks.3.0              several, separated by commas (or a tuple of them)
    *[resolution>=28, stride==1]        a glob and conditions on block facts, all of which must hold
    *[kind==ibn]

Facts: kind, resolution (the smaller side of the map it reads), stride, width (channels read), mid_width (widest
inside), out_width, kernel, residual, se (the last two are true or false), index (0 is the first block).
"""

import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from ..errors import InputError, NotApplicable, unknown
from ..graph import BLOCK_KINDS, Block, Graph

__all__ = ["check_blocks", "named", "select"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"^\s*(\w+)\s*(>=|<=|==|!=|>|<|=)\s*([\w.-]+)\s*$")
_SELECTOR = re.compile(r"^(?P<glob>.*?)(?:\[(?P<conditions>[^\[\]]*[<>=][^\[\]]*)\])?$")
_FACTS = ("kind", "resolution", "stride", "width", "mid_width", "out_width", "kernel", "residual", "se", "index")

_Test = Callable[[int, Block], bool]


def select(graph: Graph, blocks: str | tuple[str, ...]) -> tuple[Block, ...]:
    """The blocks a selector names, in execution order.

    Raises UnknownName for a pattern or fact that does not exist, NotApplicable where no block meets the conditions.
    """
    names = [block.name for block in graph.blocks]
    chosen: set[str] = set()
    for glob, conditions in _selectors(blocks):
        matching = [(i, block) for i, block in enumerate(graph.blocks) if fnmatchcase(block.name, glob)]
        if not matching:
            raise unknown("block pattern", glob, names)
        tests = _tests(conditions)
        fitting = [block.name for i, block in matching if all(test(i, block) for test in tests)]
        if not fitting:
            first = matching[0][1].name
            raise NotApplicable(
                f"none of the {len(matching)} blocks {glob!r} names ({first} first) meets [{conditions}]"
            )
        chosen.update(fitting)
    return tuple(block for block in graph.blocks if block.name in chosen)


def named(blocks: str | tuple[str, ...]) -> frozenset[str]:
    """The blocks a selector names by their full paths: the user means exactly these.

    >>> sorted(named("blocks.1.0, blocks.2.*, stem[stride==2]"))
    ['blocks.1.0']
    """
    return frozenset(glob for glob, conditions in _selectors(blocks) if not conditions and not set(glob) & set("*?["))


def check_blocks(blocks: object) -> None:
    """Refuse what can be no selector on any network; whether its blocks exist is known only with a graph."""
    for _, conditions in _selectors(blocks):
        _tests(conditions)


def _selectors(blocks: object) -> list[tuple[str, str]]:
    """(glob, conditions) of every selector; commas separate them outside brackets."""
    patterns = (blocks,) if isinstance(blocks, str) else blocks
    if not patterns or not isinstance(patterns, tuple) or any(not isinstance(b, str) for b in patterns):
        raise InputError(f"blocks is {blocks!r}; it must be a pattern such as 'blocks.1.*' or a tuple of patterns")
    selectors = []
    for text in patterns:
        for part in re.split(r",(?![^\[]*\])", text):
            match = _SELECTOR.match(part.strip())
            if match is None or not part.strip() or part.count("[") != part.count("]"):
                raise InputError(f"blocks is {blocks!r}; {part!r} is no pattern such as 'blocks.1.*'")
            selectors.append((match["glob"].strip() or "*", match["conditions"] or ""))
    return selectors


def _tests(conditions: str) -> list[_Test]:
    return [_condition(part) for part in conditions.split(",")] if conditions else []


def _condition(text: str) -> _Test:
    match = _CONDITION.match(text)
    if match is None:
        raise InputError(f"{text.strip()!r} is no condition; write one such as 'resolution>=28' or 'kind==ibn'")
    fact, sign, value = match.groups()
    if fact not in _FACTS:
        raise unknown("block fact", fact, _FACTS)
    compare = _COMPARE["==" if sign == "=" else sign]
    if fact == "kind":
        if sign not in ("=", "==", "!="):
            raise InputError(f"{text.strip()!r}: a kind is compared with == or !=")
        if value not in BLOCK_KINDS:
            raise unknown("block kind", value, BLOCK_KINDS)
        return lambda i, block: compare(block.kind, value)
    try:
        number = float({"true": "1", "false": "0"}.get(value.lower(), value))
    except ValueError:
        raise InputError(f"{text.strip()!r}: {value!r} is not a number") from None
    return lambda i, block: compare(_fact(i, block, fact), number)


def _fact(index: int, block: Block, fact: str) -> float:
    if fact == "index":
        return index
    if fact == "resolution":
        return min(block.resolution)
    return float(getattr(block, fact))
