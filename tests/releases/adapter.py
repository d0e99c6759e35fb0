"""An adapter as text: everything of its engine that it touches, held against the source of a release.

Nothing of the adapter or the engine is imported but the table of what no source shows (``adapters/<engine>/relied.py``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source.constructors import base_classes, find_method, parameters_of, resolve_expression
from mixprec_doctor.source.exports import Exports, Found, Unbound
from mixprec_doctor.source.lineage import last_name
from mixprec_doctor.source.module import ParsedModule, parse_module
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode.attributes import taken_attributes
from mixprec_doctor.usercode.calls import misfit
from mixprec_doctor.usercode.moved import homes_of_module, homes_of_name
from mixprec_doctor.usercode.scopes import calls_and_meanings
from mixprec_runtime.adapters.relied import Word
from mixprec_runtime.adapters.sglang import relied as of_sglang
from mixprec_runtime.adapters.vllm import relied as of_vllm

ADAPTERS = Path(__file__).parents[2] / "mixprec_runtime" / "adapters"
PARAMETERS = ADAPTERS / "portable_method.py"  # names the engines' parameter classes


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Something that the adapter touches and a release has not, or not so."""

    place: str  # file and line of the adapter
    wanted: str
    found: str
    now: tuple[str, ...] = ()  # modules that have the name instead

    def __str__(self) -> str:
        moved = f"; now in {', '.join(self.now)}" if self.now else ""
        return f"{self.place} wants {self.wanted}: {self.found}{moved}"


@dataclass(frozen=True, kw_only=True)
class Touches:
    """An adapter, and what it relies on beyond what source shows."""

    engine: str
    folder: Path
    hooks: Mapping[str, frozenset[str]]
    attributes: Mapping[str, frozenset[str]]
    words: tuple[Word, ...]
    reached_by: Mapping[str, str] = field(default_factory=dict)  # files, by name, that only this of the engine calls
    parameters: str | None = None  # the engine's module of the parameter classes that PARAMETERS names

    def files(self) -> list[Path]:
        """The adapter's modules that name the engine."""
        named = f"{self.engine}."
        return [file for file in sorted(self.folder.glob("*.py")) if named in file.read_text(encoding="utf-8")]


VLLM = Touches(
    engine="vllm",
    folder=ADAPTERS / "vllm",
    hooks=of_vllm.HOOKS,
    attributes=of_vllm.ATTRIBUTES,
    words=of_vllm.WORDS,
    parameters="vllm.model_executor.parameter",
)
SGLANG = Touches(
    engine="sglang",
    folder=ADAPTERS / "sglang",
    hooks=of_sglang.HOOKS,
    attributes=of_sglang.ATTRIBUTES,
    words=of_sglang.WORDS,
    reached_by=of_sglang.REACHED_BY,
    parameters="sglang.srt.layers.parameter",
)


def broken_in(sources: Sources, touches: Touches) -> list[Broken]:
    """Everything that the adapter touches and a release lacks, in the order of its files."""
    exports = Exports(sources)
    found: list[Broken] = []
    for file in touches.files():
        if exports.sources.has_module(touches.reached_by.get(file.name, touches.engine)) is not Truth.YES:
            continue
        parsed = parse_module(f"mixprec_adapter_{file.stem}", file.read_bytes(), is_package=False, whole=True)
        sources.adopt(parsed)
        skipped = _otherwise(parsed, exports)
        of_file = [*_imports(file.name, parsed, exports, touches), *_taken(file.name, parsed, exports, touches)]
        of_file += [*_calls(file.name, parsed, exports, touches), *_overridden(file.name, parsed, exports, touches)]
        found += [each for each in of_file if int(each.place.rpartition(":")[2]) not in skipped]
    if touches.parameters is not None:
        found += _parameter_classes(touches.parameters, exports)
    found += _attributes(touches.attributes, exports)
    found += [each for word in touches.words for each in _word(word, sources, touches)]
    return list(dict.fromkeys(found))


def _imports(file: str, parsed: ParsedModule, exports: Exports, touches: Touches) -> Iterator[Broken]:
    for node in _meant(parsed.tree, exports):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] != touches.engine:
            continue
        module = node.module or ""
        if exports.sources.has_module(module) is not Truth.YES:
            names = tuple(alias.name for alias in node.names)
            homes = homes_of_module(module, names, exports)
            yield Broken(place=f"{file}:{node.lineno}", wanted=module, found="no such module", now=homes)
            continue
        for alias in node.names:
            yield from _name(f"{file}:{node.lineno}", module, alias.name, exports)


