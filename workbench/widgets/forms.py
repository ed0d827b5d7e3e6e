"""What the form for any step shows of a transform: its options, read from the dataclass and its docstring."""

import re
import types
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["transform_view"]

_PATTERNS = "The selected blocks, or patterns: blocks.2.*, *[resolution>=28], *[kind==ibn]"


def transform_view(cls: type) -> dict[str, Any]:
    """A transform's name, what it does in one sentence, and its options.

    Options have name, label, type ("blocks", "choice", "bool", "int", "float", "text" or, with commas, "list"),
    default, optional (may stay empty), choices and help, read from the dataclass: annotations, defaults, and the lines
    of its docstring that begin with the option's name.
    """
    hints, doc = get_type_hints(cls), cleandoc(cls.__doc__ or "")
    return {
        "name": cls.__name__,
        "label": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__),
        "help": " ".join(doc.partition("\n\n")[0].split()),
        "options": [_option(field, hints[field.name], doc) for field in fields(cls) if field.init],
    }


def _option(field: "Field[Any]", hint: Any, doc: str) -> dict[str, Any]:
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    optional = type(None) in parts
    parts = tuple(p for p in parts if p is not type(None))
    choices = [c for p in parts if get_origin(p) is Literal for c in get_args(p)]
    if field.name == "blocks":
        kind = "blocks"
    elif choices:
        kind = "choice"
    elif any(get_origin(p) is tuple for p in parts):
        kind = "list"
    else:
        kind = next((name for cls, name in ((bool, "bool"), (float, "float"), (int, "int")) if cls in parts), "text")
    default = None if field.default is MISSING else field.default
    return {
        "name": field.name,
        "label": field.name.replace("_", " ").capitalize(),
        "type": kind,
        "default": ", ".join(default) if isinstance(default, tuple) else default,
        "optional": optional,
        "choices": list(choices),
        "help": _PATTERNS if kind == "blocks" else _described(field.name, doc),
    }


def _described(name: str, doc: str) -> str:
    """What a docstring says about a parameter: from "name: " to the end of the sentence or paragraph."""
    match = re.search(
        rf"(?:^|[\s,]){re.escape(name)}(?:, \w+)*: (.*?)(?=\n\s*\n|\n\w+(?:, \w+)*: |\.\s+\w+: |$)", doc, re.S
    )
    text = " ".join(match.group(1).split()) if match else ""
    text = re.sub(r"^None\b", "Empty", text.replace("`", ""))
    return text[:1].upper() + text[1:]
