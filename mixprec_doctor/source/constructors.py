"""Constructors: the parameters of calling a class or function, read from its source."""

from __future__ import annotations

__all__ = ["Lineage", "base_classes", "find_method", "parameters_of", "resolve_expression"]

import ast
from collections.abc import Iterator
from dataclasses import replace

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source.exports import Exports, Found, Outside, is_struct_call
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.structs import assembled_fields

_POSITIONAL, _KEYWORD = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"
_FIELD_BASES = {
    "BaseModel": _KEYWORD,
    "BaseSettings": _KEYWORD,
    "NamedTuple": _POSITIONAL,
    "Struct": _POSITIONAL,
}
_DEEPEST = 30

Lineage = list[tuple[ast.ClassDef, ParsedModule]]  # a class and its bases, nearest first


def parameters_of(found: Found, exports: Exports) -> tuple[Parameter, ...]:
    """The parameters of calling what was found, without ``self``; empty for a plain value."""
    parsed = exports.sources.module(found.module)
    if parsed is None or found.node is None:
        return ()
    if isinstance(found.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _signature(found.node, parsed, bound=False)
    if isinstance(found.value, ast.Call) and is_struct_call(found.value):
        made = assembled_fields(found.value, parsed, exports, lambda each: parameters_of(each, exports))
        own = _own_fields(found.node, parsed) if isinstance(found.node, ast.ClassDef) else ()
        known = {each.name for each in made.parameters} if made else set()
        return (*made.parameters, *(each for each in own if each.name not in known)) if made else ()
    if isinstance(found.node, ast.ClassDef):
        return _constructor(found.node, parsed, exports)
    return ()


def _own_fields(node: ast.ClassDef, parsed: ParsedModule) -> tuple[Parameter, ...]:
    """What a class that a struct is made from annotates itself."""
    fields = []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            annotation = parsed.text(statement.annotation)
            if not _is_class_variable(annotation) and (field := _field(statement, annotation, _POSITIONAL, parsed)):
                fields.append(field)
    return tuple(fields)


def base_classes(node: ast.ClassDef, parsed: ParsedModule, exports: Exports) -> Lineage:
    """The class and what it inherits from, nearest first, as far as the source is at hand."""
    order: Lineage = []
    _linearize(node, parsed, exports, order, 0)
    unique: dict[int, tuple[ast.ClassDef, ParsedModule]] = {}
    for pair in order:  # a base that several classes share comes after the last of them
        unique.pop(id(pair[0]), None)
        unique[id(pair[0])] = pair
    return list(unique.values())


def base_names(node: ast.ClassDef) -> list[str]:
    """The last parts of the bases' names: ``torch.nn.Module`` gives ``Module``."""
    return [_last(base) for base in node.bases]


def _linearize(
    node: ast.ClassDef,
    parsed: ParsedModule,
    exports: Exports,
    order: Lineage,
    depth: int,
) -> None:
    order.append((node, parsed))
    if depth > _DEEPEST:
        return
    for base in node.bases:
        found = resolve_expression(base, parsed, exports)
        if isinstance(found, Found) and isinstance(found.node, ast.ClassDef) and found.node is not node:
            home = exports.sources.module(found.module)
            if home is not None:
                _linearize(found.node, home, exports, order, depth + 1)


def resolve_expression(node: ast.expr, parsed: ParsedModule, exports: Exports) -> object:
    """What a name or dotted name of a module means."""
    if isinstance(node, ast.Subscript):  # Generic[T]
        node = node.value
    if isinstance(node, ast.Name):
        return exports.look_up(parsed.name, node.id)
    if isinstance(node, ast.Attribute):
        base = resolve_expression(node.value, parsed, exports)
        if isinstance(base, Found) and base.node is None:
            return exports.look_up(base.module, node.attr)
        if isinstance(base, Outside):
            return Outside(module=f"{base.module}.{base.name}", name=node.attr)
    return None


def _constructor(node: ast.ClassDef, parsed: ParsedModule, exports: Exports) -> tuple[Parameter, ...]:
    """Python's own order: the nearest class that has ``__init__``, generated or written, decides."""
    if (own := find_method(node, "__init__")) is not None:  # no need to read what it inherits from
        return _signature(own, parsed, bound=True)
    lineage = base_classes(node, parsed, exports)
    for index, (each, home) in enumerate(lineage):
        written = find_method(each, "__init__")
        if written is not None:
            return _signature(written, home, bound=True)
        if (kind := _field_kind(each, home, exports, lineage[index:])) is not None:
            return _fields(lineage[index:], exports, kind)
        made = find_method(each, "__new__")
        if made is not None and not _is_enum(lineage):
            return _signature(made, home, bound=True)
    return ()


def _is_enum(lineage: Lineage) -> bool:
    return any("Enum" in name or name == "Flag" for each, _ in lineage for name in base_names(each))


def find_method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """The last definition of a method in a class body, that of an ``if`` or ``else`` included."""
    found = None
    for statement in _flat(node.body):
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            overloaded = any(_last(decorator) == "overload" for decorator in statement.decorator_list)
            found = found if overloaded else statement
    return found


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _flat([*statement.body, *statement.orelse])


def _signature(
    node: ast.FunctionDef | ast.AsyncFunctionDef, parsed: ParsedModule, *, bound: bool
) -> tuple[Parameter, ...]:
    arguments = node.args
    plain = [(each, "POSITIONAL_ONLY") for each in arguments.posonlyargs]
    plain += [(each, _POSITIONAL) for each in arguments.args]
    padding: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    defaults = [*padding, *arguments.defaults]
    static = any(_last(decorator) == "staticmethod" for decorator in node.decorator_list)
    if bound and not static:
        plain, defaults = plain[1:], defaults[1:]
    found = [_parameter(each, kind, default, parsed) for (each, kind), default in zip(plain, defaults, strict=True)]
    if arguments.vararg:
        found.append(_parameter(arguments.vararg, "VAR_POSITIONAL", None, parsed))
    found += [
        _parameter(each, _KEYWORD, default, parsed)
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        found.append(_parameter(arguments.kwarg, "VAR_KEYWORD", None, parsed))
    return tuple(found)


def _parameter(node: ast.arg, kind: str, default: ast.expr | None, parsed: ParsedModule) -> Parameter:
    return Parameter(
        name=node.arg,
        kind=kind,
        required=default is None and not kind.startswith("VAR_"),
        default=None if default is None else parsed.text(default),
        annotation=None if node.annotation is None else parsed.text(node.annotation),
    )


def _field_kind(
    node: ast.ClassDef,
    parsed: ParsedModule,
    exports: Exports,
    lineage: Lineage,
) -> str | None:
    """The kind of the parameters that fields become; None when the class has no generated ``__init__``."""
    for decorator in node.decorator_list:
        if _is_dataclass(decorator, parsed, exports):
            return _KEYWORD if _flag(decorator, "kw_only") else _POSITIONAL
    for each, _ in lineage:
        for name in base_names(each):
            if name in _FIELD_BASES:
                only = any(word.arg == "kw_only" for word in node.keywords)
                return _KEYWORD if only else _FIELD_BASES[name]
    return None


def _is_dataclass(decorator: ast.expr, parsed: ParsedModule, exports: Exports) -> bool:
    """``@dataclass`` itself, or a decorator of the package that applies it."""
    callee = decorator.func if isinstance(decorator, ast.Call) else decorator
    if _last(callee) == "dataclass":
        return True
    found = resolve_expression(callee, parsed, exports)
    if not isinstance(found, Found) or not isinstance(found.node, ast.FunctionDef):
        return False
    marks = [_last(each.func if isinstance(each, ast.Call) else each) for each in found.node.decorator_list]
    return "dataclass_transform" in marks


def _flag(decorator: ast.expr, name: str) -> bool:
    if not isinstance(decorator, ast.Call):
        return False
    return any(
        word.arg == name and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in decorator.keywords
    )


def _fields(lineage: Lineage, exports: Exports, kind: str) -> tuple[Parameter, ...]:
    """Fields of all classes, the base's first; a field set again keeps its place."""
    fields: dict[str, Parameter | None] = {}
    for node, parsed in reversed(lineage):
        own = _field_kind(node, parsed, exports, [(node, parsed), *lineage])
        if own is None:
            continue
        keyword = kind if kind == _KEYWORD else own
        for statement in node.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            annotation = parsed.text(statement.annotation)
            if annotation.split(".")[-1] == "KW_ONLY":
                keyword = _KEYWORD
            elif not _is_class_variable(annotation):
                fields[statement.target.id] = _field(statement, annotation, keyword, parsed)
    found = [parameter for parameter in fields.values() if parameter is not None]
    return tuple(sorted(found, key=lambda each: each.kind == _KEYWORD))


def _is_class_variable(annotation: str) -> bool:
    return annotation.lstrip("'\"").split("[")[0].endswith("ClassVar")


def _field(statement: ast.AnnAssign, annotation: str, kind: str, parsed: ParsedModule) -> Parameter | None:
    """One field as a parameter; None for one that the constructor does not take."""
    assert isinstance(statement.target, ast.Name)  # noqa: S101  the caller saw to it
    value = statement.value
    parameter = Parameter(
        name=statement.target.id,
        kind=kind,
        required=value is None,
        default=None if value is None else parsed.text(value),
        annotation=annotation,
    )
    if not isinstance(value, ast.Call) or _last(value.func).lower() != "field":
        return parameter
    words = {word.arg: word.value for word in value.keywords}
    if isinstance(words.get("init"), ast.Constant) and not words["init"].value:  # type: ignore[attr-defined]
        return None
    if isinstance(words.get("kw_only"), ast.Constant) and words["kw_only"].value:  # type: ignore[attr-defined]
        parameter = replace(parameter, kind=_KEYWORD)
    given = {"default", "default_factory", "factory"} & words.keys()
    first = value.args[0] if value.args and _last(value.func) == "Field" else None
    if given or (first is not None and not (isinstance(first, ast.Constant) and first.value is Ellipsis)):
        return parameter
    return replace(parameter, required=True, default=None)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _last(node.func)
    if isinstance(node, ast.Subscript):
        return _last(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
