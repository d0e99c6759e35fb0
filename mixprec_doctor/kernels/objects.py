"""Objects: attributes, instances of the source's classes, enums and dataclasses, equality and membership."""

from __future__ import annotations

__all__ = ["Above", "attribute", "find_in_class", "is_enum", "is_tensor", "make", "members", "set_attribute"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels import methods
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
    text_of,
)
from mixprec_doctor.source.lineage import last_name

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator

_ENUMS = ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
_TENSORS = ("Parameter", "Tensor")


@dataclass(frozen=True)
class Above:
    """``super()`` in a method of ``home``."""

    home: Class
    owner: object


def attribute(ev: Evaluator, value: object, name: str) -> object:
    """``value.name``; a missing one raises where the object is fully known."""
    if isinstance(value, Instance):
        return _of_instance(ev, value, name)
    if isinstance(value, Class):
        return _of_class(ev, value, name, value)
    if isinstance(value, Namespace):
        found = ev.names.look_up(value.name, name)
        below = f"{value.name}.{name}"
        return Namespace(below) if isinstance(found, Unknown) and ev.names.is_module(below) else found
    if isinstance(value, External):
        return ev.outside.value(f"{value.name}.{name}")
    if isinstance(value, Unknown):
        return value.derived(f"{{}}.{name}")
    if isinstance(value, Above):
        return _of_above(ev, value, name)
    if isinstance(value, Function):
        return value.name if name in ("__name__", "__qualname__") else Unknown(f"{value.name}.{name}")
    if isinstance(value, Bound):
        return attribute(ev, value.function, name)
    return methods.method(ev, value, name)


def _of_instance(ev: Evaluator, value: Instance, name: str) -> object:
    if name in value.attributes:
        return value.attributes[name]
    if name == "__class__" and value.of is not None:
        return value.of
    if value.order is not None and name == "_replace":
        return Builtin("_replace", lambda _, words: _replaced(value, words))
    if value.of is not None and any(name in each.given for each in value.of.lineage):
        return next(each.given[name] for each in value.of.lineage if name in each.given)
    if value.of is not None and (found := find_in_class(value.of, name)) is not None:
        return _met(ev, *found, name=name, owner=value)
    if value.open:
        known = methods.of_open(ev, value, name)
        return Unknown(f"{text_of(value)}.{name}") if known is None else known
    if value.of is not None and not value.of.outside and find_in_class(value.of, "__getattr__") is None:
        raise Raised("AttributeError", f"{text_of(value)} has no attribute {name}")
    return Unknown(f"{text_of(value)}.{name}")


def _replaced(value: Instance, words: dict[str, Any]) -> Instance:
    return Instance(value.of, {**value.attributes, **words}, order=value.order, compared=value.compared)


def _of_class(ev: Evaluator, value: Class, name: str, owner: object) -> object:
    if name in ("__name__", "__qualname__"):
        return value.name
    for each in value.lineage:
        if name in each.given:
            return each.given[name]
    if (found := find_in_class(value, name)) is not None:
        return _met(ev, *found, name=name, owner=owner)
    for each in value.lineage:
        if (outer := _set_below(each, name)) is not None:
            return _class_value(ev, outer, each, name)
    if name == "__members__" and is_enum(value):
        return {each.attributes["name"]: each for each in members(ev, value)}
    if is_tensor(value):
        return Unknown(f"{value.name}.{name}")
    if not value.outside or set(value.outside) <= {"ABC", "object", "Generic", "Protocol", "NamedTuple", *_ENUMS}:
        raise Raised("AttributeError", f"{value.name} has no attribute {name}")
    return Unknown(f"{value.name}.{name}")


def _of_above(ev: Evaluator, value: Above, name: str) -> object:
    start = value.owner if isinstance(value.owner, Class) else getattr(value.owner, "of", None)
    lineage = start.lineage if isinstance(start, Class) else value.home.lineage
    index = next((at for at, each in enumerate(lineage) if each is value.home), 0)
    for each in lineage[index + 1 :]:
        if (found := _own(each, name)) is not None:
            return _met(ev, found, each, name=name, owner=value.owner)
    return Builtin(f"super().{name}", lambda *_: None)


