"""Certainty: which calls of some lines certainly run and end the lines when they fail, and what may change them."""

from __future__ import annotations

__all__ = ["certain_calls", "may_alter"]

import ast
import re
from collections.abc import Iterator

from mixprec_doctor.resolving.importcalls import suppresses
from mixprec_doctor.source.exports import Found
from mixprec_doctor.source.module import Branch, Guard
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode.code import UserCode
from mixprec_doctor.usercode.refusals import Refusal
from mixprec_doctor.usercode.scopes import calls_and_meanings

_TAKES_FAULTS = re.compile(r"raises|assertRaises")
_CHANGERS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "remove", "setdefault", "update"}
_PATCHES = re.compile(r"setattr|setitem|patch|object|dict")  # setattr, patch, patch.object, monkeypatch.setattr


def certain_calls(code: UserCode) -> Iterator[ast.Call]:
    """Every call whose failure nothing in the code takes, in branches that are not certain to be left out."""
    yield from _calls(code.parsed.tree, code)


def _calls(node: ast.AST, code: UserCode) -> Iterator[ast.Call]:
    if isinstance(node, ast.Call):
        yield node
    for part in _that_count(node, code):
        yield from _calls(part, code)


def _that_count(node: ast.AST, code: UserCode) -> Iterator[ast.AST]:
    """The parts of a node that run and that nothing protects."""
    if isinstance(node, ast.Try) and node.handlers:
        yield from (*node.orelse, *node.finalbody)
    elif isinstance(node, ast.With) and (suppresses(node) or _TAKES_FAULTS.search(ast.unparse(node.items[0]))):
        return
    elif isinstance(node, ast.If):
        guard = Guard(branch=Branch.IF, line=node.lineno, test=node.test)
        holds = code.exports.conditions.judge(guard, code.parsed)
        yield node.test
        yield from node.body if holds is not Truth.NO else ()
        yield from node.orelse if holds is not Truth.YES else ()
    else:
        yield from ast.iter_child_nodes(node)


def may_alter(code: UserCode, refusal: Refusal, refused: ast.Call) -> bool:
    """Whether the code may change what decides a refusal.

    It may where it sets such a name of the module, patches it, or calls another function there that mentions it.
    """
    names = set(refusal.names)
    for node in ast.walk(code.parsed.tree) if names else ():
        if isinstance(node, ast.Call) and _PATCHES.search(_last(node.func)) and names & set(_texts(node)):
            return True
        if isinstance(node, ast.Attribute) and node.attr in names and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and _last(node.value) in names:
            return True
        if isinstance(node, ast.Attribute) and node.attr in _CHANGERS and _last(node.value) in names:
            return True
    others = (each for call, each in calls_and_meanings(code.parsed, code.exports) if call is not refused)
    return any(
        isinstance(each, Found) and (each.module, each.name) != (refusal.module, refusal.function)
        and each.module == refusal.module and _mentions(each, names, code)
        for each in others
    )  # fmt: skip


def _texts(call: ast.Call) -> Iterator[str]:
    """The last names of the texts that a call is given."""
    for each in call.args:
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value.rpartition(".")[2]


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _mentions(found: Found, names: set[str], code: UserCode) -> bool:
    parsed = code.exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.FunctionDef):
        return False
    whole = ast.walk(parsed.whole(found.node))
    return any(isinstance(node, ast.Name) and node.id in names for node in whole)
