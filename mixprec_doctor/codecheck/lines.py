"""Lines: places of syntax trees as people count them, in characters from 1."""

from __future__ import annotations

__all__ = ["Text"]

import ast
from functools import cached_property

from mixprec_doctor.codecheck.needs import Spot
from mixprec_doctor.records.codefinding import Place


class Text:
    """The source of one file, or of one cell of a notebook, and the places of its nodes."""

    def __init__(self, file: str, source: str, *, cell: int | None = None) -> None:
        self.file = file
        self.source = source
        self.cell = cell

    @cached_property
    def lines(self) -> list[str]:
        """The lines as the parser counts them."""
        return self.source.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def line(self, number: int) -> str:
        """A line by its number."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def spot(self, node: ast.stmt | ast.expr | ast.alias | ast.keyword | ast.arg) -> Spot:
        """Where a node stands; of a compound statement its head, of a keyword its word."""
        end_line, end_offset = node.end_lineno or node.lineno, node.end_col_offset or 0
        column = self.column(node.lineno, node.col_offset)
        if isinstance(node, ast.keyword) and node.arg is not None:
            return self.at(node.lineno, column, node.lineno, column + len(node.arg))
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._name_of(node)
        if isinstance(node, ast.Attribute) and end_line != node.lineno:
            return self.at(node.lineno, column, node.lineno, len(self.line(node.lineno)) + 1)
        return self.at(node.lineno, column, end_line, self.column(end_line, end_offset))

    def at(self, line: int, column: int, end_line: int, end_column: int) -> Spot:
        """A spot by its numbers."""
        place = Place(
            file=self.file, line=line, column=column, end_line=end_line, end_column=end_column, cell=self.cell
        )
        return Spot(place, self.line(line))

    def column(self, line: int, offset: int) -> int:
        """The column in characters, from 1, of an offset in the bytes of UTF-8."""
        text = self.line(line)
        if text.isascii():
            return offset + 1
        return len(text.encode()[:offset].decode(errors="replace")) + 1

    def _name_of(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Spot:
        text = self.line(node.lineno)
        start = self.column(node.lineno, node.col_offset) - 1
        at = text.find(node.name, start + 3)
        if at < 0:
            return self.at(node.lineno, start + 1, node.lineno, len(text) + 1)
        return self.at(node.lineno, at + 1, node.lineno, at + 1 + len(node.name))
