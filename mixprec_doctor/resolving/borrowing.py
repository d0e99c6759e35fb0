"""Borrowing: names that one package takes from another at import time, and which of them are not there."""

from __future__ import annotations

__all__ = ["Borrowed", "borrowed_names", "lacking"]

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mixprec_doctor.resolving.symbols import module_of
from mixprec_doctor.source.exports import Exports, Unbound
from mixprec_doctor.source.module import Branch, Guard, ParsedModule
from mixprec_doctor.source.truth import Truth


@dataclass(frozen=True, kw_only=True)
class Borrowed:
    """One name of another package, and the import that takes it."""

    module: str  # "vllm.model_executor.layers.quantization.aqlm"
    name: str | None  # "AQLMConfig"; None: the module itself
    asker: str  # the module that takes it
    line: int
    guard: int | None = None  # line of the first statement of the try around it; None: nothing catches a failure

    @property
    def wanted(self) -> str:
        """The dotted name."""
        return f"{self.module}.{self.name}" if self.name else self.module


def borrowed_names(exports: Exports, borrower: str, lender: str, *, among: Iterable[str] = ()) -> tuple[Borrowed, ...]:
    """What the top level of a package's modules takes from another one; ``among`` names the modules to look into.

    Imports inside of functions run later, if ever, and are left out; so are those of branches that certainly
    do not run.
    """
    return tuple(_borrowed(exports, borrower, lender, tuple(among)))


def lacking(borrowed: Iterable[Borrowed], exports: Exports) -> tuple[Borrowed, ...]:
    """Those that an import would certainly not find."""
    return tuple(each for each in borrowed if not _is_there(each, exports))


def _is_there(each: Borrowed, exports: Exports) -> bool:
    if exports.sources.has_module(each.module) is Truth.NO:
        return False
    if each.name is None or exports.sources.has_module(each.wanted) is Truth.YES:
        return True
    return not isinstance(exports.look_up(each.module, each.name), Unbound)


def _borrowed(exports: Exports, borrower: str, lender: str, among: tuple[str, ...]) -> Iterator[Borrowed]:
    for module in among or _modules(exports, borrower):
        if lender.encode() not in (exports.sources.text(module) or b""):
            continue
        parsed = exports.sources.module(module)
        if parsed is not None:
            yield from _of_body(parsed.tree.body, parsed, exports, lender, guard=None)


def _modules(exports: Exports, package: str) -> Iterator[str]:
    tree = exports.sources.tree(package)
    for path in tree.walk(package) if tree is not None else ():
        yield module_of(path)[0]


def _of_body(
    body: list[ast.stmt], parsed: ParsedModule, exports: Exports, lender: str, *, guard: int | None
) -> Iterator[Borrowed]:
    for statement in body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name.partition(".")[0] == lender:
                    yield Borrowed(
                        module=alias.name, name=None, asker=parsed.name, line=statement.lineno, guard=guard
                    )  # fmt: skip
        elif isinstance(statement, ast.ImportFrom):
            target = parsed.absolute(statement) or ""
            for alias in statement.names if target.partition(".")[0] == lender else ():
                name = None if alias.name == "*" else alias.name
                yield Borrowed(module=target, name=name, asker=parsed.name, line=statement.lineno, guard=guard)
        elif isinstance(statement, ast.If):
            test = Guard(branch=Branch.IF, line=statement.lineno, test=statement.test)
            truth = exports.conditions.judge(test, parsed)
            for branch, runs in ((statement.body, truth), (statement.orelse, ~truth)):
                if runs is not Truth.NO:
                    # A branch that may not run is no more than a try: its failing is not certain.
                    inner = guard if runs is Truth.YES else (guard or statement.lineno)
                    yield from _of_body(branch, parsed, exports, lender, guard=inner)
        elif isinstance(statement, ast.Try):
            inner = statement.body[0].lineno if statement.handlers else guard
            yield from _of_body(statement.body, parsed, exports, lender, guard=inner)
            yield from _of_body(statement.orelse, parsed, exports, lender, guard=guard)
        elif isinstance(statement, (ast.With, ast.ClassDef)):
            yield from _of_body(statement.body, parsed, exports, lender, guard=guard)