def find_in_class(value: Class, name: str) -> tuple[ast.stmt, Class] | None:
    """The statement of a class body that binds a name, in the class or in the nearest base that has it."""
    for each in value.lineage:
        if (found := _own(each, name)) is not None:
            return found, each
    return None


def _own(value: Class, name: str) -> ast.stmt | None:
    key = f"statement {name}"
    if key not in value.kept:
        value.kept[key] = _search(value.node.body, name)
    found = value.kept[key]
    return found if isinstance(found, ast.stmt) else None


def _set_below(value: Class, name: str) -> ast.Assign | None:
    """``TheClass.name = value``, as a module says below the class."""
    key = f"below {name}"
    if key not in value.kept:
        value.kept[key] = next(
            (
                each
                for each in value.parsed.tree.body
                if isinstance(each, ast.Assign)
                and isinstance(target := each.targets[0], ast.Attribute)
                and target.attr == name
                and isinstance(target.value, ast.Name)
                and target.value.id == value.name
            ),
            None,
        )
    found = value.kept[key]
    return found if isinstance(found, ast.Assign) else None


def _search(body: list[ast.stmt], name: str) -> ast.stmt | None:
    found: ast.stmt | None = None
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and statement.name == name:
            overloaded = any(last_name(each) in ("overload", "setter") for each in statement.decorator_list)
            found = found if overloaded else statement
        elif isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in statement.targets
        ):
            found = statement
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if statement.target.id == name and statement.value is not None:
                found = statement
        elif isinstance(statement, ast.If):
            found = _search([*statement.body, *statement.orelse], name) or found
    return found


def _met(ev: Evaluator, found: ast.stmt, home: Class, *, name: str, owner: object) -> object:
    """What a binding of a class body gives when it is asked for on an object or on the class."""
    if isinstance(found, ast.FunctionDef):
        marks = {last_name(each) for each in found.decorator_list}
        function = ev.function(found, home.parsed, home)
        instance = isinstance(owner, Instance)
        if "staticmethod" in marks:
            return Function(name=function.name, node=function.node, parsed=function.parsed)
        if "classmethod" in marks:
            return Bound(function, owner.of if isinstance(owner, Instance) and owner.of else owner)
        if marks & {"property", "cached_property", "classproperty"} and (instance or "classproperty" in marks):
            return ev.call(Bound(function, owner), [])
        return Bound(function, owner) if instance else function
    if isinstance(found, ast.ClassDef):
        return ev.class_of(found, home.parsed)
    value = _class_value(ev, found, home, name)
    return Bound(value, owner) if isinstance(value, Function) and isinstance(owner, Instance) else value


def _class_value(ev: Evaluator, found: ast.stmt, home: Class, name: str) -> object:
    from mixprec_doctor.kernels.evaluator import Frame

    if name in home.kept:
        return home.kept[name]
    value = found.value if isinstance(found, (ast.Assign, ast.AnnAssign)) else None
    assumed = len(ev.paths.assumed)
    beside = _Beside(ev, home, name)
    made = Unknown(f"{home.name}.{name}") if value is None else ev.value(value, Frame(home.parsed, around=beside))
    if is_enum(home) and not isinstance(made, Function):
        made = Instance(home, {"name": name, "value": made, "_value_": made}, name=f"{home.name}.{name}")
    elif isinstance(made, Instance) and not made.name:
        made.name = name
    named = made.of if isinstance(made, Instance) and not is_enum(home) else None
    if named is not None and find_in_class(named, "__set_name__") is not None:
        ev.method(made, "__set_name__", home, name)
    if len(ev.paths.assumed) == assumed:
        home.kept[name] = made
    return made


class _Beside(dict[str, object]):
    """The names of a class body, for the values of its other names."""

    def __init__(self, ev: Evaluator, home: Class, but: str) -> None:
        super().__init__()
        self._ev, self._home, self._but = ev, home, but

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name != self._but and _own(self._home, name) is not None

    def __getitem__(self, name: str) -> object:
        return _of_class(self._ev, self._home, name, self._home)


def set_attribute(value: object, name: str, new: object) -> None:
    """``value.name = new``; on what is not known it is lost."""
    if isinstance(value, Instance):
        value.attributes[name] = new
    elif isinstance(value, Class):
        value.given[name] = new


