"""Builtins: Python's own functions, for values that may be unknown."""

from __future__ import annotations

__all__ = ["BUILTINS", "function"]

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels.methods import LONGEST, done
from mixprec_doctor.kernels.values import (
    Bound,
    Builtin,
    Class,
    External,
    Function,
    Instance,
    Namespace,
    Raised,
    Unknown,
    is_plain,
    text_of,
)

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator

_PLAIN: dict[str, Callable[..., object]] = {
    "abs": abs, "round": round, "int": int, "float": float, "divmod": divmod, "ord": ord, "chr": chr, "hex": hex,
    "bin": bin, "math.prod": math.prod, "math.gcd": math.gcd, "math.ceil": math.ceil, "math.floor": math.floor,
    "fractions.Fraction": Fraction, "math.log2": math.log2, "math.sqrt": math.sqrt, "math.lcm": math.lcm,
}  # fmt: skip
_KINDS: dict[str, type | tuple[type, ...]] = {
    "int": int, "float": float, "str": str, "bool": bool, "tuple": tuple, "list": list, "dict": dict, "set": set,
    "bytes": bytes, "frozenset": frozenset,
}  # fmt: skip
_OF_TENSORS = ("data", "shape", "dtype", "device", "dim", "size", "view", "t", "contiguous", "numel", "stride")

BUILTINS: dict[str, object] = {
    name: External(f"builtins.{name}")
    for name in (
        "abs", "all", "any", "bool", "bytes", "callable", "chr", "classmethod", "dict", "divmod", "enumerate", "filter",
        "float", "format", "frozenset", "getattr", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass",
        "iter", "len", "list", "map", "max", "min", "next", "object", "ord", "print", "property", "range", "repr",
        "reversed", "round", "set", "setattr", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple",
        "type", "zip", "open", "vars", "dir", "bin", "NotImplemented",
    )
}  # fmt: skip


def function(ev: Evaluator, name: str, given: list[Any], words: dict[str, Any]) -> object:
    """What a call of a builtin function gives; NotImplemented for one that is not modelled."""
    own = _OWN.get(name)
    if own is not None:
        return own(ev, given, words)
    if name in _PLAIN:
        if not all(is_plain(each) for each in (*given, *words.values())):
            return Unknown(f"{name}({', '.join(text_of(each) for each in given)})")
        return done(_PLAIN[name], given, words)
    return NotImplemented


