"""Targets of rules, matched as compressed-tensors matches them (``compressed_tensors.utils.match``)."""

from __future__ import annotations

__all__ = ["Targets", "matches"]

import re
from collections.abc import Iterable
from functools import lru_cache


def matches(target: str, module: str, class_name: str | None) -> bool:
    """Whether a target means a module: exact name, ``re:`` expression from its start, or class name."""
    if target.startswith("re:"):
        return _expression(target[3:]).match(module) is not None
    return target in (module, class_name)


class Targets:
    """Several targets, of which thousands may be names."""

    def __init__(self, targets: Iterable[str]) -> None:
        each = tuple(targets)
        self._names = frozenset(target for target in each if not target.startswith("re:"))
        self._expressions = tuple(target for target in each if target.startswith("re:"))

    def match(self, module: str, class_name: str | None) -> bool:
        """Whether any of them means a module."""
        if module in self._names or class_name in self._names:
            return True
        return any(matches(target, module, class_name) for target in self._expressions)


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
