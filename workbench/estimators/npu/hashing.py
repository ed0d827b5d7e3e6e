"""Hashes that are computed once per object."""

from typing import Any

__all__ = ["cached_hash"]


def cached_hash(self: Any) -> int:
    """`__hash__` of a frozen dataclass that is the key of many caches: hashing its fields costs more than the lookup.

    The value is kept in the instance, so the class needs a `__dict__` (no slots).
    """
    try:
        value: int = self._hash
    except AttributeError:
        value = hash(tuple([self.__dict__[name] for name in self.__dataclass_fields__]))
        self.__dict__["_hash"] = value
    return value
