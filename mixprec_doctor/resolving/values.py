"""Values: what is known of a local of ``from_config`` without running it."""

from __future__ import annotations

__all__ = ["Kind", "Value", "either", "first_present", "merged"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


class Kind(Enum):
    """Where a value comes from."""

    CONFIG = "config"  # the checkpoint's quantization_config, all of it
    READ = "read"  # what it has under a key
    COMPUTED = "computed"  # an expression of keys, or something that the source does not tell
    CONSTANT = "constant"
    MADE = "made"  # an instance of the class itself


_EMPTY = frozenset({"None", "{}", "[]", "()", "''", '""', "False", "0"})


@dataclass(frozen=True, kw_only=True)
class Value:
    """What an expression stands for. ``text`` is its source with every local replaced by the key it holds."""

    kind: Kind
    text: str
    keys: tuple[str, ...] = ()
    required: bool = False
    default: str | None = None
    exact: bool = True
    made: Mapping[str, Value] = field(default_factory=dict)  # the arguments of an instance, by keyword


def first_present(value: Value, other: Value) -> Value:
    """``value`` where the checkpoint has it, else ``other``."""
    if value.kind is not Kind.READ:
        return value if value == other else replace(value, exact=False)
    if other.kind is Kind.READ:
        keys = tuple(dict.fromkeys([*value.keys, *other.keys]))
        exact = value.exact and other.exact
        return replace(value, keys=keys, required=other.required, default=other.default, exact=exact)
    if other.kind is Kind.CONSTANT:
        absent = value.required or value.default not in _EMPTY
        return replace(value, default=value.default if absent else other.text)
    return replace(value, exact=False, default=None)


def either(value: Value, other: Value, *, test: Value | None = None) -> Value:
    """One of two values, as something decides that is more than whether a key is there."""
    if value == other:
        return value
    if value.kind is Kind.MADE and other.kind is Kind.MADE:
        return replace(value, made=merged(value.made, other.made, test=test))
    for kind in (Kind.MADE, Kind.CONFIG, Kind.READ):
        found = [each for each in (value, other) if each.kind is kind]
        if found:
            return replace(
                found[0],
                keys=tuple(dict.fromkeys(key for each in found for key in each.keys)),
                required=any(each.required for each in found),
                default=found[0].default if len({each.default for each in found}) == 1 else None,
                exact=False,
            )
    asked = test.keys if test else ()
    return Value(
        kind=Kind.COMPUTED,
        text=f"{value.text} if {test.text} else {other.text}" if test else f"{value.text} or {other.text}",
        keys=tuple(dict.fromkeys([*value.keys, *other.keys, *asked])),
        exact=False,
    )


def merged(one: Mapping[str, Value], other: Mapping[str, Value], *, test: Value | None = None) -> dict[str, Value]:
    """Names after two branches; what only one of them sets is no longer exact."""
    names = dict.fromkeys([*one, *other])
    return {
        name: either(one[name], other[name], test=test)
        if name in one and name in other
        else replace(one.get(name) or other[name], exact=False)
        for name in names
    }
