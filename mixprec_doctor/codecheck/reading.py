"""Reading: some files of Python, parsed once, and all that they need of packages."""

from __future__ import annotations

__all__ = ["read_project"]

import ast
import os
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from mixprec_doctor.codecheck.classes import ClassReader
from mixprec_doctor.codecheck.expressions import ExpressionReader
from mixprec_doctor.codecheck.files import CodeFile, find_files, read_content, read_text
from mixprec_doctor.codecheck.lines import Text
from mixprec_doctor.codecheck.names import Names
from mixprec_doctor.codecheck.needs import ClassNeed, Guard, ImportNeed, Need, PatchNeed, Project, Target, Try, TryKey
from mixprec_doctor.codecheck.notebooks import UnreadableNotebook, cells_of
from mixprec_doctor.codecheck.questions import Questions
from mixprec_doctor.codecheck.scopes import FileScopes, Scope, Site, read_scopes, words_of
from mixprec_doctor.source.module import parse_source
from mixprec_doctor.source.walking import walk

_TOO_DEEP = "nested too deeply to be parsed"


@dataclass(frozen=True, eq=False)
class Read:
    """One file, or one cell, parsed."""

    file: CodeFile
    text: Text
    tree: ast.Module
    scopes: FileScopes


def read_project(
    paths: Sequence[str | os.PathLike[str]], packages: Iterable[str], *, exclude: Sequence[str] = ()
) -> Project:
    """The needs of the files below some paths; a file that does not name a package, nor what another file takes from
    one, is not parsed."""
    reader = _Reader(packages)
    files = list(find_files(paths, exclude=exclude))
    for file in files:
        reader.take(file)
    reader.take_followers()
    return replace(reader.project(), files=len(files))


