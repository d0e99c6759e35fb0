"""Rewriting: one file's text with some imports and names of arguments changed, by libcst; the rest byte for byte."""

from __future__ import annotations

__all__ = ["Rewritten", "Unwritable", "rewrite"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from mixprec_doctor.mending.imports import CannotSplit, Move, changed, dotted, split
from mixprec_doctor.records.codefinding import CodeFinding, Place, Repair


class Unwritable(Exception):
    """A file that is left as it is, and why."""


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """The new content, and why some findings are left as they are, by their ``id``."""

    content: bytes
    encoding: str
    reasons: Mapping[int, str]


@dataclass(kw_only=True)
class _Changes:
    """What becomes of the nodes of a tree."""

    moves: dict[cst.ImportFrom | cst.Import, dict[int, Move]] = field(default_factory=dict)  # by position of the name
    owners: dict[cst.CSTNode, dict[int, int]] = field(default_factory=dict)  # the finding that asked for a move
    keywords: dict[cst.Arg, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)


def rewrite(content: bytes, findings: Sequence[CodeFinding]) -> Rewritten:
    """The content with the findings' repairs written; raises Unwritable where nothing of it can be."""
    module = _parse(content)
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    lines = module.code.splitlines(keepends=True) if not module.code.isascii() else module.code.split("\n")
    finder = _Finder(positions)
    module.visit(finder)
    changes = _Changes()
    for found in findings:
        if found.source.strip() and not any(found.source.strip() in line for line in _near(lines, found.place.line)):
            changes.reasons[id(found)] = "the file has changed since it was read"
            continue
        reason = _note(found, finder, changes)
        if reason is not None:
            changes.reasons[id(found)] = reason
    _settle(finder, changes)
    written = module.visit(_Writer(changes))
    return Rewritten(content=written.bytes, encoding=module.encoding, reasons=changes.reasons)


def _parse(content: bytes) -> cst.Module:
    try:
        module = cst.parse_module(content)
        same = module.bytes == content
    except Exception as fault:  # noqa: BLE001  its parser fails in ways of its own, and then the file is left alone
        words = str(fault).strip().partition("\n")[0]
        raise Unwritable(f"libcst cannot parse it: {words or type(fault).__name__}") from None
    if not same:
        raise Unwritable("libcst does not give it back byte for byte")
    return module


def _near(lines: Sequence[str], line: int) -> Sequence[str]:
    """The line, and in files with odd line ends those about it."""
    return lines[max(line - 2, 0) : line + 1]


def _note(found: CodeFinding, finder: _Finder, changes: _Changes) -> str | None:
    """Note what is to be changed for a finding; else the reason why not."""
    repair = found.repair
    assert repair is not None  # noqa: S101  findings without one are not handed over
    if repair.kind == "keyword":
        return _note_keyword(found.place, repair, finder, changes)
    statement = finder.import_at(found.place)
    if isinstance(statement, cst.ImportFrom):
        return _note_names(found, repair, statement, changes, finder)
    if isinstance(statement, cst.Import):
        return _note_modules(found, repair, statement, changes)
    return "it is no import; how the name is reached has to be changed by hand"


def _note_names(
    found: CodeFinding, repair: Repair, statement: cst.ImportFrom, changes: _Changes, finder: _Finder
) -> str | None:
    if statement.relative or statement.module is None or isinstance(statement.names, cst.ImportStar):
        return "it is an import of another form"
    module = dotted(statement.module)
    names = [dotted(alias.name) for alias in statement.names]
    if repair.old == module:
        moves = {index: Move(module=repair.new, name=name) for index, name in enumerate(names)}
    else:
        home, _, name = repair.new.rpartition(".")
        indexes = [index for index, each in enumerate(names) if f"{module}.{each}" == repair.old]
        if len(indexes) > 1:
            here = [index for index in indexes if finder.starts(statement.names[index], found.place)]
            indexes = here or indexes
        moves = {index: Move(module=home, name=name) for index in indexes}
        if not moves or not home:
            return f"the import does not name {repair.old}"
    return _add_moves(found, statement, moves, changes)


def _settle(finder: _Finder, changes: _Changes) -> None:
    """Leave those imports alone that would have to become two and cannot."""
    for statement, moves in tuple(changes.moves.items()):
        if isinstance(statement, cst.Import) or not moves or changed(statement, moves) is not None:
            continue
        reason = finder.cannot_split(statement, moves)
        if reason is not None:
            del changes.moves[statement]
            changes.reasons.update(dict.fromkeys(changes.owners[statement].values(), reason))


def _note_modules(found: CodeFinding, repair: Repair, statement: cst.Import, changes: _Changes) -> str | None:
    for index, alias in enumerate(statement.names):
        if dotted(alias.name) == repair.old:
            if alias.asname is None:
                return f"without `as` all uses of {repair.old} would change too"
            return _add_moves(found, statement, {index: Move(module=repair.new, name="")}, changes)
    return f"the import does not name {repair.old}"


def _add_moves(
    found: CodeFinding, statement: cst.ImportFrom | cst.Import, moves: Mapping[int, Move], changes: _Changes
) -> str | None:
    known = changes.moves.setdefault(statement, {})
    owners = changes.owners.setdefault(statement, {})
    for index, move in moves.items():
        if known.get(index, move) != move:
            del known[index]
            changes.reasons[owners.pop(index)] = "another repair of the same name says otherwise"
            return "another repair of the same name says otherwise"
    known.update(moves)
    owners.update(dict.fromkeys(moves, id(found)))
    return None


def _note_keyword(place: Place, repair: Repair, finder: _Finder, changes: _Changes) -> str | None:
    calls = finder.keywords_in(place, repair.old)
    if len(calls) != 1:
        return f"there is {'no' if not calls else 'more than one'} argument {repair.old} at this place"
    call, arg = calls[0]
    if any(each.keyword is not None and each.keyword.value == repair.new for each in call.args):
        return f"the call has an argument {repair.new} already"
    if changes.keywords.setdefault(arg, repair.new) != repair.new:
        return "another repair of the same argument says otherwise"
    return None


class _Finder(cst.CSTVisitor):
    """Imports and calls of a module, by their positions."""

    def __init__(self, positions: Mapping[cst.CSTNode, CodeRange]) -> None:
        super().__init__()
        self._positions = positions
        self._imports: list[cst.ImportFrom | cst.Import] = []
        self._calls: list[cst.Call] = []
        self._lines: dict[cst.CSTNode, cst.SimpleStatementLine] = {}

    def visit_Import(self, node: cst.Import) -> None:
        """Remember it."""
        self._imports.append(node)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        """Remember it."""
        self._imports.append(node)

    def visit_Call(self, node: cst.Call) -> None:
        """Remember it."""
        self._calls.append(node)

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        """Remember statements that have a line for themselves."""
        if len(node.body) == 1:
            self._lines[node.body[0]] = node

    def import_at(self, place: Place) -> cst.ImportFrom | cst.Import | None:
        """The import that a place lies in."""
        return next((each for each in self._imports if self._holds(each, place)), None)

    def cannot_split(self, statement: cst.ImportFrom, moves: Mapping[int, Move]) -> str | None:
        """Why an import cannot become several; None where it can."""
        line = self._lines.get(statement)
        if line is None:
            return "other statements stand in the same line; split the import by hand"
        try:
            split(line, moves)
        except CannotSplit as fault:
            return str(fault)
        return None

    def keywords_in(self, place: Place, name: str) -> list[tuple[cst.Call, cst.Arg]]:
        """Arguments of that name at a place, or else of the one call that begins there."""
        found = [
            (call, arg)
            for call in self._calls
            for arg in call.args
            if arg.keyword is not None and arg.keyword.value == name
        ]
        exact = [each for each in found if self.starts(each[1], place)]
        return exact or [each for each in found if self.starts(each[0], place) and self._holds(each[0], place)]

    def starts(self, node: cst.CSTNode, place: Place) -> bool:
        """Whether a node begins where a place does."""
        start = self._positions[node].start
        return (start.line, start.column + 1) == (place.line, place.column)

    def _holds(self, node: cst.CSTNode, place: Place) -> bool:
        at = self._positions[node]
        start, end = (at.start.line, at.start.column + 1), (at.end.line, at.end.column + 1)
        return start <= (place.line, place.column) < end


class _Writer(cst.CSTTransformer):
    """The changes, made."""

    def __init__(self, changes: _Changes) -> None:
        super().__init__()
        self._changes = changes

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        """An argument under its new name."""
        new = self._changes.keywords.get(original_node)
        if new is None or updated_node.keyword is None:
            return updated_node
        return updated_node.with_changes(keyword=updated_node.keyword.with_changes(value=new))

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        """``import a.b as c`` with another module."""
        moves = self._changes.moves.get(original_node, {})
        names = [
            alias.with_changes(name=cst.ensure_type(cst.parse_expression(moves[index].module), cst.Attribute))
            if index in moves and "." in moves[index].module
            else alias.with_changes(name=cst.Name(moves[index].module))
            if index in moves
            else alias
            for index, alias in enumerate(updated_node.names)
        ]
        return updated_node.with_changes(names=names) if moves else updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        """A line whose only statement is an import, as one line for each module that its names are in now."""
        statement = original_node.body[0]
        moves = self._changes.moves.get(statement) if isinstance(statement, cst.ImportFrom) else None
        if not moves or not isinstance(statement, cst.ImportFrom) or changed(statement, moves) is not None:
            return updated_node
        return cst.FlattenSentinel(split(updated_node, moves))

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        """An import that stays one statement."""
        moves = self._changes.moves.get(original_node)
        return (changed(original_node, moves) if moves else None) or updated_node
