"""Answers: facts about a release read from its source."""

from __future__ import annotations

__all__ = ["Answers"]

import ast
import re
from collections.abc import Iterator

from mixprec_doctor.codecheck.facts import CallFact, CallShape, ClassFact, MemberFact, NameFact, Presence
from mixprec_doctor.codecheck.members import class_fact, ignores_unknown, may_make_another, member_fact
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.resolution import Parameter, Status
from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.resolving.offers import Offer, Offers
from mixprec_doctor.resolving.roles import RoleResolver
from mixprec_doctor.resolving.symbols import module_of
from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Exports, Found, Outside, Standin
from mixprec_doctor.source.module import parse_expression
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode.forwarding import forwarding_of

_DEFINED = re.compile(rb"(?m)^(class|def|async def) ([A-Za-z_]\w*)|^([A-Za-z_]\w*)[ \t]*(?::[^\n=]+)?=(?!=)")
_LONGEST_CALL = 4_000


class Answers:
    """Answers questions about one package of some sources. Nothing is run."""

    def __init__(self, sources: Sources, environment: Environment | None = None) -> None:
        self._sources = sources
        self._exports = Exports(sources)
        self._offers = Offers(self._exports, environment)

    def module(self, name: str) -> Presence:
        """Whether a module can be imported."""
        there = self._offers.has_module(name)
        return {Truth.YES: Presence.THERE, Truth.NO: Presence.MISSING}.get(there, Presence.UNKNOWN)

    def name(self, module: str, name: str) -> NameFact:
        """What a module, which is there, has under a name."""
        found = self._exports.look_up(module, name)
        if isinstance(found, Found):
            return NameFact(presence=Presence.THERE, kind=_kind(found), module=found.module, name=found.name)
        if isinstance(found, Outside):
            return NameFact(presence=Presence.UNKNOWN, module=found.module, name=found.name)
        if isinstance(found, Standin):
            return NameFact(presence=Presence.PLACEHOLDER, module=found.module, name=found.name,
                            text=f"{found.text}, because {found.because}")  # fmt: skip
        if not self._is_certainly_missing(module, name, found.fault):
            return NameFact(presence=Presence.UNKNOWN, text=found.fault)
        return NameFact(presence=Presence.MISSING, text=found.fault)

    def _is_certainly_missing(self, module: str, name: str, fault: str) -> bool:
        if "in a circle" in fault or "cannot be parsed" in fault or (name.startswith("__") and name.endswith("__")):
            return False
        return self._offers.beside_getattr(module, name) is Offer.NOTHING  # look_up has read its __getattr__

    def call(self, module: str, name: str) -> CallFact:
        """How a class or function is called, by the module and name of its definition."""
        found = self._exports.look_up(module, name)
        if not isinstance(found, Found) or not _is_callable(found):
            return CallFact()
        parameters = parameters_of(found, self._exports)
        if found.value is not None and not parameters:
            return CallFact()
        certain = doubt_about(found, self._exports) is None
        if ignores_unknown(found, self._exports):
            parameters += (Parameter(name="further", kind="VAR_KEYWORD", required=False),)
            return CallFact(parameters=parameters, certain=certain)
        swapped = may_make_another(found, self._exports)
        if not any(each.kind == "VAR_KEYWORD" for each in parameters) or not isinstance(found.node, ast.ClassDef):
            return CallFact(parameters=parameters, certain=certain, swapped=swapped)
        on = forwarding_of(found, self._exports)
        if on is None:
            return CallFact(parameters=parameters, certain=certain, swapped=swapped)
        return CallFact(
            parameters=parameters, certain=certain, swapped=swapped, handed_on=on.parameters,
            handed_to=on.target.name, looked_at=tuple(sorted(on.looked_at)), added=tuple(sorted(on.added)),
        )  # fmt: skip

    def of_class(self, module: str, name: str) -> ClassFact | None:
        """What a class is built on; None for what is none."""
        found = self._exports.look_up(module, name)
        return class_fact(found, self._exports) if isinstance(found, Found) else None

    def member(self, module: str, name: str, member: str) -> MemberFact:
        """What a class has under a name."""
        found = self._exports.look_up(module, name)
        if not isinstance(found, Found) or not isinstance(found.node, ast.ClassDef) or found.value is not None:
            return MemberFact(presence=Presence.UNKNOWN)
        return member_fact(found, member, self._exports)

    def successor(self, package: str, name: str) -> tuple[str, str] | None:
        """What does in this release what a name did in others, where the engine has a role for it."""
        layout = next((each for each in LAYOUTS if each.engine == package), None)
        roles = [role for role, usual in layout.usual.items() if name in usual.names] if layout is not None else []
        if layout is None or len(roles) != 1:
            return None
        found = RoleResolver(self._exports, layout).resolve(roles[0])
        if found.status is not Status.FOUND or not found.module or not found.name or found.name == name:
            return None
        return found.module, found.name

    def definitions(self, package: str) -> dict[str, list[str]]:
        """Modules by the names of classes, functions and values that they define at the beginning of a line."""
        found: dict[str, list[str]] = {}
        for module, text in self._texts(package):
            for _, name, value in set(_DEFINED.findall(text)):
                plain = (name or value).decode()
                homes = found.setdefault(plain, [])
                if module not in homes:
                    homes.append(module)
        return found

    def names_class(self, module: str, name: str) -> bool:
        """Whether a word stands in the source of a module."""
        return re.search(rb"\b%s\b" % re.escape(name.encode()), self._sources.text(module) or b"") is not None

    def mentions(self, package: str, name: str) -> bool:
        """Whether a word stands anywhere in the source of a package."""
        word = re.compile(rb"\b%s\b" % re.escape(name.encode()))
        return any(name.encode() in text and word.search(text) for _, text in self._texts(package))

    def calls_of(self, package: str, method: str) -> list[CallShape]:
        """Every call ``anything.method(...)`` in the package."""
        call = re.compile(rb"\.%s\(" % re.escape(method.encode()))
        plain = b".%s(" % method.encode()
        found: list[CallShape] = []
        for module, text in self._texts(package):
            if plain not in text:
                continue
            for each in call.finditer(text):
                before = text[max(0, each.start() - 7) : each.start()]
                if before.endswith((b"super()", b"cls")):  # on to the base itself
                    continue
                on_self = re.search(rb"(?<![\w.])self$", before) is not None
                shape = _shape(text, each.end() - 1)
                if shape is not None:
                    line = text.count(b"\n", 0, each.start()) + 1
                    found.append(CallShape(
                        module=module, line=line, positional=sum(not isinstance(a, ast.Starred) for a in shape.args),
                        starred=any(isinstance(a, ast.Starred) for a in shape.args),
                        keywords=tuple(word.arg for word in shape.keywords if word.arg is not None),
                        spread=any(word.arg is None for word in shape.keywords), on_self=on_self,
                    ))  # fmt: skip
        return found

    def _texts(self, package: str) -> Iterator[tuple[str, bytes]]:
        tree = self._sources.tree(package)
        if tree is None:
            return
        paths = tree.walk(package)
        tree.prefetch(paths)
        for path in paths:
            text = tree.read(path)
            if text:
                yield module_of(path)[0], text