class _Reader:
    def __init__(self, packages: Iterable[str]) -> None:
        self.names = Names(packages)
        self._questions = Questions(self.names)
        self._mention = re.compile(rb"\b(?:%s)\b" % b"|".join(re.escape(each.encode()) for each in self.names.packages))
        self._read: list[Read] = []
        self._again: list[int] = []  # files with conditions that name what another file defines
        self._waiting: list[tuple[CodeFile, bytes]] = []
        self._unread: list[tuple[str, str]] = []

    def take(self, file: CodeFile) -> None:
        """Parse a file that mentions a package; keep another one for later."""
        content = read_content(file)
        if content is None:
            self._unread.append((file.shown, "no regular file, or it cannot be read"))
        elif self._mention.search(content):
            self._parse(file, content)
        else:
            self._waiting.append((file, content))

    def take_followers(self) -> None:
        """Parse files that name what others took from a package, until no further one does."""
        while self._waiting:
            taken = {name.encode() for name in self._taken_names()}
            if not taken:
                return
            mention = re.compile(rb"\b(?:%s)\b" % b"|".join(map(re.escape, sorted(taken))))
            following = [each for each in self._waiting if mention.search(each[1])]
            if not following:
                return
            self._waiting = [each for each in self._waiting if each not in following]
            for file, content in following:
                self._parse(file, content)

    def _taken_names(self) -> Iterator[str]:
        """Names that the modules read so far bind to things of packages, directly or not."""
        for read in self._read:
            for name, bounds in read.scopes.module.names.items():
                if len(name) > 2 and any(
                    isinstance(each.thing, tuple)
                    and len(each.thing) > 1
                    and (self.names.is_wanted(each.thing[0]) or each.thing[0] in self.names.files)
                    for each in bounds
                ):
                    yield name  # fmt: skip

    def _parse(self, file: CodeFile, content: bytes) -> None:
        try:
            if file.path.suffix == ".ipynb":
                cells = [Text(file.shown, text, cell=number) for number, text in cells_of(content)]
            else:
                cells = [Text(file.shown, read_text(content))]
        except (SyntaxError, UnicodeDecodeError, UnreadableNotebook) as fault:
            self._unread.append((file.shown, str(getattr(fault, "msg", None) or fault)))
            return
        for text in cells:
            tree = self._tree(file, text)
            if tree is not None:
                self._note(file, text, tree)

    def _tree(self, file: CodeFile, text: Text) -> ast.Module | None:
        place = f"{file.shown}, cell {text.cell}" if text.cell is not None else file.shown
        try:
            return parse_source(text.source.encode())
        except SyntaxError as fault:
            self._unread.append((place, f"line {fault.lineno}: {fault.msg}"))
        except (ValueError, UnicodeEncodeError) as fault:
            self._unread.append((place, str(fault)))
        except (RecursionError, MemoryError):
            self._unread.append((place, _TOO_DEEP))
        return None

    def _note(self, file: CodeFile, text: Text, tree: ast.Module) -> None:
        self._questions.unknown = False
        scopes = self._scopes(file, text, tree)
        if scopes is not None:
            if self._questions.unknown:
                self._again.append(len(self._read))
            self._read.append(Read(file, text, tree, scopes))
            self.names.add(file.module, scopes)

    def _scopes(self, file: CodeFile, text: Text, tree: ast.Module) -> FileScopes | None:
        where = f"{file.shown}:{text.cell}" if text.cell is not None else file.shown
        try:
            return read_scopes(
                tree, where,
                test=self._questions.guard,
                absolute=lambda statement: absolute(statement, file),
                foreign=self.names.is_foreign, source=text.source, above=self._earlier_cell(file, text),
            )  # fmt: skip
        except RecursionError:
            self._unread.append((file.shown, _TOO_DEEP))
            return None

    def _earlier_cell(self, file: CodeFile, text: Text) -> Scope | None:
        """The names of the cell before, which has those of the ones before it."""
        if text.cell is None:
            return None
        before = [each for each in self._read if each.file == file and (each.text.cell or 0) < text.cell]
        return before[-1].scopes.module if before else None

    def _read_again(self) -> None:
        """Files whose conditions name what files define that were read after them."""
        for at in self._again:
            read = self._read[at]
            scopes = self._scopes(read.file, read.text, read.tree)
            if scopes is not None:
                self._read[at] = replace(read, scopes=scopes)
                self.names.add(read.file.module, scopes)

    def project(self) -> Project:
        """All needs of all that was read."""
        self._read_again()
        classes = ClassReader(self.names)
        needs: list[Need] = []
        tries: dict[TryKey, Try] = {}
        for read in self._read:  # classes first: calls of super() name them
            for site in read.scopes.sites:
                if isinstance(site.statement, ast.ClassDef):
                    classes.note(site.statement, site.scope)
        for read in self._read:
            tries |= read.scopes.tries
            try:
                needs += self._needs(read, classes)
            except RecursionError:
                self._unread.append((read.file.shown, _TOO_DEEP))
        own = tuple(classes.needs())
        patched = {each.words.rpartition(".")[2] for each in needs if isinstance(each, PatchNeed)}
        needs = [*_with_builds(needs, own), *own]
        return Project(
            files=0, needs=tuple(needs), tries=tries, unread=tuple(sorted(self._unread)),
            calls=classes.calls(own, patched), loads=frozenset(self._loads(patched)),
            mentions=self._mentions(needs),
        )  # fmt: skip

    def _loads(self, names: Set[str]) -> Iterator[str]:
        """Those of some names that the code reads as attributes of something."""
        for read in self._read if names else ():
            for node in walk(read.tree):
                if isinstance(node, ast.Attribute) and node.attr in names and isinstance(node.ctx, ast.Load):
                    yield node.attr

    def _mentions(self, needs: Iterable[Need]) -> dict[str, tuple[tuple[Guard, ...], ...]]:
        """The guards around every mention of a function that needs something: what calls it."""
        wanted = {part for each in needs if each.within for part in each.within.split(".") if not part.startswith("__")}
        found: dict[str, list[tuple[Guard, ...]]] = {name: [] for name in wanted}
        for read in self._read if wanted else ():
            for site in read.scopes.sites:
                for name in words_of(site.statement) & wanted:
                    found[name].append(site.guards)
        for _, content in self._waiting:
            for name in wanted:
                if name.encode() in content:
                    found[name].append(())
        return {name: tuple(guards) for name, guards in found.items()}

    def _needs(self, read: Read, classes: ClassReader) -> Iterator[Need]:
        expressions = ExpressionReader(self.names, self._questions, classes, read.text, read.scopes)
        lazy = _annotations_are_lazy(read.tree)
        for site in read.scopes.sites:
            yield from self._imports(site, read)
            yield from expressions.needs(site, lazy_annotations=lazy)
            if isinstance(site.statement, ast.ClassDef):
                classes.read(site, read.text, read.scopes)

    def _imports(self, site: Site, read: Read) -> Iterator[ImportNeed]:
        statement, text = site.statement, read.text
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if self.names.is_wanted(alias.name):
                    yield ImportNeed(
                        spot=text.spot(alias), guards=site.guards, within=site.scope.function,
                        target=Target(alias.name), how="import", bound=alias.asname,
                    )  # fmt: skip
        elif isinstance(statement, ast.ImportFrom):
            module = absolute(statement, read.file) or ""
            if not self.names.is_wanted(module) or (statement.level and module in self.names.files):
                return
            for alias in statement.names:
                star = alias.name == "*"
                yield ImportNeed(
                    spot=text.spot(alias), guards=site.guards, within=site.scope.function,
                    target=Target(module, () if star else (alias.name,)), how="star" if star else "from",
                    bound=alias.asname or alias.name, statement=statement.lineno,
                )  # fmt: skip


def absolute(statement: ast.ImportFrom, file: CodeFile) -> str | None:
    """The module that ``from ... import`` names in a file of the code."""
    if not statement.level:
        return statement.module
    parts = file.module.split(".")
    base = parts if file.is_package else parts[:-1]
    if statement.level > 1:
        base = base[: len(base) - statement.level + 1]
    named = [*base, statement.module] if statement.module else base
    return ".".join(named) or None


def _annotations_are_lazy(tree: ast.Module) -> bool:
    return any(
        isinstance(each, ast.ImportFrom) and each.module == "__future__"
        and any(alias.name == "annotations" for alias in each.names)
        for each in tree.body
    )  # fmt: skip


def _with_builds(needs: Iterable[Need], classes: Iterable[ClassNeed]) -> Iterator[Need]:
    """The needs, each import with the classes of its file that are built on what it gives."""
    built: dict[tuple[str, Target], list[str]] = {}
    for each in classes:
        for base in each.bases:
            for alternative in base if isinstance(base, tuple) else ():
                if alternative.target is not None:
                    built.setdefault((each.spot.place.file, alternative.target), []).append(each.name)
    for need in needs:
        names = built.get((need.spot.place.file, need.target)) if isinstance(need, ImportNeed) else None
        yield replace(need, builds=tuple(names)) if names and isinstance(need, ImportNeed) else need
