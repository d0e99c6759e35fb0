"""Fields: the parameters of constructors that are made from what classes annotate."""

from __future__ import annotations

__all__ = ["fields_of", "maker_of_class", "own_fields"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source.decorators import Maker, maker_of
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.lineage import Lineage, base_classes, base_names, last_name
from mixprec_doctor.source.module import Branch, Guard, ParsedModule
from mixprec_doctor.source.truth import Truth

_POSITIONAL, _KEYWORD = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"
_MODELS = {"BaseModel", "BaseSettings", "RootModel"}
_FIELD_CALLS = {"field", "ib", "attrib"}
_DEFAULTS = {"default", "default_factory", "factory"}


@dataclass(frozen=True, kw_only=True)
class _Field:
    """A field: its parameter, or None for one that the constructor does not take."""

    parameter: Parameter | None
    default: str | None  # what a subclass that annotates it again without a value inherits


def maker_of_class(node: ast.ClassDef, parsed: ParsedModule, exports: Exports, lineage: Lineage) -> Maker | None:
    """What makes the constructor of a class from its fields; ``lineage`` begins with the class."""
    for decorator in node.decorator_list:
        if (maker := maker_of(decorator, parsed, exports)) is not None:
            return maker
    if "NamedTuple" in base_names(node):
        return Maker(kind="namedtuple")
    names = {name for each, _ in lineage for name in base_names(each)}
    if names & _MODELS:
        return Maker(kind="model", keyword_only=True)
    if "Struct" in names:
        return Maker(kind="struct", keyword_only=_is_true(_words(node.keywords).get("kw_only")))
    return None


def fields_of(lineage: Lineage, exports: Exports, maker: Maker) -> tuple[Parameter, ...]:
    """The parameters of all fields that the first class of a lineage has, its bases' first."""
    fields = _gathered(lineage, exports, maker)
    found = [field.parameter for field in fields.values() if field.parameter is not None]
    found.sort(key=lambda each: each.kind == _KEYWORD)
    if maker.kind == "model" and _takes_more(lineage):
        found.append(Parameter(name="extra_data", kind="VAR_KEYWORD", required=False, annotation="Any"))
    return tuple(found)


def _gathered(lineage: Lineage, exports: Exports, maker: Maker) -> dict[str, _Field]:
    """All fields by name. A base brings everything that it has, what it inherited itself included."""
    fields: dict[str, _Field] = {}
    for at, (node, parsed) in reversed(list(enumerate(lineage))):
        own = maker if at == 0 else maker_of_class(node, parsed, exports, lineage[at:])
        if own is None or own.kind != maker.kind or node.name in _MODELS:
            continue
        if at and len(lineage[0][0].bases) > 1 and maker.kind == "dataclass":
            fields |= _gathered(base_classes(node, parsed, exports), exports, own)
            continue
        for name, field in _class_fields(node, parsed, exports, own):
            known = fields.pop(name, None) if maker.kind == "attrs" else fields.get(name)
            fields[name] = _inheriting(field, known) if maker.kind == "dataclass" else field
    return fields


def own_fields(node: ast.ClassDef, parsed: ParsedModule, exports: Exports, maker: Maker) -> tuple[Parameter, ...]:
    """The parameters of the fields that a class annotates itself."""
    found = (field.parameter for _, field in _class_fields(node, parsed, exports, maker))
    return tuple(each for each in found if each is not None)


def _inheriting(field: _Field, known: _Field | None) -> _Field:
    """A field annotated again without a value keeps the value that the class inherits."""
    parameter = field.parameter
    if parameter is None or not parameter.required or field.default is not None or not known or known.default is None:
        return field
    return replace(field, parameter=replace(parameter, required=False, default=known.default), default=known.default)


def _class_fields(
    node: ast.ClassDef, parsed: ParsedModule, exports: Exports, maker: Maker
) -> Iterator[tuple[str, _Field]]:
    kind = _KEYWORD if maker.keyword_only else _POSITIONAL
    for statement in _statements(node.body, parsed, exports):
        if isinstance(statement, ast.Assign) and maker.kind == "attrs" and _is_field(statement.value, parsed):
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, _field(target.id, statement.value, None, kind, parsed, maker)
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, annotation = statement.target.id, parsed.text(statement.annotation)
        if annotation.strip("'\"").split(".")[-1] == "KW_ONLY" and maker.kind == "dataclass":
            kind = _KEYWORD
        elif _is_class_variable(annotation) or (maker.kind == "model" and name.startswith(("_", "model_config"))):
            continue
        else:
            yield name, _field(name, statement.value, statement.annotation, kind, parsed, maker)


def _statements(body: list[ast.stmt], parsed: ParsedModule, exports: Exports) -> Iterator[ast.stmt]:
    """The statements of a class body that run, as far as conditions decide."""
    for statement in body:
        if isinstance(statement, ast.If):
            for branch, inner in ((Branch.IF, statement.body), (Branch.ELSE, statement.orelse)):
                guard = Guard(branch=branch, line=statement.lineno, test=statement.test)
                if inner and exports.conditions.judge(guard, parsed) is not Truth.NO:
                    yield from _statements(inner, parsed, exports)
        else:
            yield statement


def _is_class_variable(annotation: str) -> bool:
    return annotation.lstrip("'\"").split("[")[0].rstrip("'\"").endswith("ClassVar")


def _field(
    name: str, value: ast.expr | None, annotation: ast.expr | None, kind: str, parsed: ParsedModule, maker: Maker
) -> _Field:
    text = None if value is None else parsed.text(value)
    parameter = Parameter(
        name=name.lstrip("_") if maker.kind == "attrs" else name,
        kind=kind,
        required=value is None,
        default=text,
        annotation=None if annotation is None else parsed.text(annotation),
    )
    if maker.kind == "model" and annotation is not None:
        for inner in _annotated_calls(annotation):
            parameter = _renamed(parameter, inner)
            if value is None and _words(inner.keywords).keys() & _DEFAULTS:
                parameter = replace(parameter, required=False, default=parsed.text(inner))
    if not isinstance(value, ast.Call) or not _is_field(value, parsed):
        return _Field(parameter=parameter, default=text)
    words = _words(value.keywords)
    if "kw_only" in words:
        parameter = replace(parameter, kind=_KEYWORD if _is_true(words["kw_only"]) else _POSITIONAL)
    if maker.kind in ("model", "attrs"):
        parameter = _renamed(parameter, value)
    first = value.args[0] if value.args and last_name(value.func) != "field" else None
    written = first is not None and not (isinstance(first, ast.Constant) and first.value is Ellipsis)
    default = words.get("default")
    if isinstance(default, ast.Constant) and default.value is Ellipsis and maker.kind == "model":
        words.pop("default")
    if not (written or words.keys() & _DEFAULTS):
        parameter = replace(parameter, required=True, default=None)
    if isinstance(words.get("init"), ast.Constant) and not _is_true(words["init"]):
        return _Field(parameter=None, default=text if default is not None else None)
    return _Field(parameter=parameter, default=text if default is not None else None)


def _renamed(parameter: Parameter, call: ast.Call) -> Parameter:
    """The parameter under the alias that its field sets."""
    words = _words(call.keywords)
    for word in ("alias", "validation_alias"):
        alias = words.get(word)
        if isinstance(alias, ast.Constant) and isinstance(alias.value, str) and alias.value.isidentifier():
            return replace(parameter, name=alias.value)
    return parameter


def _annotated_calls(annotation: ast.expr) -> Iterator[ast.Call]:
    """``Field(...)`` in ``Annotated[type, Field(...)]``."""
    if isinstance(annotation, ast.Subscript) and last_name(annotation.value) == "Annotated":
        for part in annotation.slice.elts[1:] if isinstance(annotation.slice, ast.Tuple) else ():
            if isinstance(part, ast.Call) and last_name(part.func) == "Field":
                yield part


def _is_field(value: ast.expr, parsed: ParsedModule) -> bool:
    """Whether a value is ``field(...)``, under whatever name it was imported."""
    if not isinstance(value, ast.Call):
        return False
    called = last_name(value.func)
    if called.lower() in _FIELD_CALLS:
        return True
    bound = parsed.by_name.get(called, ()) if isinstance(value.func, ast.Name) else ()
    return any(each.alias is not None and each.alias.name.lower() in _FIELD_CALLS for each in bound)


def _takes_more(lineage: Lineage) -> bool:
    """Whether the nearest ``model_config`` of a model allows keywords without a field."""
    for node, _ in lineage:
        for statement in node.body:
            value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if value is None or not any(getattr(each, "id", None) == "model_config" for each in targets):
                continue
            if isinstance(value, ast.Call):
                extra = _words(value.keywords).get("extra")
            elif isinstance(value, ast.Dict):
                pairs = zip(value.keys, value.values, strict=True)
                extra = next((each for key, each in pairs if getattr(key, "value", None) == "extra"), None)
            else:
                continue
            if extra is not None:
                return isinstance(extra, ast.Constant) and extra.value == "allow"
    return False


def _words(keywords: list[ast.keyword]) -> dict[str, ast.expr]:
    return {word.arg: word.value for word in keywords if word.arg}


def _is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True
