"""Kept: an attribute that is worked out once for each object."""

from __future__ import annotations

__all__ = ["kept"]

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")
Own = TypeVar("Own")


class kept(Generic[Value]):
    """As ``functools.cached_property`` of Python 3.12.

    Before that, one lock held all objects of a class: a thread that waited for a server kept the others from theirs.
    """

    def __init__(self, work: Callable[[Any], Value]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Own]) -> kept[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type[Own]) -> Value: ...

    def __get__(self, instance: object | None, owner: type[Own]) -> kept[Value] | Value:
        if instance is None:
            return self
        value: Value = self._work(instance)
        return instance.__dict__.setdefault(self._name, value)  # type: ignore[no-any-return]
