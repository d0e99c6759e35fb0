"""Witness: what Python itself says of an engine's names once it has imported them.

Run by the examined interpreter with the paths of a question and of the answer, both JSON; standard library only, so
that nothing has to be installed there. Whatever goes wrong with one module or name is part of the answer.
"""

from __future__ import annotations

__all__ = ["answer"]

import contextlib
import dataclasses
import enum
import importlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NOTHING = object()
_DESCRIPTIONS = frozenset({"Field", "FieldInfo", "_Field"})  # field() of dataclasses, pydantic and msgspec
_UNSET = frozenset({"_MISSING_TYPE", "PydanticUndefinedType", "UnsetType", "NoDefaultType", "ellipsis"})


def answer(question: Mapping[str, Any]) -> dict[str, object]:
    """Of each module what it offers, of each thing how it is called and whether the defaults read are its defaults."""
    faults = {module: _import_fault(module) for module in question["modules"]}
    return {
        "faults": {module: fault for module, fault in faults.items() if fault},
        "offered": {
            module: {name: home for name in question["names"] if (home := _offer(module, name)) is not None}
            for module, fault in faults.items()
            if not fault
        },
        "called": {key: _called(**asked) for key, asked in question["called"].items()},
    }


def _import_fault(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except BaseException as fault:  # noqa: BLE001  importing an engine may even raise SystemExit
        return _words(fault)
    return None


def _offer(module: str, name: str) -> list[str] | None:
    """Module and name under which the thing was made, empty for a plain value; None when the import fails."""
    scope: dict[str, Any] = {}
    try:
        exec(f"from {module} import {name} as thing", scope)  # noqa: S102  that very statement is in question
    except ImportError:
        return None
    thing = scope["thing"]
    if inspect.ismodule(thing):  # a file that happens to be called like the thing asked for
        return None
    return [thing.__module__, thing.__qualname__] if inspect.isclass(thing) or inspect.isroutine(thing) else []


def _called(module: str, name: str, defaults: Mapping[str, str]) -> dict[str, object]:
    """``parameters`` is None for what is not there to be called: a value, an enumeration, another thing's alias."""
    try:
        thing = getattr(importlib.import_module(module), name)
    except BaseException as fault:  # noqa: BLE001  as above
        return {"fault": _words(fault)}
    callable_ = inspect.isclass(thing) or inspect.isroutine(thing)
    if not callable_ or thing.__name__ != name or (inspect.isclass(thing) and issubclass(thing, enum.Enum)):
        return {"parameters": None, "differ": {}, "unread": {}}
    try:
        parameters = inspect.signature(thing).parameters
    except ValueError as fault:
        return {"fault": _words(fault)}
    differ, unread = _against(thing, module, {key: each for key, each in defaults.items() if key in parameters})
    shape = [[each.name, each.kind.name, _is_required(each)] for each in parameters.values()]
    return {"parameters": shape, "differ": differ, "unread": unread}


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and not parameter.kind.name.startswith("VAR_")


def _against(thing: Any, module: str, defaults: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Defaults that are not what was read, and those of which that cannot be said."""
    parameters = inspect.signature(thing).parameters
    differ: dict[str, str] = {}
    unread: dict[str, str] = {}
    for name, text in defaults.items():
        try:
            read, real = _evaluated(text, thing, module), _real_default(thing, parameters[name])
        except Exception as fault:  # noqa: BLE001  the text may be any expression
            unread[name] = f"{text}: {_words(fault)}"
            continue
        if real is _NOTHING or read is _NOTHING:
            unread[name] = f"{text}: no value behind it"
        elif not _same(real, read):
            differ[name] = f"{text} gives {read!r}, it is {real!r}"
    return differ, unread


def _real_default(thing: Any, parameter: inspect.Parameter) -> object:
    """What a call without the argument takes; of fields that make a value, such a value."""
    fields: Mapping[str, object] = getattr(thing, "__dataclass_fields__", {})
    if hasattr(thing, "__struct_fields__"):
        structs = importlib.import_module("msgspec.structs")
        fields = {each.name: each for each in structs.fields(thing)}
    if parameter.name in fields:
        return _value(fields[parameter.name], described=True)
    return _NOTHING if parameter.default is parameter.empty else _value(parameter.default)


def _evaluated(text: str, thing: Any, module: str) -> object:
    fault: NameError | None = None
    for scope in _scopes(thing, module):
        try:
            return _value(eval(text, {**scope}))  # noqa: S307  the engine's own text, in the engine's process
        except NameError as missing:
            fault = missing
    raise fault or NameError(text)


def _scopes(thing: Any, module: str) -> Iterator[dict[str, Any]]:
    """Where a default may have been written: in the defining module, or in that of a class inherited from."""
    yield vars(sys.modules[module])
    for base in inspect.getmro(thing) if inspect.isclass(thing) else ():
        yield {**vars(sys.modules[base.__module__]), **vars(base)}


def _value(thing: object, *, described: bool = False) -> object:
    """The value itself, or what a field's description stands for."""
    if not described and type(thing).__name__ not in _DESCRIPTIONS:
        return thing
    default = getattr(thing, "default", _NOTHING)
    if not _is_unset(default):
        return _value(default)
    factory = getattr(thing, "default_factory", None)
    return factory() if callable(factory) and not _is_unset(factory) else _NOTHING


def _is_unset(value: object) -> bool:
    return value is _NOTHING or value is dataclasses.MISSING or type(value).__name__ in _UNSET


def _same(real: object, read: object) -> bool:
    if real is read:
        return True
    if type(real) is not type(read):
        return False
    with contextlib.suppress(Exception):  # tensors and arrays have no truth
        if bool(real == read):
            return True
    return repr(real) == repr(read)


def _words(fault: BaseException) -> str:
    return f"{type(fault).__name__}: {(str(fault).splitlines() or [''])[0]}"


if __name__ == "__main__":
    del sys.path[0]  # this file's folder, which no import of an engine should look into
    asked, answered = map(Path, sys.argv[1:])
    answered.write_text(json.dumps(answer(json.loads(asked.read_text()))))