def _len(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    value = given[0]
    if isinstance(value, Instance) and value.order is not None:
        return len(value.order)
    sized = isinstance(value, (tuple, list, dict, set, frozenset, str, bytes, range))
    return len(value) if sized else Unknown(f"len({text_of(value)})")


def _isinstance(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    value, kinds = given
    answers = [_is_one(value, each) for each in (kinds if isinstance(kinds, tuple) else (kinds,))]
    if True in answers:
        return True
    return False if all(each is False for each in answers) else Unknown(f"isinstance({text_of(value)}, ...)")


def _is_one(value: object, kind: object) -> bool | None:
    if isinstance(value, Unknown) or isinstance(kind, Unknown):
        return None
    if isinstance(kind, Class):
        if isinstance(value, Instance):
            of = value.of
            return of is not None and kind in of.lineage
        return False
    name = kind.name if isinstance(kind, External) else ""
    if name.startswith("builtins."):
        if name == "builtins.type":
            return isinstance(value, Class)
        known = _KINDS.get(name.removeprefix("builtins."))
        if known is None:
            return None
        if isinstance(value, Instance):
            return value.order is not None and known is tuple
        return isinstance(value, known)
    if isinstance(value, (Class, Function, Bound, Namespace)):
        return False
    if isinstance(value, Instance) and value.of is not None:
        last = name.rpartition(".")[2]
        return True if last in value.of.bases else (None if value.of.outside else False)
    if isinstance(value, External):
        return True if name == "torch.dtype" and value.name.startswith("torch.") else None
    return False if is_plain(value) else None


def _issubclass(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    one, kinds = given
    if not isinstance(one, Class):
        return Unknown(f"issubclass({text_of(one)}, ...)")
    for kind in kinds if isinstance(kinds, tuple) else (kinds,):
        if isinstance(kind, Class) and kind in one.lineage:
            return True
        if isinstance(kind, External) and kind.name.rpartition(".")[2] in one.bases:
            return True
    return False


def _lacks(value: object, name: str) -> bool:
    """Whether an object that was made here lacks an attribute, as nothing has set it."""
    return isinstance(value, Instance) and name not in (*value.attributes, *_OF_TENSORS)


def _getattr(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    value, name = given[0], given[1]
    if not isinstance(name, str):
        return Unknown(f"getattr({text_of(value)}, ...)")
    if len(given) > 2:
        if isinstance(value, (Namespace, External)) and ev.outside.has(ev, value, name) is False:
            return given[2]
        try:
            found = ev.attribute(value, name)
            return given[2] if isinstance(found, Unknown) and _lacks(value, name) else found
        except Raised as fault:
            if fault.name == "AttributeError":
                return given[2]
            raise
    return ev.attribute(value, name)


def _hasattr(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    value, name = given[0], given[1]
    if isinstance(value, (Namespace, External)) and isinstance(name, str):
        return ev.outside.has(ev, value, name)
    if isinstance(value, (Instance, Class)) and isinstance(name, str):
        try:
            found = ev.attribute(value, name)
        except Raised:
            return False
        if isinstance(found, Unknown) and _lacks(value, name):
            return False
        return Unknown(f"hasattr({text_of(value)}, {name!r})") if isinstance(found, Unknown) else True
    if isinstance(value, Unknown) or not isinstance(name, str):
        return Unknown(f"hasattr({text_of(value)}, {text_of(name)})")
    return hasattr(value, name) if is_plain(value) else Unknown(f"hasattr({text_of(value)}, {name!r})")


def _setattr(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    from mixprec_doctor.kernels.objects import set_attribute

    if isinstance(given[1], str):
        set_attribute(given[0], given[1], given[2])
    return None


def _str(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    from mixprec_doctor.kernels.comparing import string

    if not given:
        return ""
    return given[0] if isinstance(given[0], Unknown) else string(ev, given[0])


def _bool(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    if not given:
        return False
    return given[0] if isinstance(given[0], Unknown) else ev.truth(given[0])


def _several(kind: Callable[..., object]) -> Callable[[Evaluator, list[Any], dict[str, Any]], object]:
    def work(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
        if not given:
            return kind()
        if isinstance(given[0], Unknown):
            return given[0]
        return kind(ev.iterate(given[0]))

    return work


def _dict(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    if given and isinstance(given[0], dict):
        return dict(given[0], **words)
    made: dict[object, object] = {}
    for each in ev.iterate(given[0]) if given else ():
        pair = tuple(ev.iterate(each))
        if len(pair) != 2 or isinstance(pair[0], (list, dict)):
            return Unknown("dict(...)")
        made[pair[0]] = pair[1]
    made.update(words)
    return made


def _any(wanted: bool) -> Callable[[Evaluator, list[Any], dict[str, Any]], object]:
    def work(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
        if isinstance(given[0], Unknown):
            return Unknown(f"{'any' if wanted else 'all'}({given[0].text})")
        return wanted if any(ev.truth(each) is wanted for each in ev.iterate(given[0])) else not wanted

    return work


def _extreme(work: Callable[..., object]) -> Callable[[Evaluator, list[Any], dict[str, Any]], object]:
    def found(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
        values = list(ev.iterate(given[0])) if len(given) == 1 else given
        if words or not all(is_plain(each) for each in values):
            return Unknown(f"{work.__name__}(...)")
        return done(work, [values], {})

    return found


def _sorted(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    key = words.get("key")
    values = list(ev.iterate(given[0]))
    keys: list[Any] = [ev.call(key, [each]) for each in values] if key is not None else values
    if isinstance(given[0], Unknown) or not all(is_plain(each) for each in keys):
        return Unknown("sorted(...)")
    try:
        order = sorted(range(len(values)), key=lambda at: keys[at], reverse=bool(words.get("reverse")))
    except TypeError as fault:
        raise Raised("TypeError", str(fault)) from None
    return [values[at] for at in order]


def _type(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    value = given[0]
    if isinstance(value, Instance) and value.of is not None:
        return value.of
    return External(f"builtins.{type(value).__name__}") if is_plain(value) else Unknown(f"type({text_of(value)})")


def _map(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    return [ev.call(given[0], list(parts)) for parts in zip(*map(ev.iterate, given[1:]), strict=False)]


def _filter(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    keep = given[0]
    return [each for each in ev.iterate(given[1]) if ev.truth(each if keep is None else ev.call(keep, [each]))]


def _next(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    found = list(ev.iterate(given[0]))
    if found:
        return found[0]
    if len(given) > 1:
        return given[1]
    raise Raised("StopIteration", "")


_OWN: dict[str, Callable[[Evaluator, list[Any], dict[str, Any]], object]] = {
    "len": _len, "isinstance": _isinstance, "issubclass": _issubclass, "getattr": _getattr, "hasattr": _hasattr,
    "setattr": _setattr, "str": _str, "repr": _str, "bool": _bool, "tuple": _several(tuple), "list": _several(list),
    "set": _several(list), "frozenset": _several(tuple), "dict": _dict, "any": _any(True), "all": _any(False),
    "max": _extreme(max), "min": _extreme(min), "sorted": _sorted, "type": _type, "map": _map, "filter": _filter,
    "next": _next, "callable": lambda ev, given, words: isinstance(given[0], (Function, Bound, Class, Builtin)),
    "sum": lambda ev, given, words: _total(ev, given), "range": lambda ev, given, words: _range(given),
    "zip": lambda ev, given, words: [tuple(each) for each in zip(*map(ev.iterate, given), strict=False)],
    "enumerate": lambda ev, given, words: [(at, each) for at, each in enumerate(ev.iterate(given[0]))],
    "reversed": lambda ev, given, words: list(ev.iterate(given[0]))[::-1],
    "iter": lambda ev, given, words: given[0], "print": lambda ev, given, words: None,
}  # fmt: skip


def _total(ev: Evaluator, given: list[Any]) -> object:
    values = list(ev.iterate(given[0]))
    numbers = all(isinstance(each, (int, float)) for each in values)
    return sum(values) if numbers and len(given) == 1 else Unknown(f"sum({text_of(given[0])})")  # type: ignore[arg-type]


def _range(given: list[Any]) -> object:
    if not all(isinstance(each, int) for each in given):
        return Unknown("range(...)")
    found = done(range, given, {})
    return found if isinstance(found, range) and len(found) <= LONGEST else Unknown("range(...)")
