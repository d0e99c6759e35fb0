"""Calls: functions of the same package that a module calls at its top level."""

from __future__ import annotations

__all__ = ["function_called"]

import ast

from mixprec_doctor.rehearsal.stage import Stage
from mixprec_doctor.rehearsal.state import State
from mixprec_doctor.source.exports import Found, Unbound
from mixprec_doctor.source.expressions import OPEN
from mixprec_doctor.source.walking import walk

_DEEPEST = 4  # functions that call one another


def function_called(call: ast.Call, state: State, stage: Stage) -> State | None:
    """The function of the same package that a call stands for, ready to run; None for any other."""
    inside = sum(each.names is not None for each in stage.running)
    if state.name == "__main__" or not isinstance(call.func, ast.Name) or inside >= _DEEPEST:
        return None
    if state.names is not None and call.func.id in state.names:
        return None
    found = _bound_now(call.func.id, state, stage)
    if not isinstance(found, Found) or not isinstance(found.node, ast.FunctionDef):
        return None
    home = stage.entered.get(found.module)
    if home is None or home.parsed is None or found.module.partition(".")[0] != state.name.partition(".")[0]:
        return None
    node = home.parsed.whole(found.node)
    arguments = node.args
    names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    names |= {each.id for each in walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return State(
        name=home.name,
        parsed=home.parsed,
        graph=home.graph,
        position=node,
        bound=set(home.bound),
        names=dict.fromkeys(names, OPEN),
    )


def _bound_now(name: str, state: State, stage: Stage) -> object:
    """What a name is bound to before the module ends, which may delete it."""
    found = stage.exports.look_up(state.name, name)
    parsed = state.parsed
    for binding in parsed.by_name.get(name, ()) if parsed is not None and isinstance(found, Unbound) else ():
        statement = binding.statement
        if parsed is None or not isinstance(statement, ast.ImportFrom) or binding.alias is None:
            continue
        if home := parsed.absolute(statement):
            return stage.exports.look_up(home, binding.alias.name)
    return found
