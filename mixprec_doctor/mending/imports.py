"""Imports: ``from a import X, Y`` when some or all of its names are elsewhere, as libcst nodes."""

from __future__ import annotations

__all__ = ["CannotSplit", "Move", "Taken", "changed", "dotted", "split"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import libcst as cst


class CannotSplit(Exception):
    """An import whose comments would lose their names if it became two."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """Where a name is now, and what it is called there."""

    module: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Names that were taken out of an import, and the comment that stood beside them."""

    module: str
    aliases: tuple[cst.ImportAlias, ...]
    comment: cst.Comment | None

    def line(self, newline: cst.Newline) -> cst.SimpleStatementLine:
        """An import of its own."""
        names = [
            alias.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
            for alias in self.aliases[:-1]
        ]
        names.append(self.aliases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT))
        gap = cst.SimpleWhitespace("  " if self.comment else "")
        return cst.SimpleStatementLine(
            body=[cst.ImportFrom(module=_expression(self.module), names=names)],
            trailing_whitespace=cst.TrailingWhitespace(whitespace=gap, comment=self.comment, newline=newline),
        )


def dotted(node: cst.BaseExpression) -> str:
    """``a.b.c`` of a name or attribute."""
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    return ".".join([*([node.value] if isinstance(node, cst.Name) else []), *reversed(parts)])


def changed(statement: cst.ImportFrom, moves: Mapping[int, Move]) -> cst.ImportFrom | None:
    """The same statement with another module, other names or both; None where it would have to be two."""
    if isinstance(statement.names, cst.ImportStar) or statement.module is None:
        return None
    own = dotted(statement.module)
    homes = {moves[index].module if index in moves else own for index in range(len(statement.names))}
    if len(homes) != 1:
        return None
    [home] = homes
    names = [_renamed(alias, moves.get(index)) for index, alias in enumerate(statement.names)]
    module = statement.module if home == own else _expression(home)
    return statement.with_changes(module=module, names=names)


