"""Facts: what a release answers to questions about its modules, names, calls and classes, as data that can be kept."""

from __future__ import annotations

__all__ = ["CallFact", "CallShape", "ClassFact", "MemberFact", "NameFact", "Presence"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mixprec_doctor.records.resolution import Parameter


class Presence(str, Enum):
    """Whether something is there."""

    THERE = "there"
    MISSING = "missing"
    PLACEHOLDER = "placeholder"  # something stands under the name that does not work
    UNKNOWN = "unknown"  # the source does not decide it


@dataclass(frozen=True, kw_only=True)
class NameFact:
    """What ``from module import name`` finds: where it is defined and what it is there."""

    presence: Presence
    kind: str = "value"  # "module", "class", "function" or "value"
    module: str = ""
    name: str = ""
    text: str = ""  # why it is missing, or what stands in for it

    def to_json(self) -> list[str]:
        """A list of the fields."""
        return [self.presence.value, self.kind, self.module, self.name, self.text]

    @classmethod
    def from_json(cls, raw: Sequence[str]) -> NameFact:
        """The record that ``to_json`` wrote."""
        return cls(presence=Presence(raw[0]), kind=raw[1], module=raw[2], name=raw[3], text=raw[4])


@dataclass(frozen=True, kw_only=True)
class CallFact:
    """How something is called. ``certain``: nothing in the source speaks against these parameters.

    ``swapped``: its ``__new__`` may make an object of another class. ``handed_on`` are the parameters of what gets the
    further keywords, ``looked_at`` the words that are asked for on the way, ``added`` those that are given there.
    """

    parameters: tuple[Parameter, ...] = ()
    certain: bool = False
    swapped: bool = False
    handed_on: tuple[Parameter, ...] = ()
    handed_to: str = ""
    looked_at: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An object; parameters as lists."""
        raw: dict[str, Any] = {
            "p": [_parameter(each) for each in self.parameters],
            "c": self.certain,
            "s": self.swapped,
        }
        if self.handed_to:
            raw |= {"h": [_parameter(each) for each in self.handed_on], "t": self.handed_to,
                    "l": list(self.looked_at), "a": list(self.added)}  # fmt: skip
        return raw

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> CallFact:
        """The record that ``to_json`` wrote."""
        return cls(
            parameters=tuple(_from_list(each) for each in raw["p"]),
            certain=raw["c"],
            swapped=raw["s"],
            handed_on=tuple(_from_list(each) for each in raw.get("h", ())),
            handed_to=raw.get("t", ""),
            looked_at=tuple(raw.get("l", ())),
            added=tuple(raw.get("a", ())),
        )


@dataclass(frozen=True, kw_only=True)
class MemberFact:
    """What a class has under a name, from itself or a base. ``owner`` is the dotted name of the class it stands in.

    ``call`` is how it is called on an object: without ``self``.
    """

    presence: Presence
    kind: str = "value"  # "method", "classmethod", "staticmethod", "property", "class" or "value"
    owner: str = ""
    is_async: bool = False
    is_abstract: bool = False
    only_raises: bool = False
    call: CallFact = CallFact()

    def to_json(self) -> list[Any]:
        """A list of the fields."""
        marks = [self.is_async, self.is_abstract, self.only_raises]
        return [self.presence.value, self.kind, self.owner, *marks, self.call.to_json()]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> MemberFact:
        """The record that ``to_json`` wrote."""
        return cls(
            presence=Presence(raw[0]), kind=raw[1], owner=raw[2], is_async=raw[3], is_abstract=raw[4],
            only_raises=raw[5], call=CallFact.from_json(raw[6]),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ClassFact:
    """A class with all it inherits, as far as the source is at hand."""

    lineage: tuple[str, ...]  # dotted names, nearest first
    unread: tuple[str, ...] = ()  # bases whose source is not at hand
    abstract: tuple[str, ...] = ()  # abstract methods that nothing in it fills in; only of a class that enforces them
    hollow: tuple[str, ...] = ()  # methods that only raise NotImplementedError
    dynamic: bool = False  # attributes may come from where the class body does not say

    def to_json(self) -> list[Any]:
        """A list of the fields."""
        return [list(self.lineage), list(self.unread), list(self.abstract), list(self.hollow), self.dynamic]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> ClassFact:
        """The record that ``to_json`` wrote."""
        lineage, unread, abstract, hollow = (tuple(each) for each in raw[:4])
        return cls(lineage=lineage, unread=unread, abstract=abstract, hollow=hollow, dynamic=raw[4])


@dataclass(frozen=True, kw_only=True)
class CallShape:
    """A call of a method somewhere in a package: where it stands and what it gives; ``on_self``: on ``self``."""

    module: str
    line: int
    positional: int
    starred: bool
    keywords: tuple[str, ...]
    spread: bool
    on_self: bool = False

    def to_json(self) -> list[Any]:
        """A list of the fields."""
        given = [self.positional, self.starred, list(self.keywords), self.spread]
        return [self.module, self.line, *given, self.on_self]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> CallShape:
        """The record that ``to_json`` wrote."""
        return cls(
            module=raw[0], line=raw[1], positional=raw[2], starred=raw[3], keywords=tuple(raw[4]), spread=raw[5],
            on_self=raw[6],
        )  # fmt: skip


def _parameter(each: Parameter) -> list[Any]:
    return [each.name, each.kind, each.required, each.default, each.annotation]


def _from_list(raw: Sequence[Any]) -> Parameter:
    return Parameter(name=raw[0], kind=raw[1], required=raw[2], default=raw[3], annotation=raw[4])
