"""Constructors: the parameters of calling a class or function, read from its source."""

from __future__ import annotations

__all__ = ["Lineage", "base_classes", "doubt_about", "find_method", "parameters_of", "resolve_expression"]

import ast
import builtins
from dataclasses import dataclass, replace
from typing import TypeAlias

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source.decorators import Maker, keeps_signature, maker_of
from mixprec_doctor.source.exports import Exports, Found, Outside, is_struct_call
from mixprec_doctor.source.fields import fields_of, maker_of_class, own_fields
from mixprec_doctor.source.lineage import (
    Lineage,
    base_classes,
    base_names,
    find_method,
    last_name,
    resolve_expression,
    unread_bases,
)
from mixprec_doctor.source.module import ParsedModule, bindings_of, parse_expression
from mixprec_doctor.source.structs import assembled_fields, tuple_fields
from mixprec_doctor.source.truth import Truth, every

_POSITIONAL, _KEYWORD = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"
_ANYTHING = (
    Parameter(name="args", kind="VAR_POSITIONAL", required=False),
    Parameter(name="kwargs", kind="VAR_KEYWORD", required=False),
)
_WRAPPERS = {"cache", "lru_cache", "staticmethod", "contextmanager", "asynccontextmanager"}
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, kw_only=True)
class _Call:
    """How something is called, and why that may not be the whole truth."""

    parameters: tuple[Parameter, ...] = ()
    doubt: str | None = None


def parameters_of(found: Found, exports: Exports) -> tuple[Parameter, ...]:
    """The parameters of calling what was found, without ``self``; empty for a plain value."""
    return _call_of(found, exports).parameters


def doubt_about(found: Found, exports: Exports) -> str | None:
    """Why ``parameters_of`` may not be the whole truth; None when nothing in the source speaks against it."""
    parsed = exports.sources.module(found.module)
    if parsed is None or found.node is None:
        return None
    if (doubt := _call_of(found, exports).doubt) is not None:
        return doubt
    for decorator in getattr(found.node, "decorator_list", ()) if found.value is None else ():
        is_maker = isinstance(found.node, ast.ClassDef) and maker_of(decorator, parsed, exports) is not None
        if not is_maker and not keeps_signature(decorator, parsed, exports):
            name = parsed.text(decorator.func if isinstance(decorator, ast.Call) else decorator)
            origin = resolve_expression(parse_expression(name), parsed, exports)
            place = f"{origin.module}.{origin.name}" if isinstance(origin, (Found, Outside)) else name
            return f"{place} may change what {found.module}.{found.name} takes"
    if not isinstance(found.node, ast.ClassDef) or found.value is not None:
        return None
    return _doubt_about_class(found, parsed, exports)


def _doubt_about_class(found: Found, parsed: ParsedModule, exports: Exports) -> str | None:
    node = found.node
    assert isinstance(node, ast.ClassDef)  # noqa: S101  the caller saw to it
    name = f"{found.module}.{found.name}"
    if any(isinstance(each, ast.Assign) and last_name(each.targets[0]) == "__signature__" for each in node.body):
        return f"{name} has a __signature__ of its own"
    if find_method(node, "__init__") is not None:
        return None
    lineage = base_classes(node, parsed, exports)
    if _is_enum(lineage):
        return f"{name} is an enumeration: it is called with a value"
    if any("TypedDict" in base_names(each) for each, _ in lineage):
        return f"{name} is a typed dictionary: it takes any keys"
    for at, (each, home) in enumerate(lineage):
        if find_method(each, "__init__") or find_method(each, "__new__") or _named_init(each, home, exports):
            return None
        maker = maker_of_class(each, home, exports, lineage[at:])
        if maker is not None and maker.init:
            return None
        for base in unread_bases(each, home, exports):
            if not _is_builtin_fault(base):
                return f"{home.name}.{each.name} inherits from {base}, whose source is not at hand"
    return None


