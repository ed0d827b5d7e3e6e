"""ES modules joined into one, because a widget has one: anywidget resolves no import beside its own module.

The modules stay ones that browsers and node load file by file. Each begins with its imports, one a line; joined they
share one scope, so that a top-level name stands in one module alone, which a test checks.
"""

import re
from graphlib import TopologicalSorter
from pathlib import Path

__all__ = ["joined"]

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.M)
_EXPORT = re.compile(r"^export (?=const|function|class|let)", re.M)


def joined(folder: Path, entry: str) -> str:
    """The module `entry` of a folder with all it imports, those it needs first; the same text each time."""
    sources: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name] = (folder / name).read_text("utf-8")
            waiting += _IMPORT.findall(sources[name])
    order = TopologicalSorter({name: _IMPORT.findall(sources[name]) for name in sorted(sources)}).static_order()
    return "\n".join(f"// {name}\n{_EXPORT.sub('', _IMPORT.sub('', sources[name]))}" for name in order)
