"""Asking: the lines of Python that stand for what failed, so that the doctor can say what would happen to them."""

from __future__ import annotations

__all__ = ["codes_to_ask", "in_package", "module_of_file"]

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mixprec_doctor.records.traceback import Frame, Raised
from mixprec_doctor.tracebacks.questions import Question

_LARGEST = 2 * 2**20
_MACHINERY = ("/importlib/__init__.py", "/runpy.py")
_PACKAGES = ("site-packages", "dist-packages")


def codes_to_ask(raised: Raised, question: Question | None) -> tuple[str, ...]:
    """Pieces of code, the most telling first: the outermost import that failed, the failing statement, the name itself.

    The files of a log are looked into where they are at hand, for what a statement's names are; nothing is run.
    """
    frames = [frame for frame in raised.frames if not _is_machinery(frame)]
    asked = [_outermost_import(frames), _failing_statement(frames)]
    asked += question.imports if question is not None else ()
    return tuple(dict.fromkeys(code for code in asked if code))


def in_package(frame: Frame) -> bool:
    """Whether a frame lies in an installed package."""
    return any(mark in PurePosixPath(frame.file).parts for mark in _PACKAGES)


def module_of_file(file: str) -> str | None:
    """``sglang.srt.utils`` of ``/env/lib/python3.11/site-packages/sglang/srt/utils/__init__.py``."""
    parts = PurePosixPath(file).parts
    marks = [index for index, part in enumerate(parts) if part in _PACKAGES]
    if not marks or not file.endswith(".py"):
        return None
    inside = [*parts[marks[-1] + 1 : -1], PurePosixPath(file).stem]
    if inside[-1] == "__init__":
        inside.pop()
    return ".".join(inside) if inside and all(part.isidentifier() for part in inside) else None


def _is_machinery(frame: Frame) -> bool:
    return frame.file.startswith("<frozen ") or frame.file.endswith(_MACHINERY)


def _outermost_import(frames: Sequence[Frame]) -> str | None:
    """The import statement, or else the module, that began the last run of modules importing one another."""
    last = next((index for index in reversed(range(len(frames))) if _is_module(frames[index])), None)
    if last is None:
        return None
    first = last
    while first > 0 and _is_module(frames[first - 1]):
        first -= 1
    before = frames[first - 1] if first else None
    statement = _statement(before) if before is not None else None
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return ast.unparse(statement)
    return f"import {module_of_file(frames[first].file)}"


def _is_module(frame: Frame) -> bool:
    return frame.function == "<module>" and module_of_file(frame.file) is not None


def _failing_statement(frames: Sequence[Frame]) -> str | None:
    """The statement of the last frame, with the imports of its file that its names come from."""
    if not frames:
        return None
    statement = _statement(frames[-1])
    if statement is None or isinstance(statement, (ast.Raise, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return None
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return ast.unparse(statement)
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    tree = _tree(frames[-1].file)
    imports = list(_imports_of(names, tree, frames[-1].file)) if tree is not None else []
    expression = _calls_only(statement)
    return "\n".join([*imports, expression]) if imports and expression else None


def _calls_only(statement: ast.stmt) -> str | None:
    """The calls of a statement as one that needs no block around it."""
    value = getattr(statement, "value", None)
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr, ast.Return)) and isinstance(value, ast.expr):
        inner = value.value if isinstance(value, ast.Await) else value
        return ast.unparse(inner)
    return None


def _statement(frame: Frame) -> ast.stmt | None:
    """The statement of a frame, whole where its file is at hand; with the module's own package put before its dots."""
    tree = _tree(frame.file) if frame.line else None
    if tree is not None:
        spanning = [
            node for node in ast.walk(tree)
            if isinstance(node, ast.stmt) and node.lineno <= (frame.line or 0) <= (node.end_lineno or node.lineno)
        ]  # fmt: skip
        found: ast.stmt | None = max(spanning, key=lambda node: node.lineno, default=None)
        shown = (frame.code or "").partition("(")[0].strip()
        if found is not None and (
            not shown or shown in ast.unparse(found).replace("'", '"') or shown in ast.unparse(found)
        ):
            return _absolute(found, frame.file)
    try:
        body = ast.parse(frame.code or "").body
    except (SyntaxError, ValueError):
        return None
    return _absolute(body[0], frame.file) if len(body) == 1 else None


def _absolute(statement: ast.stmt, file: str) -> ast.stmt | None:
    """Without leading dots; None where nothing says what they stand for."""
    if not isinstance(statement, ast.ImportFrom) or not statement.level:
        return statement
    module = module_of_file(file)
    if module is None:
        return None
    parts = module.split(".")
    above = statement.level - (1 if file.endswith("/__init__.py") else 0)
    base = parts[: len(parts) - above]
    if not base:
        return None
    full = ".".join([*base, *([statement.module] if statement.module else [])])
    return ast.ImportFrom(module=full, names=statement.names, level=0, lineno=statement.lineno, col_offset=0)


def _imports_of(names: set[str], tree: ast.Module, file: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        bound = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in names]
        statement = _absolute(node, file) if bound else None
        if isinstance(statement, ast.ImportFrom):
            yield ast.unparse(ast.ImportFrom(module=statement.module, names=bound, level=0))
        elif isinstance(statement, ast.Import):
            yield ast.unparse(ast.Import(names=bound))


def _tree(file: str) -> ast.Module | None:
    try:
        path = Path(file)
        if not file.endswith(".py") or not path.is_absolute() or not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