def split(line: cst.SimpleStatementLine, moves: Mapping[int, Move]) -> tuple[cst.SimpleStatementLine, ...]:
    """A line with one import as several: what stays of it, then an import for each other module.

    Raises CannotSplit where a comment would lose its name.
    """
    statement = line.body[0]
    if not isinstance(statement, cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        raise CannotSplit("it is an import of another form")
    if _has_lines_of_comments(statement):
        raise CannotSplit("comments stand in lines of their own between the names; split the import by hand")
    own = dotted(statement.module) if statement.module else ""
    away = {index: move for index, move in sorted(moves.items()) if move.module != own}
    newline = line.trailing_whitespace.newline
    stayed = [index for index in range(len(statement.names)) if index not in away]
    if not stayed:
        if "#" in cst.Module(body=[]).code_for_node(line.with_changes(leading_lines=[])):
            raise CannotSplit("its names went to several modules, and it has comments; split the import by hand")
        lines = [each.line(newline) for each in _taken(statement.names, away, {})]
        return lines[0].with_changes(leading_lines=line.leading_lines), *lines[1:]
    left, comments = _without_all(statement, away)
    lines = [each.line(newline) for each in _taken(statement.names, away, comments)]
    assert not isinstance(left.names, cst.ImportStar)  # noqa: S101  refused above
    names = [_renamed(alias, moves.get(index)) for index, alias in zip(stayed, left.names, strict=True)]
    return line.with_changes(body=[left.with_changes(names=names)]), *lines


def _without_all(
    statement: cst.ImportFrom, away: Mapping[int, Move]
) -> tuple[cst.ImportFrom, dict[int, cst.Comment | None]]:
    """An import without some of its names, last ones first, and the comments of those."""
    comments = {}
    for index in sorted(away, reverse=True):
        statement, comments[index] = _without(statement, index)
    return statement, comments


def _taken(
    names: Sequence[cst.ImportAlias], away: Mapping[int, Move], comments: Mapping[int, cst.Comment | None]
) -> list[Taken]:
    """Names that go, by the modules that they go to."""
    taken = []
    for module in dict.fromkeys(each.module for each in away.values()):
        own = [index for index in away if away[index].module == module]
        said = [comment for index in own if (comment := comments.get(index)) is not None]
        if len(said) > 1 or (said and len(own) > 1):
            raise CannotSplit("comments stand beside the names; split the import by hand")
        aliases = tuple(_renamed(names[index], away[index]) for index in own)
        taken.append(Taken(module=module, aliases=aliases, comment=said[0] if said else None))
    return taken


def _renamed(alias: cst.ImportAlias, move: Move | None) -> cst.ImportAlias:
    """The alias with the name that it has now, bound to what it was bound to before."""
    if move is None or dotted(alias.name) == move.name:
        return alias
    before = dotted(alias.name)
    asname = alias.asname or cst.AsName(name=cst.Name(before))
    bound = asname.name.value if isinstance(asname.name, cst.Name) else ""
    return alias.with_changes(name=cst.Name(move.name), asname=None if bound == move.name else asname)


def _without(statement: cst.ImportFrom, index: int) -> tuple[cst.ImportFrom, cst.Comment | None]:
    """An import without one of its names, and the comment of that name."""
    assert not isinstance(statement.names, cst.ImportStar)  # noqa: S101  refused before
    names = list(statement.names)
    gone = names.pop(index)
    before = _before(statement, index)
    is_last = index == len(names)
    after = _after(statement, gone, is_last=is_last)
    alone = isinstance(before, cst.ParenthesizedWhitespace) or not index
    comment = after.first_line.comment if isinstance(after, cst.ParenthesizedWhitespace) and alone else None
    if not names:
        return statement.with_changes(names=names), comment
    if not is_last:
        if not alone and index:  # the line goes on as it did after what is gone
            names[index - 1] = _followed_by(names[index - 1], after)
        return statement.with_changes(names=names), comment
    if isinstance(gone.comma, cst.Comma):  # a comma at the end stays the style
        kept = before if alone and index else after
        last = names[-1].with_changes(comma=gone.comma.with_changes(whitespace_after=_ending(kept, after)))
        return statement.with_changes(names=[*names[:-1], last]), comment
    names[-1] = names[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    statement = statement.with_changes(names=names)
    if statement.rpar is not None and isinstance(before, cst.ParenthesizedWhitespace):
        end = _ending(before, statement.rpar.whitespace_before)
        statement = statement.with_changes(rpar=statement.rpar.with_changes(whitespace_before=end))
    return statement, comment


def _before(statement: cst.ImportFrom, index: int) -> cst.BaseParenthesizableWhitespace | None:
    """What stands before a name: after the comma, or after the parenthesis."""
    assert not isinstance(statement.names, cst.ImportStar)  # noqa: S101  refused before
    if index:
        comma = statement.names[index - 1].comma
        return comma.whitespace_after if isinstance(comma, cst.Comma) else None
    return statement.lpar.whitespace_after if statement.lpar else None


def _after(
    statement: cst.ImportFrom, alias: cst.ImportAlias, *, is_last: bool
) -> cst.BaseParenthesizableWhitespace | None:
    if isinstance(alias.comma, cst.Comma):
        after = alias.comma.whitespace_after
        if not is_last or isinstance(after, cst.ParenthesizedWhitespace) or statement.rpar is None:
            return after
    return statement.rpar.whitespace_before if statement.rpar else None


def _followed_by(alias: cst.ImportAlias, after: cst.BaseParenthesizableWhitespace | None) -> cst.ImportAlias:
    if after is None or not isinstance(alias.comma, cst.Comma):
        return alias
    return alias.with_changes(comma=alias.comma.with_changes(whitespace_after=after))


def _ending(
    before: cst.BaseParenthesizableWhitespace | None, after: cst.BaseParenthesizableWhitespace | None
) -> cst.BaseParenthesizableWhitespace:
    """The end of a line with the comment that ``before`` has, and the beginning of the next that ``after`` has."""
    if isinstance(before, cst.ParenthesizedWhitespace) and isinstance(after, cst.ParenthesizedWhitespace):
        return after.with_changes(first_line=before.first_line)
    if isinstance(before, cst.ParenthesizedWhitespace) and before.first_line.comment is not None:
        return before
    return after if after is not None else cst.SimpleWhitespace("")


def _has_lines_of_comments(statement: cst.ImportFrom) -> bool:
    assert not isinstance(statement.names, cst.ImportStar)  # noqa: S101  refused before
    gaps: Sequence[cst.BaseParenthesizableWhitespace | None] = [
        statement.lpar.whitespace_after if statement.lpar else None,
        *(alias.comma.whitespace_after for alias in statement.names if isinstance(alias.comma, cst.Comma)),
        statement.rpar.whitespace_before if statement.rpar else None,
    ]
    return any(
        line.comment is not None
        for gap in gaps
        if isinstance(gap, cst.ParenthesizedWhitespace)
        for line in gap.empty_lines
    )


def _expression(name: str) -> cst.Attribute | cst.Name:
    first, *rest = name.split(".")
    node: cst.Attribute | cst.Name = cst.Name(first)
    for part in rest:
        node = cst.Attribute(value=node, attr=cst.Name(part))
    return node
