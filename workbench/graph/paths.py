"""Paths of modules, as `named_modules` has them: which are inside which."""

from collections.abc import Iterator

__all__ = ["around", "is_inside"]


def around(path: str) -> Iterator[str]:
    """The module and those around it, but for the network itself.

    >>> list(around("blocks.1.conv"))
    ['blocks.1.conv', 'blocks.1', 'blocks']
    """
    while path:
        yield path
        path = path.rpartition(".")[0]


def is_inside(module: str, path: str) -> bool:
    """Whether the module is the one at this path or within it.

    >>> is_inside("blocks.1.conv", "blocks.1"), is_inside("blocks.10", "blocks.1")
    (True, False)
    """
    return module == path or module.startswith(f"{path}.")