def _name(place: str, module: str, name: str, exports: Exports) -> Iterator[Broken]:
    origin = exports.look_up(module, name)
    if isinstance(origin, Unbound):
        homes = homes_of_name(name, module, exports)
        yield Broken(place=place, wanted=f"{module}.{name}", found=origin.fault, now=homes)


def _meant(node: ast.AST, exports: Exports) -> Iterator[ast.AST]:
    """All nodes but those for type checkers; what a try may catch is not meant, but what it then turns to is."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try) and child.handlers:
            if any(_fails(each, exports) for each in child.body):
                for handler in child.handlers:
                    yield from _meant(handler, exports)
            else:
                for each in child.orelse:
                    yield each
                    yield from _meant(each, exports)
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _meant(child, exports)


def _fails(node: ast.stmt, exports: Exports) -> bool:
    if not isinstance(node, ast.ImportFrom):
        return False
    return any(isinstance(exports.look_up(node.module or "", alias.name), Unbound) for alias in node.names)


def _otherwise(parsed: ParsedModule, exports: Exports) -> set[int]:
    """Lines that are another way, for releases that are not like this one.

    Below ``if found is None:`` after ``found = getattr(module, "name", None)``, where the release has the name; and
    what goes with an import that failed: the ``else`` of its ``try``.
    """
    lines: set[int] = set()
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.Try) and any(_fails(each, exports) for each in node.body):
            lines.update(line for each in node.orelse for line in range(each.lineno, (each.end_lineno or 0) + 1))
    for function in ast.walk(parsed.tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        there = {name for node in function.body if (name := _got(node, parsed, exports))}
        for node in function.body:
            if isinstance(node, ast.If) and any(ast.unparse(node.test) == f"{name} is None" for name in there):
                lines.update(range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1))
    return lines


def _got(node: ast.stmt, parsed: ParsedModule, exports: Exports) -> str | None:
    """What a statement binds to an attribute of a module of the engine that is there, but need not be."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or len(node.value.args) != 3:
        return None
    owner, name, _ = node.value.args
    if last_name(node.value) != "getattr" or not isinstance(name, ast.Constant):
        return None
    module = resolve_expression(owner, parsed, exports)
    if not isinstance(module, Found) or module.node is not None:
        return None
    there = not isinstance(exports.look_up(module.module, str(name.value)), Unbound)
    return last_name(node.targets[0]) if there else None


def _taken(file: str, parsed: ParsedModule, exports: Exports, touches: Touches) -> Iterator[Broken]:
    for taken in taken_attributes(parsed.tree, exports.sources):
        if taken.module.partition(".")[0] == touches.engine and not taken.name.startswith("__"):
            yield from _name(f"{file}:{taken.node.lineno}", taken.module, taken.name, exports)


def _calls(file: str, parsed: ParsedModule, exports: Exports, touches: Touches) -> Iterator[Broken]:
    for call, meaning in calls_and_meanings(parsed, exports):
        found = meaning or _method(call, parsed, exports)
        if not isinstance(found, Found) or found.module.partition(".")[0] != touches.engine:
            continue
        parameters = parameters_of(found, exports)
        wrong = misfit(call, parameters) if parameters else None
        if wrong:
            called = f"{found.module}.{found.name}({', '.join(each.name for each in parameters[:9])})"
            yield Broken(place=f"{file}:{call.lineno}", wanted=ast.unparse(call), found=f"{called}: {wrong}")


def _method(call: ast.Call, parsed: ParsedModule, exports: Exports) -> Found | None:
    """The method of ``Class.method(...)``, whose parameters are asked for like those of a function."""
    if not isinstance(call.func, ast.Attribute):
        return None
    owner = resolve_expression(call.func.value, parsed, exports)
    if not isinstance(owner, Found) or not isinstance(owner.node, ast.ClassDef):
        return None
    method = _inherited(owner, call.func.attr, exports)
    return Found(module=owner.module, name=method.name, node=method) if method is not None else None


def _inherited(owner: Found, name: str, exports: Exports) -> ast.FunctionDef | None:
    home = exports.sources.module(owner.module)
    if home is None or not isinstance(owner.node, ast.ClassDef):
        return None
    return next((m for each, _ in base_classes(owner.node, home, exports) if (m := find_method(each, name))), None)