def _kind(found: Found) -> str:
    if found.node is None:
        return "module"
    if found.value is None and isinstance(found.node, ast.ClassDef):
        return "class"
    if found.value is None and isinstance(found.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "function"
    return "value"


def _is_callable(found: Found) -> bool:
    if found.value is not None:
        return isinstance(found.value, (ast.Call, ast.Lambda))
    return isinstance(found.node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))


def _shape(text: bytes, opening: int) -> ast.Call | None:
    """The call whose parenthesis opens at an offset, with arguments alone."""
    depth, at, end = 0, opening, min(len(text), opening + _LONGEST_CALL)
    while at < end:
        byte = text[at : at + 1]
        if byte in b"([{":
            depth += 1
        elif byte in b")]}":
            depth -= 1
            if depth == 0:
                break
        elif byte in b"\"'":
            quote = text[at : at + 3] if text[at : at + 3] in (b'"""', b"'''") else byte
            at += len(quote)
            while at < end and text[at : at + len(quote)] != quote:
                at += 2 if text[at : at + 1] == b"\\" else 1
            at += len(quote) - 1
        elif byte == b"#":
            at = text.find(b"\n", at, end)
            if at < 0:
                return None
        at += 1
    try:
        node = parse_expression("f" + text[opening : at + 1].decode("utf-8", errors="replace"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return node if isinstance(node, ast.Call) else None
