"""Targets of rules, matched as compressed-tensors matches them (``compressed_tensors.utils.match``)."""

from __future__ import annotations

__all__ = ["matches"]

import re
from functools import lru_cache


def matches(target: str, module: str, class_name: str | None) -> bool:
    """Whether a target means a module: exact name, ``re:`` expression from its start, or class name."""
    if target.startswith("re:"):
        return _expression(target[3:]).match(module) is not None
    return target in (module, class_name)


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
