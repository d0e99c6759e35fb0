"""Reach: what importing a module certainly imports, read quickly from the statements at the beginning of a line.

What stands in a try, below a condition or in a function is left out, so an import that is found here runs, and one
that is not found may run all the same. Nothing is parsed as a whole: this is for questions that cannot wait.
"""

from __future__ import annotations

__all__ = ["Mention", "Reach", "library_reach", "read_reach"]

import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.source.sources import Sources

_IMPORT = re.compile(
    rb"(?:from[ \t]+(?P<target>[\w.]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n]*(?:\\\n[^\n]*)*)"
    rb"|import[ \t]+(?P<modules>[^\n#;]+))"
)
_QUOTES = (b'"""', b"'''")
_COMMENT = re.compile(rb"#[^\n]*")


@dataclass(frozen=True, kw_only=True)
class Mention:
    """An import statement that runs: where it stands, the module it names and what it takes from it."""

    module: str  # the asking one
    line: int
    target: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        statement = f"from {self.target} import {', '.join(self.names)}" if self.names else f"import {self.target}"
        return f"{self.module}, line {self.line}: {statement}"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Everything that a package's own modules import on the way, in the order in which it was met."""

    package: str
    modules: frozenset[str]  # of the package itself
    mentions: tuple[Mention, ...]  # of others

    def packages(self) -> frozenset[str]:
        """The top-level packages of others that are imported."""
        return frozenset(mention.target.partition(".")[0] for mention in self.mentions)


def read_reach(sources: Sources, modules: Iterable[str]) -> Reach:
    """What importing the modules reaches; they are all of one package, whose modules are followed."""
    asked = tuple(modules)
    package = asked[0].partition(".")[0]
    waiting: deque[str] = deque()
    queued: set[str] = set()

    def follow(module: str) -> None:
        if module in queued:
            return
        parent = module.rpartition(".")[0]
        if parent:
            follow(parent)
        queued.add(module)
        waiting.append(module)

    for module in asked:
        follow(module)
    seen: set[str] = set()
    mentions: list[Mention] = []
    inside = f"{package}."
    packages: dict[str, bool] = {}

    def is_package(module: str) -> bool:
        if module not in packages:
            packages[module] = _is_package(sources, module)
        return packages[module]

    while waiting:
        module = waiting.popleft()
        if (text := sources.text(module)) is None:
            continue
        seen.add(module)
        for line, target, names in _statements(module, text, is_package=is_package(module)):
            if target != package and not target.startswith(inside):
                mentions.append(Mention(module=module, line=line, target=target, names=tuple(_names(names))))
                continue
            follow(target)
            if names and is_package(target):
                for name in _names(names):
                    follow(f"{target}.{name}")
    return Reach(package=package, modules=frozenset(seen), mentions=tuple(mentions))


def library_reach(library: Path, names: Iterable[str]) -> frozenset[str]:
    """The modules of Python's library that some of them import, with these; what packages have below is left out."""
    waiting = [name for name in names if name in sys.stdlib_module_names]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for file, is_package in ((library / name / "__init__.py", True), (library / f"{name}.py", False)):
            if file.is_file():
                found = _statements(name, file.read_bytes(), is_package=is_package)
                tops = (target.partition(".")[0] for _, target, _ in found)
                waiting += [top for top in tops if top in sys.stdlib_module_names and top not in seen]
                break
    return frozenset(seen)


def _is_package(sources: Sources, module: str) -> bool:
    tree = sources.tree(module.partition(".")[0])
    return tree is not None and tree.has(module.replace(".", "/") + "/__init__.py")


def _statements(module: str, text: bytes, *, is_package: bool) -> Iterator[tuple[int, str, bytes]]:
    """The line of each import that runs, the module it names and, as they are written, the names it takes."""
    line, quotes, last = 1, [0, 0], 0
    for start in _starts(text):
        found = _IMPORT.match(text, start)
        if found is None or start < last:
            continue
        line += text.count(b"\n", last, start)
        quotes = [count + text.count(mark, last, start) for count, mark in zip(quotes, _QUOTES, strict=True)]
        last = start
        if quotes[0] % 2 or quotes[1] % 2:
            continue  # inside of a docstring
        target, names, modules = found.groups()
        if modules is not None:
            for part in modules.split(b","):
                if words := part.split():
                    yield line, words[0].decode(errors="replace"), b""
            continue
        if absolute := _absolute(target.decode(errors="replace"), module, is_package=is_package):
            yield line, absolute, names


def _starts(text: bytes) -> list[int]:
    """Where lines begin with an import; looked for as plain bytes, ten times quicker than by an expression."""
    starts = [0]
    for word in (b"\nimport ", b"\nfrom "):
        at = text.find(word)
        while at >= 0:
            starts.append(at + 1)
            at = text.find(word, at + 1)
    return sorted(starts)


def _names(raw: bytes) -> Iterator[str]:
    plain = _COMMENT.sub(b"", raw) if b"#" in raw else raw
    for part in plain.replace(b"\\\n", b" ").strip(b"() \t\r\n").split(b","):
        words = part.split(b";")[0].split()
        if words and words[0] != b"*":
            yield words[0].decode(errors="replace")


def _absolute(target: str, module: str, *, is_package: bool) -> str:
    if target[0] != ".":
        return target
    level = len(target) - len(target.lstrip("."))
    parts = module.split(".")
    base = parts[: len(parts) - level + (1 if is_package else 0)]
    return ".".join([*base, *filter(None, [target.lstrip(".")])]) if base else ""
