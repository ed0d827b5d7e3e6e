"""HTML and SVG that cannot be injected into: every string becomes text unless it was made here."""

from collections.abc import Iterable
from html import escape

__all__ = ["Markup", "el", "join"]

_VOID = frozenset({"meta", "br"})


class Markup(str):
    """HTML source that is known to be safe, as opposed to text."""

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Markup:
    """An element. Strings among the children are escaped, Markup stands as it is, None is left out.

    Attribute names lose a trailing underscore, others become hyphens; an attribute that is None or False is left out.

    >>> el("p", "1 < 2", el("b", "yes"), class_="note")
    '<p class="note">1 &lt; 2<b>yes</b></p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after another, text escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(str(c)) for c in children if c is not None))