def _overridden(file: str, parsed: ParsedModule, exports: Exports, touches: Touches) -> Iterator[Broken]:
    """Hooks that a class of the adapter has: the base must have them too, and give no more than they take."""
    for node in ast.walk(parsed.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for base in node.bases:
            found = resolve_expression(base, parsed, exports)
            if (
                isinstance(found, Found)
                and isinstance(found.node, ast.ClassDef)
                and found.module.partition(".")[0] == touches.engine
            ):
                yield from _hooks(file, node, found, exports, touches)


def _hooks(file: str, own: ast.ClassDef, base: Found, exports: Exports, touches: Touches) -> Iterator[Broken]:
    hooks = touches.hooks.get(base.name, frozenset())
    for method in own.body:
        if not isinstance(method, ast.FunctionDef) or method.name.startswith("_"):
            continue
        theirs = _inherited(base, method.name, exports)
        place = f"{file}:{method.lineno}"
        if theirs is None:
            if method.name in hooks:
                wanted = f"{base.module}.{base.name}.{method.name}, which {own.name} overrides"
                yield Broken(place=place, wanted=wanted, found="the class has no such method")
            continue
        unknown = _not_taken(method, theirs)
        if unknown:
            words = f"{own.name}.{method.name} takes all of {base.name}.{method.name}"
            yield Broken(place=place, wanted=words, found=f"it does not take {', '.join(unknown)}")


def _not_taken(own: ast.FunctionDef, theirs: ast.FunctionDef) -> list[str]:
    """Parameters of the engine's method that ours has no place for."""
    ours, given = own.args, theirs.args
    names = {each.arg for each in (*ours.posonlyargs, *ours.args, *ours.kwonlyargs)}
    if ours.kwarg is not None:
        return []
    wanted = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    wanted = [name for name in wanted if name not in ("self", "cls")]
    return [] if ours.vararg is not None else [name for name in wanted if name not in names]


def undeclared_methods(touches: Touches) -> list[str]:
    """Public methods of classes with a base of the engine that neither the adapter calls nor ``HOOKS`` declares."""
    trees = {file: ast.parse(file.read_bytes()) for file in touches.files()}
    used = {node.attr for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    declared = {name for names in touches.hooks.values() for name in names}
    return [
        f"{file.name}: {node.name}.{method.name}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and {last_name(base) for base in node.bases} & touches.hooks.keys()
        for method in node.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
        if method.name not in used | declared
    ]


def _parameter_classes(home: str, exports: Exports) -> Iterator[Broken]:
    for node in ast.parse(PARAMETERS.read_bytes()).body:
        if isinstance(node, ast.AnnAssign) and last_name(node.target) == "PARAMETERS" and node.value is not None:
            for name in ast.literal_eval(node.value).values():
                yield from _name(f"{PARAMETERS.name}:{node.lineno}", home, name, exports)


def _attributes(wanted: Mapping[str, frozenset[str]], exports: Exports) -> Iterator[Broken]:
    for path, names in wanted.items():
        module, _, name = path.rpartition(".")
        missing = list(_name("relied.py", module, name, exports))
        yield from missing
        owner = exports.look_up(module, name)
        if missing or not isinstance(owner, Found):
            continue
        has = _has(owner, exports)
        for each in sorted(names - has):
            yield Broken(place="relied.py", wanted=f"{path}.{each}", found="the class has no such attribute")


def _has(owner: Found, exports: Exports) -> set[str]:
    """Methods, fields, and what a method of the class or a base assigns to ``self``."""
    home = exports.sources.module(owner.module)
    found: set[str] = set()
    for node, place in base_classes(owner.node, home, exports) if home and isinstance(owner.node, ast.ClassDef) else ():
        whole = ast.parse(place.source)
        body = next((n for n in ast.walk(whole) if isinstance(n, ast.ClassDef) and n.name == node.name), node)
        for each in ast.walk(body):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(each.name)
            elif (
                isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and last_name(each.value) == "self"
            ):
                found.add(each.attr)
            elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                found.add(each.id)
    return found


def _word(word: Word, sources: Sources, touches: Touches) -> Iterator[Broken]:
    tree = sources.tree(touches.engine)
    assert tree is not None
    for place in word.places:
        path = place.replace(".", "/")
        paths = [f"{path}.py"] if tree.has(f"{path}.py") else tree.walk(path) if tree.has(path) else []
        if any(word.text.encode() in (tree.read(each) or b"") for each in paths):
            return
    where = " or ".join(word.places)
    yield Broken(place="relied.py", wanted=f"{word.text!r} in {where}, since {word.why}", found="it is not there")


__all__ = ["SGLANG", "VLLM", "Broken", "Parameter", "Touches", "broken_in", "undeclared_methods"]
