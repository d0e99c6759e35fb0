"""Altered copies of a release: classes moved to other modules, arguments renamed. What is right is known by construction."""

from __future__ import annotations

__all__ = ["Alteration", "copy_engine", "move_class", "rename_argument"]

import ast
import re
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Alteration:
    """Where a class stands after it was moved."""

    name: str
    before: str
    after: str


def copy_engine(package: Path, site: Path) -> Path:
    """The Python files of an import package, in another folder that stands for site-packages."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if not name.endswith(".py") and not (Path(folder) / name).is_dir()}

    shutil.copytree(package, site / package.name, ignore=ignored)
    return site


def move_class(site: Path, before: str, name: str, after: str, *, leave_import: bool) -> Alteration:
    """Move a class to a new module; its old one imports it from there, or everybody's import is rewritten."""
    old, new = _file(site, before), _file(site, after, create=True)
    text = old.read_text(encoding="utf-8-sig")
    tree = ast.parse(text)
    node = next(each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name)
    lines = text.splitlines(keepends=True)
    start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) - 1
    body = "".join(lines[start : node.end_lineno])
    imports = "".join(
        _absolute(ast.get_source_segment(text, each) or "", each, before, old.name == "__init__.py") + "\n"
        for each in tree.body
        if isinstance(each, (ast.Import, ast.ImportFrom)) and not _is_future(each)
    )
    others = [
        each.name for each in tree.body if isinstance(each, (ast.ClassDef, ast.FunctionDef)) and each.name != name
    ]
    used = [other for other in others if re.search(rf"\b{other}\b", body)]
    back = f"from {before} import {', '.join(used)}\n" if used else ""
    new.write_text(f"from __future__ import annotations\n{imports}{back}\n{body}", encoding="utf-8")
    needed = leave_import or re.search(rf"\b{name}\b", "".join([*lines[:start], *lines[node.end_lineno :]]))
    lines[start : node.end_lineno] = [f"from {after} import {name}\n"] if needed else []
    old.write_text("".join(lines), encoding="utf-8")
    if not leave_import:
        for file in site.rglob("*.py"):
            _rewrite_imports(file, before, name, after)
    return Alteration(name=name, before=before, after=after)


def rename_argument(site: Path, module: str, name: str, argument: str, renamed: str) -> None:
    """Rename an argument of a class's constructor, in the class only: there and in its from_config."""
    file = _file(site, module)
    text = file.read_text(encoding="utf-8-sig")
    node = next(each for each in ast.parse(text).body if isinstance(each, ast.ClassDef) and each.name == name)
    lines = text.splitlines(keepends=True)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name in ("__init__", "from_config"):
            word = rf"(?<![.\w\"']){argument}\b(?![\"'])" if inner.name == "__init__" else rf"\b{argument}(?==[^=])"
            for at in range(inner.lineno - 1, inner.end_lineno or inner.lineno):
                lines[at] = re.sub(word, renamed, lines[at])
    file.write_text("".join(lines), encoding="utf-8")


def _rewrite_imports(file: Path, before: str, name: str, after: str) -> None:
    text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    if name not in text or before.rpartition(".")[2] not in text:
        return
    lines = text.splitlines(keepends=True)
    found = [
        node for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module == before and not node.level
        and any(alias.name == name for alias in node.names)
    ]  # fmt: skip
    for node in sorted(found, key=lambda each: -each.lineno):
        rest = [ast.unparse(alias) for alias in node.names if alias.name != name]
        wanted = [ast.unparse(alias) for alias in node.names if alias.name == name]
        new = [f"from {before} import {', '.join(rest)}"] if rest else []
        new += [f"from {after} import {each}" for each in wanted]
        lines[node.lineno - 1 : node.end_lineno] = [f"{' ' * node.col_offset}{each}\n" for each in new]
    file.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def _absolute(segment: str, node: ast.Import | ast.ImportFrom, module: str, is_package: bool) -> str:
    if isinstance(node, ast.Import) or not node.level:
        return segment
    parts = module.split(".")
    base = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return f"from {'.'.join([*base, node.module or '']).rstrip('.')} import {', '.join(map(ast.unparse, node.names))}"


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _file(site: Path, module: str, *, create: bool = False) -> Path:
    base = site.joinpath(*module.split("."))
    if (base / "__init__.py").exists():
        return base / "__init__.py"
    file = base.with_suffix(".py")
    if create:
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in file.relative_to(site).parents:
            if str(folder) != "." and not (site / folder / "__init__.py").exists():
                (site / folder / "__init__.py").write_text("")
    return file
