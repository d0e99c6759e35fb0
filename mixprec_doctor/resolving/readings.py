"""Readings: what a class's ``from_config`` takes from a checkpoint's config, found by following its locals.

The body is walked once, statement by statement, with a note of what each local stands for; nothing is run. It
ends with ``return cls(...)``, whose arguments are then known as keys of the config. What cannot be followed is
called computed and shown as source text, never guessed.
"""

from __future__ import annotations

__all__ = ["Door", "read_door"]

import ast
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.resolving.values import Kind, Value, either, first_present, merged
from mixprec_doctor.source.constructors import Lineage, find_method

Names = dict[str, Value]

_COPIES = {"dict", "copy", "deepcopy"}
_CONVERSIONS = {"bool", "float", "frozenset", "int", "list", "set", "sorted", "str", "tuple"}
_ADDING = {"add", "append", "extend", "insert", "update"}
_NONE = Value(kind=Kind.CONSTANT, text="None")
_MOST_STEPS = 2_500  # expressions looked at; the longest from_config of either engine takes a tenth
_LONGEST = 160  # characters of an expression that is put in the place of a local


@dataclass(frozen=True, kw_only=True)
class Door:
    """A ``from_config`` as read: its parameters without ``cls``, and what each keyword is filled with."""

    config: str  # the parameter that takes the checkpoint's config
    others: tuple[str, ...] = ()  # further parameters that it requires
    arguments: Mapping[str, Value] | None = None  # None: how the instance is made cannot be followed
    whole: bool = False  # ``arguments`` are all that the constructor is given
    required: frozenset[tuple[str, ...]] = frozenset()  # keys without one of which it fails
    asked: tuple[str, ...] = ()  # every key that it looks for


def read_door(lineage: Lineage, parameters: Sequence[Parameter]) -> Door | None:
    """The nearest ``from_config`` of a class; None when there is none, or only an abstract one."""
    for index, (node, parsed) in enumerate(lineage):
        if (found := find_method(node, "from_config")) is None:
            continue
        if "abstractmethod" in {_last(mark) for mark in found.decorator_list}:
            return None
        return _follow(parsed.whole(found), lineage[index:], lineage, parameters)
    return None


def _follow(function: ast.FunctionDef, rest: Lineage, lineage: Lineage, parameters: Sequence[Parameter]) -> Door | None:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    if "staticmethod" not in {_last(mark) for mark in function.decorator_list}:
        receiver, plain = (plain[0].arg if plain else "cls"), plain[1:]
    else:
        receiver = ""
    if not plain:
        return None
    optional = {each.arg for each in plain[len(plain) - len(arguments.defaults) :]} if arguments.defaults else set()
    alone = [each.arg for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value is None]
    walk = _Walk(
        receiver=receiver,
        classes=frozenset(node.name for node, _ in lineage[:1]),
        parameters=parameters,
        inherited=_inherited(rest, lineage, parameters),
    )
    names = {plain[0].arg: Value(kind=Kind.CONFIG, text="config")}
    try:
        walk.run(function.body, names)
        made = walk.made()
    except (RecursionError, _TooLong):
        made = None
    return Door(
        config=plain[0].arg,
        others=(*(each.arg for each in plain[1:] if each.arg not in optional), *alone),
        arguments=made,
        whole=made is not None and not walk.open,
        required=frozenset(walk.required),
        asked=tuple(walk.asked),
    )


def _inherited(rest: Lineage, lineage: Lineage, parameters: Sequence[Parameter]) -> Door | None:
    """What ``super().from_config(config)`` would do."""
    for index, (node, parsed) in enumerate(rest[1:], start=1):
        found = find_method(node, "from_config")
        if found is not None and "abstractmethod" not in {_last(mark) for mark in found.decorator_list}:
            return _follow(parsed.whole(found), rest[index:], lineage, parameters)
    return None


class _TooLong(Exception):
    """The body is longer, or nested deeper, than anybody writes by hand; it is not followed to the end."""