def _call_of(found: Found, exports: Exports) -> _Call:
    key = ("call", found.module, found.name, id(found.node), id(found.value))
    if key not in exports.kept:
        exports.kept[key] = found, _read_call(found, exports)  # with the nodes, so that no others can get their ids
    call: _Call = exports.kept[key][1]
    return call


def _read_call(found: Found, exports: Exports) -> _Call:
    parsed = exports.sources.module(found.module)
    if parsed is None or found.node is None:
        return _Call()
    if isinstance(found.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _Call(parameters=_signature(found.node, parsed, bound=False))
    if isinstance(found.value, ast.Lambda):
        return _Call(parameters=_signature(found.value, parsed, bound=False))
    if isinstance(found.value, ast.Attribute):
        return _Call(parameters=_of_attribute(found.value, parsed, exports))
    if isinstance(found.value, ast.Call):
        return _made_by(found.value, found, parsed, exports)
    if isinstance(found.node, ast.ClassDef):
        return _constructor(found.node, parsed, exports)
    return _Call()


def _made_by(call: ast.Call, found: Found, parsed: ParsedModule, exports: Exports) -> _Call:
    """What a call makes: a struct, a tuple, a class with a constructor, a function with some arguments given."""
    called, name = last_name(call.func), f"{found.module}.{found.name}"
    if is_struct_call(call):
        return _Call(parameters=_struct(call, found, parsed, exports))
    if called in ("namedtuple", "NamedTuple") and (fields := tuple_fields(call, parsed)) is not None:
        return _Call(parameters=fields)
    if called == "partial" and call.args:
        return _partial(call, name, parsed, exports)
    if called in _WRAPPERS and len(call.args) == 1:
        inner = resolve_expression(call.args[0], parsed, exports)
        return _call_of(inner, exports) if isinstance(inner, Found) else _Call()
    if isinstance(found.node, ast.ClassDef):  # the class of the same name, rebuilt
        return _constructor(found.node, parsed, exports)
    if len(call.args) == 1 and (maker := maker_of(call.func, parsed, exports)) is not None:
        inner = resolve_expression(call.args[0], parsed, exports)
        home = exports.sources.module(inner.module) if isinstance(inner, Found) else None
        if isinstance(inner, Found) and isinstance(inner.node, ast.ClassDef) and home is not None:
            return _Call(parameters=fields_of(base_classes(inner.node, home, exports), exports, maker))
    return _Call(doubt=f"{name} is made by {parsed.text(call.func)} on line {call.lineno}")


def _of_attribute(node: ast.Attribute, parsed: ParsedModule, exports: Exports) -> tuple[Parameter, ...]:
    """The parameters of a method of a class, or of an object that the module makes from one."""
    owner = resolve_expression(node.value, parsed, exports)
    is_object = isinstance(owner, Found) and isinstance(owner.value, ast.Call)
    if isinstance(owner, Found) and isinstance(owner.value, ast.Call):
        maker = exports.sources.module(owner.module)
        owner = resolve_expression(owner.value.func, maker, exports) if maker else None
    home = exports.sources.module(owner.module) if isinstance(owner, Found) else None
    if home is None or not isinstance(owner, Found) or not isinstance(owner.node, ast.ClassDef):
        return ()
    for each, place in base_classes(owner.node, home, exports):
        if (method := find_method(each, node.attr)) is not None:
            is_class_method = any(last_name(decorator) == "classmethod" for decorator in method.decorator_list)
            return _signature(method, place, bound=is_object or is_class_method)
    return ()


def _struct(call: ast.Call, found: Found, parsed: ParsedModule, exports: Exports) -> tuple[Parameter, ...]:
    made = assembled_fields(call, parsed, exports, lambda each: parameters_of(each, exports))
    if made is None:
        return ()
    struct = Maker(kind="struct")
    own = own_fields(found.node, parsed, exports, struct) if isinstance(found.node, ast.ClassDef) else ()
    fields: dict[str, Parameter] = {}
    for word in call.keywords:
        for base in word.value.elts if word.arg == "bases" and isinstance(word.value, (ast.Tuple, ast.List)) else ():
            origin = resolve_expression(base, parsed, exports)
            fields |= {each.name: each for each in parameters_of(origin, exports)} if isinstance(origin, Found) else {}
    fields |= {each.name: each for each in made.parameters}
    for each in own:
        fields.setdefault(each.name, each)
    return tuple(fields.values())


def _partial(call: ast.Call, name: str, parsed: ParsedModule, exports: Exports) -> _Call:
    """What is left of a signature; what follows an argument given by keyword can only be given so too."""
    inner = resolve_expression(call.args[0], parsed, exports)
    if not isinstance(inner, Found) or any(isinstance(each, ast.Starred) for each in call.args):
        return _Call(doubt=f"{name} is made by {parsed.text(call.func)} from something that is not at hand")
    given = {word.arg: parsed.text(word.value) for word in call.keywords if word.arg}
    left: list[Parameter] = []
    skipped = len(call.args) - 1
    by_keyword = False
    for each in _call_of(inner, exports).parameters:
        if skipped and each.kind.startswith("POSITIONAL"):
            skipped -= 1
            continue
        if each.name in given:
            by_keyword = True
            each = replace(each, required=False, default=given[each.name])  # noqa: PLW2901
        if by_keyword and each.kind == "VAR_POSITIONAL":
            continue
        left.append(replace(each, kind=_KEYWORD) if by_keyword and each.kind == _POSITIONAL else each)
    return _Call(parameters=tuple(left))


def _constructor(node: ast.ClassDef, parsed: ParsedModule, exports: Exports) -> _Call:
    """Python's own order: the nearest class that has ``__new__`` or ``__init__``, generated or written, decides."""
    if (meta := _metaclass_call(node, parsed, exports)) is not None and not _takes_anything(meta[0]):
        return _Call(parameters=_signature(*meta, bound=True))
    doubt = f"{_owner(*meta)}.__call__ takes any arguments; these are of its __init__" if meta else None
    own = _named_init(node, parsed, exports)
    if own is not None and find_method(node, "__new__") is None and not _is_model(node):
        return _Call(parameters=_signature(*own, bound=True), doubt=doubt)  # no need to read what it inherits from
    lineage = base_classes(node, parsed, exports)
    is_enum = _is_enum(lineage)
    for at, (each, home) in enumerate(lineage):
        made = None if is_enum else find_method(each, "__new__")
        written = _named_init(each, home, exports)
        if made is not None and _takes_anything(made):
            doubt = doubt or f"{home.name}.{each.name}.__new__ takes any arguments; these are of its __init__"
        elif made is not None:
            return _Call(parameters=_signature(made, home, bound=True), doubt=doubt)
        maker = maker_of_class(each, home, exports, lineage[at:])
        if written is not None:
            parameters = _signature(*written, bound=True)
            if maker is not None and maker.kind == "model":
                parameters = _model_init(parameters, fields_of(lineage[at:], exports, maker))
            return _Call(parameters=parameters, doubt=doubt)
        if maker is not None and maker.init:
            return _Call(parameters=fields_of(lineage[at:], exports, maker), doubt=doubt)
        for base in each.bases:
            fields = tuple_fields(base, home) if isinstance(base, ast.Call) else None
            if fields is not None:
                return _Call(parameters=fields, doubt=doubt)
        if "Protocol" in base_names(each):
            return _Call(parameters=_ANYTHING, doubt=doubt)
    unread = (base for each, home in lineage for base in unread_bases(each, home, exports))
    return _Call(parameters=_ANYTHING if any(map(_is_builtin_fault, unread)) else (), doubt=doubt)


def _named_init(node: ast.ClassDef, parsed: ParsedModule, exports: Exports) -> tuple[Function, ParsedModule] | None:
    """The ``__init__`` of a class itself: set from outside, else the last one of its body that runs."""
    for statement in reversed(parsed.tree.body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        outside = isinstance(target, ast.Attribute) and target.attr == "__init__"
        if outside and isinstance(statement, ast.Assign) and last_name(getattr(target, "value", None)) == node.name:
            return _function(statement.value, parsed, exports)
    plain = find_method(node, "__init__")
    if plain is not None and plain in node.body and not any(_assigns_init(each) for each in node.body):
        return plain, parsed
    for binding in reversed(list(bindings_of(node.body))):
        if binding.name != "__init__":
            continue
        if every(exports.conditions.judge(guard, parsed) for guard in binding.guards) is Truth.NO:
            continue
        if isinstance(binding.statement, ast.FunctionDef):
            return binding.statement, parsed
        return _function(binding.value, parsed, exports) if binding.value is not None else None
    return None


def _assigns_init(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and last_name(statement.targets[0]) == "__init__"


def _function(value: ast.expr, parsed: ParsedModule, exports: Exports) -> tuple[Function, ParsedModule] | None:
    if isinstance(value, ast.Lambda):
        return value, parsed
    found = resolve_expression(value, parsed, exports)
    home = exports.sources.module(found.module) if isinstance(found, Found) else None
    if (
        home is not None
        and isinstance(found, Found)
        and isinstance(found.node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ):
        return found.node, home
    return None


def _metaclass_call(
    node: ast.ClassDef, parsed: ParsedModule, exports: Exports
) -> tuple[ast.FunctionDef, ParsedModule] | None:
    """``__call__`` of the metaclass that a class names itself."""
    for word in node.keywords:
        if word.arg == "metaclass":
            found = resolve_expression(word.value, parsed, exports)
            home = exports.sources.module(found.module) if isinstance(found, Found) else None
            if home is not None and isinstance(found, Found) and isinstance(found.node, ast.ClassDef):
                for each, place in base_classes(found.node, home, exports):
                    if (method := find_method(each, "__call__")) is not None:
                        return method, place
    return None


def _owner(function: ast.FunctionDef, home: ParsedModule) -> str:
    """The class of a module that holds a method, as a dotted name."""
    for each in home.tree.body:
        if isinstance(each, ast.ClassDef) and function in ast.walk(each):
            return f"{home.name}.{each.name}"
    return home.name


def _takes_anything(function: ast.FunctionDef) -> bool:
    """Whether a method takes ``*args`` or ``**kwargs`` and nothing else."""
    given = function.args
    return bool(given.vararg or given.kwarg) and len(given.posonlyargs + given.args) <= 1 and not given.kwonlyargs


def _is_enum(lineage: Lineage) -> bool:
    return any("Enum" in name or name == "Flag" for each, _ in lineage for name in base_names(each))


def _is_model(node: ast.ClassDef) -> bool:
    return "BaseModel" in base_names(node)


def _is_builtin_fault(base: str) -> bool:
    kind = getattr(builtins, base, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _model_init(written: tuple[Parameter, ...], fields: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """A model's own ``__init__``, its ``**kwargs`` standing for the fields that it does not name."""
    if not any(each.kind == "VAR_KEYWORD" for each in written):
        return written
    named = tuple(each for each in written if each.kind != "VAR_KEYWORD")
    known = {each.name for each in named}
    return (*named, *(each for each in fields if each.name not in known))


def _signature(node: Function, parsed: ParsedModule, *, bound: bool) -> tuple[Parameter, ...]:
    arguments = node.args
    plain = [(each, "POSITIONAL_ONLY") for each in arguments.posonlyargs]
    plain += [(each, _POSITIONAL) for each in arguments.args]
    padding: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    defaults = [*padding, *arguments.defaults]
    static = any(last_name(decorator) == "staticmethod" for decorator in getattr(node, "decorator_list", ()))
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
