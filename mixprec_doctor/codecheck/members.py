"""Members: what a class of a package has under a name, and which of its methods are still to be written."""

from __future__ import annotations

__all__ = ["class_fact", "ignores_unknown", "may_make_another", "member_fact"]

import ast
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass

from mixprec_doctor.codecheck.facts import CallFact, ClassFact, MemberFact, Presence
from mixprec_doctor.source.constructors import parameters_of
from mixprec_doctor.source.decorators import keeps_signature
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.lineage import Lineage, base_classes, base_names, find_method, last_name, resolve_expression
from mixprec_doctor.source.module import ParsedModule, bindings_of

_NOTHING = {"object", "ABC", "Generic", "Protocol"}
_OF_METACLASSES = frozenset(dir(type(ABC)))  # register, mro
_PROPERTIES = {"property", "cached_property", "abstractproperty", "setter"}
_OF_OBJECT = frozenset(dir(object))
_PLAIN_CLASS = {"dataclass", "final", "total_ordering", "runtime_checkable", "deprecated", "dataclass_transform"}


@dataclass(frozen=True)
class _Member:
    """A statement of a class body that binds a name; ``certain``: no condition is around it."""

    name: str
    node: ast.stmt
    value: ast.expr | None
    certain: bool


def class_fact(found: Found, exports: Exports) -> ClassFact | None:
    """A class with all it inherits; None for what is no class."""
    lineage = _lineage(found, exports)
    if lineage is None:
        return None
    unread = tuple(dict.fromkeys(name for each, home in lineage for name in _unread(each, home, exports)))
    enforced = any(_enforces(each, home, exports) for each, home in lineage)
    pending: dict[str, None] = {}
    hollow: dict[str, None] = {}
    for each, home in reversed(lineage):
        for member in _members(each, home, exports):
            pending.pop(member.name, None)
            hollow.pop(member.name, None)
            if isinstance(member.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if _is_abstract(member.node):
                    pending[member.name] = None
                elif _only_raises(member.node, home):
                    hollow[member.name] = None
    return ClassFact(
        lineage=tuple(f"{home.name}.{each.name}" for each, home in lineage),
        unread=unread,
        abstract=tuple(pending) if enforced else (),
        hollow=tuple(hollow) if enforced else (*pending, *hollow),
        dynamic=_is_dynamic(lineage, exports),
    )


def member_fact(found: Found, name: str, exports: Exports) -> MemberFact:
    """What a class has under a name; MISSING only where nothing else could bring it."""
    lineage = _lineage(found, exports)
    if lineage is None:
        return MemberFact(presence=Presence.UNKNOWN)
    for each, home in lineage:
        for member in reversed(list(_members(each, home, exports))):
            if member.name == name:
                return _fact(member, each, home, exports)
    if name in _OF_OBJECT or name in _OF_METACLASSES or name.startswith("__"):
        return MemberFact(presence=Presence.UNKNOWN)
    if _is_dynamic(lineage, exports) or any(True for each, home in lineage for _ in _unread(each, home, exports)):
        return MemberFact(presence=Presence.UNKNOWN)
    return MemberFact(presence=Presence.MISSING)


def ignores_unknown(found: Found, exports: Exports) -> bool:
    """Whether a class is a pydantic model that takes words it has no field for without a complaint, as most do."""
    lineage = _lineage(found, exports) or []
    if not any("BaseModel" in base_names(each) for each, _ in lineage):
        return False
    settings = (
        statement for each, _ in lineage for statement in each.body
        if (isinstance(statement, ast.ClassDef) and statement.name == "Config")
        or (isinstance(statement, ast.Assign) and last_name(statement.targets[0]) == "model_config")
    )  # fmt: skip
    return not any("forbid" in ast.unparse(each) for each in settings)


def may_make_another(found: Found, exports: Exports) -> bool:
    """Whether a ``__new__`` of a class makes objects of something else than the class that it is called on."""
    for each, home in _lineage(found, exports) or ():
        made = find_method(each, "__new__")
        if made is None or not made.args.args:
            continue
        own = made.args.args[0].arg
        for node in ast.walk(home.whole(made)):
            if isinstance(node, ast.Call) and last_name(node.func) == "__new__" and node.args:
                first = node.args[0]
                if not (isinstance(first, ast.Name) and first.id == own):
                    return True
    return False


def _lineage(found: Found, exports: Exports) -> Lineage | None:
    home = exports.sources.module(found.module)
    if home is None or not isinstance(found.node, ast.ClassDef) or found.value is not None:
        return None
    return base_classes(found.node, home, exports)


def _members(node: ast.ClassDef, home: ParsedModule, exports: Exports) -> Iterator[_Member]:
    """What the body of a class binds, in order; overloads left out."""
    key = ("members", home.name, id(node))
    if key not in exports.kept:
        exports.kept[key] = node, tuple(_read_members(node))
    found: tuple[_Member, ...] = exports.kept[key][1]
    yield from found


def _read_members(node: ast.ClassDef) -> Iterator[_Member]:
    for binding in bindings_of(node.body):
        statement = binding.statement
        marks = {last_name(each) for each in getattr(statement, "decorator_list", ())}
        if "overload" not in marks:
            yield _Member(binding.name, statement, binding.value, not binding.guards)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is None:
            yield _Member(statement.target.id, statement, None, certain=False)


def _fact(member: _Member, node: ast.ClassDef, home: ParsedModule, exports: Exports) -> MemberFact:
    owner, statement = f"{home.name}.{node.name}", member.node
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and member.value is None:
        marks = {last_name(each) for each in statement.decorator_list}
        kind = "method"
        if marks & _PROPERTIES:
            kind = "property"
        elif "staticmethod" in marks:
            kind = "staticmethod"
        elif "classmethod" in marks or statement.name in ("__init_subclass__", "__class_getitem__"):
            kind = "classmethod"
        parameters = parameters_of(Found(module=home.name, name=statement.name, node=statement), exports)
        plain = parameters if kind == "staticmethod" or not parameters else parameters[1:]
        if parameters and parameters[0].kind.startswith("VAR_"):
            plain = parameters
        certain = member.certain and all(
            keeps_signature(each, home, exports) or last_name(each) in _PROPERTIES
            for each in statement.decorator_list
        )  # fmt: skip
        return MemberFact(
            presence=Presence.THERE, kind=kind, owner=owner, is_async=isinstance(statement, ast.AsyncFunctionDef),
            is_abstract=_is_abstract(statement), only_raises=_only_raises(statement, home),
            call=CallFact(parameters=plain, certain=certain),
        )  # fmt: skip
    kind = "class" if isinstance(statement, ast.ClassDef) else "value"
    return MemberFact(presence=Presence.THERE, kind=kind, owner=owner)


def _unread(node: ast.ClassDef, home: ParsedModule, exports: Exports) -> Iterator[str]:
    """Bases whose source is not at hand, but for those that bring nothing."""
    for base in node.bases:
        if last_name(base) in _NOTHING:
            continue
        found = resolve_expression(base, home, exports)
        if not isinstance(found, Found) or not isinstance(found.node, ast.ClassDef) or found.value is not None:
            yield home.text(base)


def _is_dynamic(lineage: Lineage, exports: Exports) -> bool:
    """Whether decorators, a metaclass or assignments from outside may bring further attributes."""
    for each, home in lineage:
        if any(word.arg == "metaclass" and last_name(word.value) != "ABCMeta" for word in each.keywords):
            return True
        if any(last_name(mark) not in _PLAIN_CLASS for mark in each.decorator_list):
            return True
        names = {member.name for member in _members(each, home, exports)}
        if names & {"__getattr__", "__getattribute__", "__init_subclass__", "__class_getitem__"}:
            return True
        if f"setattr({each.name}".encode() in home.source or f"\n{each.name}.".encode() in home.source:
            return True
    return False


def _enforces(node: ast.ClassDef, home: ParsedModule, exports: Exports) -> bool:
    """Whether Python itself refuses objects of a class with abstract methods."""
    if any(last_name(base) in ("ABC", "Protocol") for base in node.bases):
        return True
    if any(word.arg == "metaclass" and last_name(word.value) == "ABCMeta" for word in node.keywords):
        return True
    return any(name.rpartition(".")[2] == "Enum" for name in _unread(node, home, exports))


def _is_abstract(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(last_name(each) in ("abstractmethod", "abstractproperty") for each in node.decorator_list)


def _only_raises(node: ast.FunctionDef | ast.AsyncFunctionDef, home: ParsedModule) -> bool:
    """Whether a method does nothing but raise NotImplementedError."""
    body = [
        each for each in home.whole(node).body
        if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and each.value.value is not ...)
    ]  # fmt: skip
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    return last_name(body[0].exc) == "NotImplementedError"
