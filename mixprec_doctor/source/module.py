"""A parsed module: what each of its top-level statements binds, and under which guards."""

from __future__ import annotations

__all__ = [
    "GLOBALS",
    "OWN_PLACE",
    "Binding",
    "Branch",
    "Guard",
    "ParsedModule",
    "UnparsableModule",
    "bindings_of",
    "caught",
    "dotted",
    "parse_expression",
    "parse_module",
    "parse_source",
]

import ast
import re
import threading
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from io import BytesIO
from typing import TypeVar

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.source.outline import Outline, outline_of
from mixprec_doctor.source.walking import walk

# Up to Python 3.12 two threads that make syntax trees at once disturb one another's count of how deep they are.
_PARSING = threading.RLock()

Function = TypeVar("Function", bound="ast.FunctionDef | ast.AsyncFunctionDef")

GLOBALS = "globals()"  # the name of what is bound through globals() under a name that only running tells
OWN_PLACE = "sys.modules"  # the name of what a module puts into sys.modules in its own place

_COOKIE = re.compile(rb"coding[:=]")
_LINE_END = re.compile(rb"\r\n|\r|\n")  # form feeds do not end a line for the parser


class UnparsableModule(MixprecError):
    """The source of a module is not Python that this interpreter can parse."""

    def __init__(self, module: str, fault: str) -> None:
        super().__init__(module, fault)
        self.module = module
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.module} cannot be parsed: {self.fault}"


class Branch(Enum):
    """Which branch of a compound statement a binding stands in."""

    IF = "if"
    ELSE = "else"
    TRY = "try"
    EXCEPT = "except"
    TRY_ELSE = "try-else"
    OPEN = "open"  # a loop, a case: whether it runs is not for us to say


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One compound statement around a binding. ``before`` are the statements of the try body up to it."""

    branch: Branch
    line: int
    test: ast.expr | None = None
    before: tuple[ast.stmt, ...] = ()
    handled: tuple[str, ...] = ()  # the exceptions of this handler; of a try, those of all its handlers
    earlier: tuple[str, ...] = ()  # the exceptions that handlers above this one take


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One name bound by one statement. ``name == "*"`` is a star import; ``value`` is what is assigned."""

    name: str
    statement: ast.stmt
    guards: tuple[Guard, ...]
    value: ast.expr | None = None
    alias: ast.alias | None = None

    @property
    def line(self) -> int:
        """The line of the statement."""
        return self.statement.lineno


