"""Hashes and properties that are computed once per object."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["cached_hash", "computed_once"]

Value = TypeVar("Value")


class computed_once(Generic[Value]):  # a decorator is written as a function is
    """`functools.cached_property` without its lock (Python 3.11 takes one for each of a thousand small objects)."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


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