def is_enum(value: Class) -> bool:
    """Whether the members of a class are its values."""
    return any(name in value.bases for name in _ENUMS)


def is_tensor(value: Class) -> bool:
    """Whether a class is one of torch's tensors or parameters."""
    return any(name in value.bases for name in _TENSORS)


def members(ev: Evaluator, value: Class) -> Iterator[Instance]:
    """The members of an enum, in order."""
    for statement in value.node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found = _of_class(ev, value, statement.targets[0].id, value)
            if isinstance(found, Instance):
                yield found


def make(ev: Evaluator, of: Class, given: list[Any], words: dict[str, Any]) -> object:
    """A new object of a class of the source."""
    if is_enum(of):
        for each in members(ev, of):
            if given and ev.equal(each.attributes["value"], given[0]) is True:
                return each
        return Unknown(f"{of.name}({text_of(given[0]) if given else ''})")
    if is_tensor(of):
        made = Instance(of, open=True, name=of.name)
        data = words.get("data", given[0] if given else None)
        made.attributes |= data.attributes if isinstance(data, Instance) else {}
        made.attributes |= {key: each for key, each in words.items() if key != "data"}
        made.attributes |= {f"_{key}": each for key, each in words.items()}
        return made
    made = Instance(of, name="", open=bool(of.outside))
    fields = _fields(of)
    if find_in_class(of, "__init__") is None and fields is not None:
        _fill(ev, made, of, fields, given, words)
    elif find_in_class(of, "__init__") is not None:
        ev.call(attribute(ev, made, "__init__"), given, words)
    else:
        made.attributes |= words
    return made


def _fields(of: Class) -> list[tuple[str, ast.expr | None, Class]] | None:
    """The fields of a dataclass or a named tuple with their defaults, in order; None for other classes."""
    marked = [each for each in of.lineage if any(last_name(one) == "dataclass" for one in each.node.decorator_list)]
    tuples = [each for each in of.lineage if "NamedTuple" in [last_name(base) for base in each.node.bases]]
    found: dict[str, tuple[ast.expr | None, Class]] = {}
    for each in reversed(marked or tuples):
        for statement in each.node.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            if "ClassVar" not in ast.unparse(statement.annotation):
                found[statement.target.id] = (statement.value, each)
    if not marked and not tuples and not any(last_name(base) == "Struct" for base in of.node.bases):
        return None
    return [(name, default, home) for name, (default, home) in found.items()]


def _fill(
    ev: Evaluator,
    made: Instance,
    of: Class,
    fields: list[tuple[str, ast.expr | None, Class]],
    given: list[Any],
    words: dict[str, Any],
) -> None:
    from mixprec_doctor.kernels.evaluator import Frame

    names = [name for name, _, _ in fields]
    if len(given) > len(names):
        raise Raised("TypeError", f"{of.name} takes {len(names)} arguments but {len(given)} were given")
    values = {**dict(zip(names, given, strict=False)), **words}
    if unknown := [key for key in words if key not in names]:
        raise Raised("TypeError", f"{of.name} got an unexpected keyword argument {unknown[0]!r}")
    for name, default, home in fields:
        if name in values:
            continue
        if default is None:
            raise Raised("TypeError", f"{of.name} misses argument {name!r}")
        if isinstance(default, ast.Call) and last_name(default.func) == "field":
            options = {each.arg: each.value for each in default.keywords}
            if "default" in options:
                values[name] = ev.value(options["default"], Frame(home.parsed))
            elif "default_factory" in options:
                values[name] = ev.call(ev.value(options["default_factory"], Frame(home.parsed)), [])
            else:
                values[name] = Unknown(f"{of.name}.{name}")
        else:
            values[name] = ev.value(default, Frame(home.parsed))
    made.attributes |= {name: values[name] for name in names}
    made.compared = True
    if any("NamedTuple" in [last_name(base) for base in each.node.bases] for each in of.lineage):
        made.order = tuple(names)
    if find_in_class(of, "__post_init__") is not None:
        ev.call(attribute(ev, made, "__post_init__"), [])