@dataclass(frozen=True, kw_only=True)
class ParsedModule:
    """The bindings of a module in the order of the source.

    The functions of ``tree`` may lack their bodies: ``whole`` gives a function with its body.
    """

    name: str
    is_package: bool
    source: bytes
    tree: ast.Module
    bindings: tuple[Binding, ...]
    by_name: dict[str, list[Binding]] = field(default_factory=dict)
    outline: Outline | None = None  # what the tree was parsed from, when that is not the whole source

    def whole(self, node: Function) -> Function:
        """A function of the tree with its body, which parsing may have left out."""
        end = self.outline.ends.get(node.lineno) if self.outline else None
        if end is None:
            return node
        key = (node.lineno, node.col_offset)
        if key not in self._wholes:
            self._wholes[key] = _parse_alone(self.lines[node.lineno - 1 : end], node)
        found = self._wholes[key]
        return found if isinstance(found, type(node)) else node

    @cached_property
    def _wholes(self) -> dict[tuple[int, int], ast.stmt]:
        return {}

    @cached_property
    def _unparsed(self) -> dict[int, tuple[ast.expr, str]]:
        return {}  # a node is kept with its text, so that no other can get its id

    def absolute(self, statement: ast.ImportFrom) -> str | None:
        """The absolute name of the module that ``from ... import`` names; None beyond the top level."""
        if not statement.level:
            return statement.module or ""
        parts = self.name.split(".")
        up = statement.level - (1 if self.is_package else 0)
        if up >= len(parts):
            return None
        base = parts[: len(parts) - up]
        return ".".join([*base, statement.module] if statement.module else base)

    def text(self, node: ast.expr) -> str:
        """The source text of an expression, as written when it stands on one line."""
        if node.end_lineno != node.lineno or node.end_col_offset is None:
            if id(node) not in self._unparsed:
                self._unparsed[id(node)] = (node, ast.unparse(node))
            return self._unparsed[id(node)][1]
        line = self.lines[node.lineno - 1]
        return line[node.col_offset : node.end_col_offset].decode("utf-8", errors="replace")

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines of the source in UTF-8, as the parser counts them."""
        return _LINE_END.split(_utf8(self.source))


def parse_module(name: str, source: bytes, *, is_package: bool, whole: bool = False) -> ParsedModule:
    """Parse, honouring the encoding cookie; nothing is executed, whatever the source contains.

    Bodies of functions are left out, unless the ``whole`` is wanted.
    """
    utf8 = _utf8(source)
    outline = (
        outline_of(utf8) if source.endswith(utf8) and not whole else None
    )  # another encoding's cookie would be believed
    tree = _parse_outline(outline) if outline else None
    if tree is None:
        outline = None
        tree = _parse(name, source)
    bindings = tuple(bindings_of(tree.body))
    if b":=" in (outline.source if outline else source):
        bindings = tuple(sorted([*_walruses(tree.body), *bindings], key=lambda each: each.line))
    by_name: dict[str, list[Binding]] = {}
    for binding in bindings:
        by_name.setdefault(binding.name, []).append(binding)
    return ParsedModule(
        name=name, is_package=is_package, source=source, tree=tree, bindings=bindings, by_name=by_name, outline=outline
    )


def parse_expression(text: str) -> ast.expr:
    """An expression, parsed while no other thread parses; what ``ast.parse`` raises where it is none."""
    with _PARSING:
        return ast.parse(text, mode="eval").body


def parse_source(source: bytes) -> ast.Module:
    """Some lines, parsed while no other thread parses; what ``ast.parse`` raises where they are no Python."""
    with _PARSING:
        return ast.parse(source)


def _parse(name: str, source: bytes) -> ast.Module:
    try:
        return parse_source(source)
    except SyntaxError as fault:
        raise UnparsableModule(name, f"line {fault.lineno}: {fault.msg}") from None
    except (ValueError, RecursionError, MemoryError) as fault:
        raise UnparsableModule(name, str(fault) or type(fault).__name__) from None


def _parse_outline(outline: Outline) -> ast.Module | None:
    try:
        return parse_source(outline.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parse_alone(lines: list[bytes], node: Function) -> Function:
    """The function that stands on some lines, at the places it has in its module."""
    inside = node.col_offset > 0
    source = b"\n".join([b"if 1:", *lines] if inside else lines)
    try:
        body = parse_source(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return node
    first = body[0].body[0] if inside and isinstance(body[0], ast.If) else body[0]
    if not isinstance(first, type(node)):
        return node
    ast.increment_lineno(first, node.lineno - first.lineno)
    first.decorator_list = node.decorator_list
    return first


def bindings_of(body: list[ast.stmt], guards: tuple[Guard, ...] = ()) -> Iterator[Binding]:
    """What the statements of a module or class body bind, in order, each with its guards."""
    for statement in body:
        yield from _simple(statement, guards)
        if isinstance(statement, ast.If):
            line = statement.lineno
            yield from bindings_of(statement.body, (*guards, Guard(branch=Branch.IF, line=line, test=statement.test)))
            if statement.orelse:
                other = Guard(branch=Branch.ELSE, line=line, test=statement.test)
                yield from bindings_of(statement.orelse, (*guards, other))
        elif isinstance(statement, ast.Try) or type(statement).__name__ == "TryStar":
            yield from _try(statement, guards)  # type: ignore[arg-type]
        elif isinstance(statement, ast.With):
            yield from _with(statement, guards)
        elif isinstance(statement, (ast.For, ast.While)):
            yield from _loop(statement, guards)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                inside = (*guards, Guard(branch=Branch.OPEN, line=case.pattern.lineno))
                for node in ast.walk(case.pattern):
                    name = getattr(node, "name", None) or getattr(node, "rest", None)
                    if isinstance(name, str):
                        yield Binding(name=name, statement=statement, guards=inside)
                yield from bindings_of(case.body, inside)


def _loop(statement: ast.For | ast.While, guards: tuple[Guard, ...]) -> Iterator[Binding]:
    """A loop runs its body when its test holds, or when what it goes over is plainly not empty."""
    inside = guards
    if isinstance(statement, ast.While):
        inside = (*guards, Guard(branch=Branch.IF, line=statement.lineno, test=statement.test))
    else:
        given = statement.iter
        if not isinstance(given, (ast.Tuple, ast.List)) or not given.elts:
            inside = (*guards, Guard(branch=Branch.OPEN, line=statement.lineno))
        for name in _named(statement.target):
            yield Binding(name=name, statement=statement, guards=inside)
    yield from bindings_of(statement.body, inside)
    yield from bindings_of(statement.orelse, inside if isinstance(statement, ast.For) else guards)


def _try(statement: ast.Try, guards: tuple[Guard, ...]) -> Iterator[Binding]:
    body = tuple(statement.body)
    handled = tuple(name for handler in statement.handlers for name in caught(handler.type))
    for index, inner in enumerate(statement.body):
        guard = Guard(branch=Branch.TRY, line=statement.lineno, before=body[: index + 1], handled=handled)
        yield from bindings_of([inner], (*guards, guard))
    earlier: tuple[str, ...] = ()
    for handler in statement.handlers:
        own = tuple(caught(handler.type))
        guard = Guard(branch=Branch.EXCEPT, line=handler.lineno, before=body, handled=own, earlier=earlier)
        yield from bindings_of(handler.body, (*guards, guard))
        earlier += own
    guard = Guard(branch=Branch.TRY_ELSE, line=statement.lineno, before=body, handled=handled)
    yield from bindings_of(statement.orelse, (*guards, guard))
    yield from bindings_of(statement.finalbody, guards)


def _with(statement: ast.With, guards: tuple[Guard, ...]) -> Iterator[Binding]:
    """``with suppress(ImportError)`` guards like a try; any other leaves its body as it is."""
    handled: list[str] = []
    for item in statement.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and dotted(call.func).rpartition(".")[2] == "suppress":
            handled += [name for argument in call.args for name in caught(argument)]
        for name in _named(*filter(None, (item.optional_vars,))):
            yield Binding(name=name, statement=statement, guards=guards)
    if not handled:
        yield from bindings_of(statement.body, guards)
        return
    body = tuple(statement.body)
    for index, inner in enumerate(statement.body):
        guard = Guard(branch=Branch.TRY, line=statement.lineno, before=body[: index + 1], handled=tuple(handled))
        yield from bindings_of([inner], (*guards, guard))


def _simple(statement: ast.stmt, guards: tuple[Guard, ...]) -> Iterator[Binding]:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield Binding(name=statement.name, statement=statement, guards=guards)
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.asname or alias.name.partition(".")[0]
            yield Binding(name=name, statement=statement, guards=guards, alias=alias)
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield Binding(name=alias.asname or alias.name, statement=statement, guards=guards, alias=alias)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _assigned(target, statement.value, statement, guards)
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield from _assigned(statement.target, statement.value, statement, guards)
    elif isinstance(statement, (ast.Delete, ast.AugAssign)):
        for name in _named(*(statement.targets if isinstance(statement, ast.Delete) else [statement.target])):
            yield Binding(name=name, statement=statement, guards=guards)
    elif type(statement).__name__ == "TypeAlias":  # Python 3.12
        yield from _assigned(statement.name, statement.value, statement, guards)  # type: ignore[attr-defined]


def _named(*targets: ast.expr) -> Iterator[str]:
    """The plain names among targets, those in tuples included."""
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, (ast.Tuple, ast.List)):
            yield from _named(*target.elts)
        elif isinstance(target, ast.Starred):
            yield from _named(target.value)


def _walruses(body: list[ast.stmt]) -> Iterator[Binding]:
    """``(name := value)`` in the expressions of top-level statements."""
    for statement in body:
        whole = statement.test if isinstance(statement, (ast.If, ast.While)) else getattr(statement, "value", None)
        for node in walk(whole) if isinstance(whole, ast.expr) else ():
            if isinstance(node, ast.NamedExpr):
                yield Binding(name=node.target.id, statement=statement, guards=())


def _assigned(target: ast.expr, value: ast.expr, statement: ast.stmt, guards: tuple[Guard, ...]) -> Iterator[Binding]:
    if isinstance(target, ast.Name):
        yield Binding(name=target.id, statement=statement, guards=guards, value=value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        yield from _unpacked(target.elts, value, statement, guards)
    elif isinstance(target, ast.Subscript):
        key = target.slice
        if isinstance(target.value, ast.Call) and dotted(target.value.func) == "globals":
            known = isinstance(key, ast.Constant) and isinstance(key.value, str)
            name = str(key.value) if known and isinstance(key, ast.Constant) else GLOBALS
            yield Binding(name=name, statement=statement, guards=guards, value=value)
        elif dotted(target.value) == "sys.modules" and isinstance(key, ast.Name) and key.id == "__name__":
            yield Binding(name=OWN_PLACE, statement=statement, guards=guards, value=value)


def _unpacked(
    targets: list[ast.expr], value: ast.expr, statement: ast.stmt, guards: tuple[Guard, ...]
) -> Iterator[Binding]:
    """Each target of a tuple with its own part of the value, or with the whole where the parts are not written."""
    parts: list[ast.expr] = [value] * len(targets)
    written = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
    starred = next((at for at, each in enumerate(targets) if isinstance(each, ast.Starred)), None)
    plain = written and not any(isinstance(each, ast.Starred) for each in written)
    if plain and starred is None and len(written) == len(targets):
        parts = list(written)
    elif plain and starred is not None and len(written) >= len(targets) - 1:
        after = len(targets) - starred - 1
        middle = ast.copy_location(ast.List(elts=written[starred : len(written) - after], ctx=ast.Load()), value)
        parts = [*written[:starred], middle, *written[len(written) - after :]]
    for target, part in zip(targets, parts, strict=True):
        inner = target.value if isinstance(target, ast.Starred) else target
        yield from _assigned(inner, part, statement, guards)


def caught(node: ast.expr | None) -> list[str]:
    """The names of the exceptions that a handler takes, without their modules."""
    if node is None:
        return ["BaseException"]
    if isinstance(node, ast.Tuple):
        return [name for each in node.elts for name in caught(each)]
    return [dotted(node).rpartition(".")[2]]


def dotted(node: ast.expr) -> str:
    """``a.b.c`` as text; empty for what is no dotted name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _utf8(source: bytes) -> bytes:
    """The parser counts columns in UTF-8, whatever the encoding of the file."""
    try:
        if not any(map(_COOKIE.search, source.split(b"\n", 2)[:2])):  # it is named in the first two lines, if at all
            return source.removeprefix(b"\xef\xbb\xbf")
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
        if encoding in ("utf-8", "utf-8-sig"):
            return source.removeprefix(b"\xef\xbb\xbf")
        return source.decode(encoding).encode("utf-8")
    except (SyntaxError, UnicodeError, LookupError):
        return source