class _Walk:
    """One walk through the body of a ``from_config``."""

    def __init__(
        self, *, receiver: str, classes: frozenset[str], parameters: Sequence[Parameter], inherited: Door | None
    ) -> None:
        self._makers = classes | {receiver}
        self._parameters = parameters
        self._inherited = inherited
        self._depth = 0  # how many conditions are around
        self._steps = 0
        self._returned: list[Value] = []
        self.required: dict[tuple[str, ...], None] = {}
        self.asked: dict[str, None] = {}
        self.open = False  # whether arguments were passed on that cannot be told apart

    def made(self) -> Mapping[str, Value] | None:
        """The arguments of the instance returned; None when a return cannot be followed."""
        if not self._returned or any(each.kind is not Kind.MADE for each in self._returned):
            return None
        answer = self._returned[0]
        for each in self._returned[1:]:
            answer = either(answer, each)
        return answer.made

    # Statements. Each gives the names after it; None when control does not get past it.

    def run(self, body: Sequence[ast.stmt], names: Names) -> Names | None:
        """The names after some statements."""
        here: Names | None = names
        for statement in body:
            if here is None:
                return None
            here = self._step(statement, here)
        return here

    def _step(self, statement: ast.stmt, names: Names) -> Names | None:
        if isinstance(statement, ast.Return):
            self._returned.append(self._value(statement.value, names) if statement.value else _NONE)
            return None
        if isinstance(statement, (ast.Raise, ast.Continue, ast.Break)):
            return None
        if isinstance(statement, ast.Assign):
            value = self._value(statement.value, names)
            for target in statement.targets:
                self._bind(target, statement.value, value, names)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            self._bind(statement.target, statement.value, self._value(statement.value, names), names)
        elif isinstance(statement, ast.AugAssign):
            self._absorb(statement.target, self._value(statement.value, names), names)
        elif isinstance(statement, ast.Expr):
            self._call_alone(statement.value, names)
        else:
            return self._compound(statement, names)
        return names

    def _compound(self, statement: ast.stmt, names: Names) -> Names | None:
        if isinstance(statement, ast.If):
            return self._if(statement, names)
        if isinstance(statement, (ast.For, ast.While, ast.AsyncFor)):
            return self._loop(statement, names)
        if isinstance(statement, ast.Try):
            return self._try(statement, names)
        if isinstance(statement, (ast.With, ast.AsyncWith)):
            return self.run(statement.body, names)
        if isinstance(statement, ast.Match):
            return self._match(statement, names)
        return names

    def _if(self, statement: ast.If, names: Names) -> Names | None:
        test = self._value(statement.test, names)
        self._depth += 1
        yes = self.run(statement.body, dict(names))
        no = self.run(statement.orelse, dict(names))
        self._depth -= 1
        if yes is None or no is None:
            return no if yes is None else yes
        chosen = merged(yes, no, test=test)
        for name in yes.keys() & no.keys():
            if yes[name] != no[name]:
                chosen[name] = self._chosen(statement.test, yes[name], no[name], names)
        return chosen

    def _loop(self, statement: ast.For | ast.AsyncFor | ast.While, names: Names) -> Names:
        inner = dict(names)
        if not isinstance(statement, ast.While):
            each = self._computed(statement.iter, names)
            self._bind(statement.target, statement.iter, replace(each, kind=Kind.COMPUTED), inner)
        self._depth += 1
        after = self.run([*statement.body, *statement.orelse], inner)
        self._depth -= 1
        return merged(names, after) if after is not None else names

    def _try(self, statement: ast.Try, names: Names) -> Names | None:
        """A handler stands in for a key that is not there."""
        self._depth += 1
        after = self.run([*statement.body, *statement.orelse], dict(names))
        handled = [self.run(handler.body, dict(names)) for handler in statement.handlers]
        self._depth -= 1
        for other in handled:
            if other is None:
                continue
            both = merged(after, other) if after is not None else other
            for name in (after or {}).keys() & other.keys():
                assert after is not None  # noqa: S101  it has names
                if after[name] != other[name]:
                    both[name] = first_present(_optional(after[name]), other[name])
            after = both
        return self.run(statement.finalbody, after) if after is not None else None

    def _match(self, statement: ast.Match, names: Names) -> Names:
        test = self._value(statement.subject, names)
        self._depth += 1
        after = [self.run(case.body, dict(names)) for case in statement.cases]
        self._depth -= 1
        for each in after:
            names = merged(each, names, test=test) if each is not None else names
        return names

    def _call_alone(self, node: ast.expr, names: Names) -> None:
        """``x.append(y)`` puts into x what y holds."""
        value = self._value(node, names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ADDING:
            self._absorb(node.func.value, value, names)

    def _bind(self, target: ast.expr, node: ast.expr, value: Value, names: Names) -> None:
        if isinstance(target, ast.Name):
            names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = node.elts if isinstance(node, (ast.Tuple, ast.List)) else []
            for index, inner in enumerate(target.elts):
                if len(parts) == len(target.elts):
                    self._bind(inner, parts[index], self._value(parts[index], names), names)
                else:
                    part = replace(value, kind=Kind.COMPUTED, text=f"{value.text}[{index}]", exact=False)
                    self._bind(inner, node, part, names)
        elif isinstance(target, (ast.Subscript, ast.Attribute)):
            self._absorb(target.value, value, names)

    def _absorb(self, target: ast.expr, value: Value, names: Names) -> None:
        """The target is changed by something that the value is part of."""
        if isinstance(target, ast.Name) and target.id in names:
            old = names[target.id]
            keys = tuple(dict.fromkeys([*old.keys, *value.keys]))
            kind = Kind.COMPUTED if old.kind is Kind.CONSTANT else old.kind
            keys = old.keys if kind is Kind.READ else keys
            names[target.id] = replace(old, kind=kind, keys=keys, exact=False)

    # Expressions.

    def _value(self, node: ast.expr, names: Names) -> Value:
        return self._known(node, names) or self._computed(node, names)

    def _known(self, node: ast.expr, names: Names) -> Value | None:
        """An expression that hands something on as it is; None for one that computes."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _TooLong
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Constant):
            return Value(kind=Kind.CONSTANT, text=ast.unparse(node))
        if isinstance(node, ast.NamedExpr):
            names[node.target.id] = value = self._value(node.value, names)
            return value
        if isinstance(node, ast.Subscript):
            return self._subscript(node, names)
        if isinstance(node, ast.Call):
            return self._call(node, names)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self._or(node, names)
        if isinstance(node, ast.IfExp):
            return self._chosen(
                node.test,
                self._inside(node.body, names),
                self._inside(node.orelse, names),
                names,
            )
        if isinstance(node, ast.Dict):
            spread = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
            if any(self._is_config(each, names) for each in spread):
                return Value(kind=Kind.CONFIG, text="config", exact=len(node.values) == 1)
        return None

    def _subscript(self, node: ast.Subscript, names: Names) -> Value | None:
        key = _word(node.slice)
        if key is not None and self._is_config(node.value, names):
            return self._read((key,), None)
        return None

    def _or(self, node: ast.BoolOp, names: Names) -> Value | None:
        first = self._value(node.values[0], names)
        if first.kind is not Kind.READ:
            return None
        for each in node.values[1:]:
            first = first_present(first, self._inside(each, names))
        return first

    def _inside(self, node: ast.expr, names: Names) -> Value:
        """The value of what is only evaluated under a condition."""
        self._depth += 1
        try:
            return self._value(node, names)
        finally:
            self._depth -= 1

    def _chosen(self, test: ast.expr, yes: Value, no: Value, names: Names) -> Value:
        """One of two values by a test; a test for a missing key makes the other its default."""
        subject, when_absent = self._absence(test, names)
        present, absent = (no, yes) if when_absent else (yes, no)
        if subject is not None and present.kind is Kind.READ and subject.keys == present.keys:
            return first_present(_optional(present) if subject.required else present, absent)
        return either(yes, no, test=self._value(test, names))

    def _absence(self, test: ast.expr, names: Names) -> tuple[Value | None, bool]:
        """The read that a test asks about, and whether the test holds when its key is absent."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            subject, when_absent = self._absence(test.operand, names)
            return subject, not when_absent
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            operator, right = test.ops[0], test.comparators[0]
            if isinstance(operator, (ast.In, ast.NotIn)) and self._is_config(right, names):
                key = _word(test.left)
                read = Value(kind=Kind.READ, text=key, keys=(key,), required=True) if key else None
                return read, isinstance(operator, ast.NotIn)
            if isinstance(operator, (ast.Is, ast.IsNot)) and _is_none(right):
                value = self._value(test.left, names)
                return replace(value, required=False), isinstance(operator, ast.Is)
            return None, False
        value = self._value(test, names)
        return (replace(value, required=False) if value.kind is Kind.READ else None), False

    def _call(self, node: ast.Call, names: Names) -> Value | None:
        callee = _last(node.func)
        if isinstance(node.func, ast.Name) and node.func.id in self._makers:
            return self._instance(node, names)
        if callee == "cast" and len(node.args) == 2:
            return self._value(node.args[1], names)
        if callee == "from_config" and _is_super(node.func) and self._inherited is not None:
            return self._as_inherited(self._inherited)
        if isinstance(node.func, ast.Attribute) and self._is_config(node.func.value, names):
            return self._asked_of_config(node, names)
        given = [*node.args, *(word.value for word in node.keywords)]
        if any(self._is_config(each, names) for each in given):
            if callee in _COPIES:
                return Value(kind=Kind.CONFIG, text="config")
            return self._asked_for_keys(node, callee, names)
        if callee in _CONVERSIONS and isinstance(node.func, ast.Name) and len(node.args) == 1:
            value = self._value(node.args[0], names)
            return replace(value, exact=False) if value.kind is Kind.READ else None
        return None

    def _asked_of_config(self, node: ast.Call, names: Names) -> Value | None:
        """``config.get("bits", 4)``, ``config.pop("bits")``, ``config.copy()``."""
        assert isinstance(node.func, ast.Attribute)  # noqa: S101  the caller saw to it
        if node.func.attr == "copy":
            return Value(kind=Kind.CONFIG, text="config")
        key = _word(node.args[0]) if node.args else None
        if key is None or node.func.attr not in ("get", "pop", "setdefault"):
            return None
        given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "default")]
        missing = None if node.func.attr == "pop" else _NONE
        default = self._inside(given[0], names) if given else missing
        return self._read((key,), default)

    def _asked_for_keys(self, node: ast.Call, callee: str, names: Names) -> Value | None:
        """``cls.get_from_keys_or(config, ["bits"], 4)``: a getter that is given the config and keys to try."""
        keys: tuple[str, ...] | None = None
        default: Value | None = None
        for word, each in [*((None, each) for each in node.args), *((word.arg, word.value) for word in node.keywords)]:
            if self._is_config(each, names) and word != "default":
                continue
            if keys is None and word != "default":
                keys = _words(each)
                if keys is None:
                    return None
            else:
                default = self._inside(each, names)
        if not keys:
            return None
        if "get" not in callee:
            self.asked |= dict.fromkeys(keys)
            return None
        return self._read(keys, default)

    def _read(self, keys: tuple[str, ...], default: Value | None) -> Value:
        self.asked |= dict.fromkeys(keys)
        if default is None:
            if self._depth == 0:
                self.required[keys] = None
            return Value(kind=Kind.READ, text=keys[0], keys=keys, required=True)
        read = Value(kind=Kind.READ, text=keys[0], keys=keys, default="None")
        return first_present(read, default)

    def _instance(self, node: ast.Call, names: Names) -> Value:
        """``cls(a, b, c=d)``: each argument under the name of the constructor's parameter."""
        places = [each.name for each in self._parameters if each.kind.startswith("POSITIONAL")]
        made: dict[str, Value] = {}
        for index, each in enumerate(node.args):
            if isinstance(each, ast.Starred) or index >= len(places):
                self.open = True
                break
            made[places[index]] = self._value(each, names)
        for word in node.keywords:
            if word.arg is not None:
                made[word.arg] = self._value(word.value, names)
        for word in node.keywords:
            if word.arg is None:
                made |= self._spread(word.value, made, names)
        return Value(kind=Kind.MADE, text="self", made=made)

    def _spread(self, node: ast.expr, made: Mapping[str, Value], names: Names) -> dict[str, Value]:
        """``cls(**config)``: each parameter reads the key of its own name; other mappings stay unknown."""
        if isinstance(node, ast.Dict) and all(_word(key) for key in node.keys):
            pairs = zip(node.keys, node.values, strict=True)
            return {_word(key) or "": self._value(value, names) for key, value in pairs}
        if not self._is_config(node, names):
            self.open = True
            return {}
        free = [each for each in self._parameters if each.name not in made and not each.kind.startswith("VAR_")]
        return {
            each.name: self._read(
                (each.name,),
                None if each.required else Value(kind=Kind.CONSTANT, text=each.default or "None"),
            )
            for each in free
        }

    def _as_inherited(self, door: Door) -> Value:
        self.asked |= dict.fromkeys(door.asked)
        if self._depth == 0:
            self.required |= dict.fromkeys(door.required)
        self.open = self.open or not door.whole
        if door.arguments is None:
            return Value(kind=Kind.COMPUTED, text="super().from_config(config)", exact=False)
        return Value(kind=Kind.MADE, text="self", made=door.arguments)

    def _is_config(self, node: ast.expr, names: Names) -> bool:
        if isinstance(node, ast.Name):
            return node.id in names and names[node.id].kind is Kind.CONFIG
        if isinstance(node, ast.Call) and not node.keywords and _last(node.func) in _COPIES:
            inner = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else None
            return any(self._is_config(each, names) for each in ([inner] if inner else node.args))
        return False

    def _computed(self, node: ast.expr, names: Names) -> Value:
        """Anything else: its source text, each local replaced by the key or expression that it holds."""
        writer = _Writer(self, names)
        text = _text(writer.visit(deepcopy(node)))
        kind = Kind.COMPUTED if writer.keys or writer.open else Kind.CONSTANT
        return Value(kind=kind, text=text, keys=tuple(writer.keys), exact=kind is Kind.CONSTANT)

    def known(self, node: ast.expr, names: Names) -> Value | None:
        """For the writer of expressions: what a part of one hands on."""
        return self._known(node, names)

    def tested_key(self, node: ast.AST, names: Names) -> str | None:
        """The key of ``"bits" in config``."""
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], (ast.In, ast.NotIn)):
            return None
        key = _word(node.left)
        if key is None or not self._is_config(node.comparators[0], names):
            return None
        self.asked[key] = None
        return key


