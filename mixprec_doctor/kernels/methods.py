"""Methods: those of Python's plain values, and of torch's modules and tensors as far as they matter."""

from __future__ import annotations

__all__ = ["LONGEST", "done", "method", "of_open"]

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels.values import Builtin, Instance, Raised, Unknown, is_plain, text_of

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator

LONGEST = 10_000
"""Elements that a list or range may have."""

_METHODS = {
    str: {
        "lower", "upper", "strip", "lstrip", "rstrip", "startswith", "endswith", "split", "rsplit", "replace", "join",
        "removeprefix", "removesuffix", "partition", "rpartition", "find", "count", "isdigit", "format", "title",
        "capitalize", "isdecimal", "isidentifier", "index",
    },
    list: {"append", "extend", "insert", "pop", "remove", "index", "count", "reverse", "copy", "clear"},
    tuple: {"index", "count"},
    dict: {"get", "keys", "values", "items", "setdefault", "update", "pop", "copy"},
    int: {"bit_length", "conjugate"},
    float: {"is_integer"},
    set: {"add", "discard", "remove", "update", "union", "intersection", "difference", "issubset", "issuperset"},
    frozenset: {"union", "intersection", "difference"},
}  # fmt: skip


def done(work: Callable[..., object], given: list[Any], words: dict[str, Any]) -> object:
    """What one of Python's own functions gives; what it raises, the examined source raises."""
    try:
        return work(*given, **words)
    except (TypeError, ValueError, ArithmeticError, LookupError) as fault:
        raise Raised(type(fault).__name__, str(fault)) from None


def method(ev: Evaluator, value: object, name: str) -> object:
    """A method of a plain value."""
    if isinstance(value, Builtin):
        return Unknown(f"{value.name}.{name}")
    kind = next((each for each in _METHODS if isinstance(value, each)), None)
    if kind is None or name not in _METHODS[kind]:
        if isinstance(value, Fraction) and name in ("numerator", "denominator"):
            return value.numerator if name == "numerator" else value.denominator
        if name == "value" and isinstance(value, str):
            return value  # a member of an enum that is not read stands for its text
        if value is None:
            raise Raised("AttributeError", f"'NoneType' object has no attribute '{name}'")
        return Unknown(f"{text_of(value)}.{name}")

    def work(given: list[Any], words: dict[str, Any]) -> object:
        if isinstance(value, dict):
            return _of_dict(ev, value, name, given, words)
        if isinstance(value, (list, set)):
            return _of_list(ev, value, name, given)
        if not is_plain(value) or not all(is_plain(each) for each in (*given, *words.values())):
            return Unknown(f"{text_of(value)}.{name}(...)")
        return done(getattr(value, name), given, words)

    return Builtin(name, work)


def _of_dict(ev: Evaluator, value: dict[Any, Any], name: str, given: list[Any], words: dict[str, Any]) -> object:
    from mixprec_doctor.kernels.comparing import item

    if name in ("get", "pop", "setdefault"):
        default = given[1] if len(given) > 1 else None
        if given and isinstance(given[0], Unknown):
            return Unknown(f"get({given[0].text})")
        try:
            found = item(ev, value, given[0])
        except Raised:
            if name == "setdefault":
                value[given[0]] = default
            return default
        if name == "pop":
            value.pop(given[0], None)
        return found
    if name == "update":
        for each in given:
            value.update(each if isinstance(each, dict) else {})
        value.update(words)
        return None
    if name == "copy":
        return dict(value)
    if name == "keys":
        return list(value)
    return list(value.values()) if name == "values" else list(value.items())


def _of_list(ev: Evaluator, value: list[Any] | set[Any], name: str, given: list[Any]) -> object:
    from mixprec_doctor.kernels.comparing import contains, equal

    if isinstance(value, set):
        return Unknown(f"{name}(...)")
    if name in ("append", "add"):
        if len(value) < LONGEST and (name == "append" or contains(ev, value, given[0]) is not True):
            value.append(given[0])
        return None
    if name in ("extend", "update"):
        value.extend(ev.iterate(given[0]))
        return None
    if name == "copy":
        return list(value)
    if name == "index" and given:
        for index, each in enumerate(value):
            if equal(ev, each, given[0]) is True:
                return index
        raise Raised("ValueError", "is not in list")
    if name in ("pop", "insert", "reverse", "clear", "remove", "count"):
        unsure = any(isinstance(each, Unknown) for each in given)  # others compare by identity, as kernels do
        return Unknown(f"{name}(...)") if unsure else done(getattr(value, name), given, {})
    return Unknown(f"{name}(...)")


def of_open(ev: Evaluator, value: Instance, name: str) -> object | None:
    """What a module or tensor of torch does of its own: registering parameters, and little more."""
    if name in ("register_parameter", "register_buffer", "add_module", "register_module"):

        def register(given: list[Any], words: dict[str, Any]) -> object:
            key = given[0] if given else words.get("name")
            if isinstance(key, str):
                value.attributes[key] = given[1] if len(given) > 1 else next(iter(words.values()), None)
            return None

        return Builtin(name, register)
    shape = value.attributes.get("shape")
    if isinstance(shape, tuple):
        return _of_shape(value, shape, name)
    return None


def _of_shape(value: Instance, shape: tuple[object, ...], name: str) -> object | None:
    """What a tensor says of itself once its shape is known."""
    if name == "dim":
        return Builtin(name, lambda *_: len(shape))
    if name == "ndim":
        return len(shape)
    if name == "size":
        return Builtin(name, lambda given, _: shape[given[0]] if given and _fits(given[0], shape) else shape)
    if name == "numel" and all(isinstance(each, int) for each in shape):
        return Builtin(name, lambda *_: math.prod(each for each in shape if isinstance(each, int)))
    if name in ("data", "contiguous"):
        return value if name == "data" else Builtin(name, lambda *_: value)
    if name in ("t", "T") and len(shape) == 2:
        turned = Instance(value.of, {**value.attributes, "shape": shape[::-1]}, open=True, name=value.name)
        return turned if name == "T" else Builtin(name, lambda *_: turned)
    return None


def _fits(index: object, shape: tuple[object, ...]) -> bool:
    return isinstance(index, int) and -len(shape) <= index < len(shape)
