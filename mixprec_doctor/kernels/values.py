"""Values of the evaluator: Python's own plain values stand for themselves, these classes for all the rest."""

from __future__ import annotations

__all__ = [
    "Bound",
    "Builtin",
    "Class",
    "External",
    "Function",
    "Instance",
    "Namespace",
    "Raised",
    "Unknown",
    "is_plain",
    "text_of",
]

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mixprec_doctor.source.module import ParsedModule

_LONGEST = 100


@dataclass(frozen=True)
class Unknown:
    """A value that reading does not decide; ``text`` is what was asked, in words of the source."""

    text: str

    def derived(self, form: str) -> Unknown:
        """What is worked out from it; ``form`` holds ``{}`` for its text."""
        text = form.format(self.text)
        return self if len(text) > _LONGEST else Unknown(text)


@dataclass(frozen=True)
class External:
    """Something of a package that is not followed, by its dotted name: ``torch.bfloat16``."""

    name: str


@dataclass(frozen=True)
class Namespace:
    """A module that is followed."""

    name: str


@dataclass(eq=False)
class Class:
    """A class of the source. ``lineage`` is its method resolution order, itself first."""

    name: str
    node: ast.ClassDef
    parsed: ParsedModule
    lineage: tuple[Class, ...] = ()
    outside: tuple[str, ...] = ()  # names of bases that are not followed, of all in the lineage
    given: dict[str, object] = field(default_factory=dict)  # attributes that were set on the class itself
    kept: dict[str, object] = field(default_factory=dict)  # class attributes that were worked out

    @property
    def bases(self) -> frozenset[str]:
        """The names of all classes that it is one of."""
        return frozenset([each.name for each in self.lineage] + [name.rpartition(".")[2] for name in self.outside])

    def __repr__(self) -> str:
        return f"<class {self.name}>"


@dataclass(eq=False)
class Function:
    """A function of the source, with the names around it where it stands in another one."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    parsed: ParsedModule
    around: Mapping[str, object] | None = None
    home: Class | None = None  # the class that defines it

    def __repr__(self) -> str:
        return f"<function {self.name}>"


@dataclass(frozen=True, eq=False)
class Bound:
    """A method with what it is called on."""

    function: Function
    owner: object


@dataclass(frozen=True, eq=False)
class Builtin:
    """A function that is modelled: ``work`` takes the positional and the keyword arguments."""

    name: str
    work: Callable[[list[Any], dict[str, Any]], object]


@dataclass(eq=False)
class Instance:
    """An object. An ``open`` one may have attributes that nobody has set: they are unknown."""

    of: Class | None
    attributes: dict[str, object] = field(default_factory=dict)
    open: bool = False
    name: str = ""
    order: tuple[str, ...] | None = None  # of a named tuple: its fields, in order
    compared: bool = False  # whether equality goes by the attributes, as of a dataclass


class Raised(Exception):
    """The evaluated source raises an exception of that name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message


def is_plain(value: object) -> bool:
    """Whether Python's own operations may be used on it, all the way down."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, range, slice, Fraction)):
        return True
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(each) for key, each in value.items())
    return False


def text_of(value: object) -> str:
    """A value as the text of a question names it."""
    if isinstance(value, Unknown):
        return value.text
    if isinstance(value, (External, Namespace)):
        return value.name
    if isinstance(value, (Class, Function)):
        return value.name
    if isinstance(value, Bound):
        return f"{text_of(value.owner)}.{value.function.name}"
    if isinstance(value, Instance):
        return value.name or (value.of.name if value.of else "object")
    if isinstance(value, Builtin):
        return value.name
    if isinstance(value, (tuple, list)):
        inside = ", ".join(text_of(each) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    text = repr(value) if is_plain(value) else type(value).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