class _Writer(ast.NodeTransformer):
    """Rewrites an expression in the words of the checkpoint's config."""

    def __init__(self, walk: _Walk, names: Names) -> None:
        self._walk = walk
        self._names = names
        self.keys: dict[str, None] = {}
        self.open = False  # something that only a run would tell is part of it

    def visit(self, node: ast.AST) -> ast.AST:
        """The node rewritten: a read becomes its key."""
        if (key := self._walk.tested_key(node, self._names)) is not None:
            self.keys[key] = None
            self.open = True
            return node
        if isinstance(node, ast.Call):
            self.open = True
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
            value = self._walk.known(node, self._names)
            if value is not None and value.kind is not Kind.MADE:
                self.keys |= dict.fromkeys(value.keys)
                self.open = self.open or value.kind is not Kind.CONSTANT
                return ast.Name(id=value.text, ctx=ast.Load()) if len(value.text) <= _LONGEST else node
        return self.generic_visit(node)


def _optional(value: Value) -> Value:
    """A read that is only made where its key is there."""
    if value.kind is Kind.READ and value.required:
        return replace(value, required=False, default="None")
    return value


def _text(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except ValueError:  # Python before 3.12 cannot write every f-string
        return "..."


def _word(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _words(node: ast.expr) -> tuple[str, ...] | None:
    """The strings of a literal list; None for anything else."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        word = _word(node)
        return (word,) if word is not None else None
    words = [_word(each) for each in node.elts]
    return None if None in words else tuple(word for word in words if word is not None)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call) and _last(node.value.func) == "super"


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
