"""The rehearsal itself: modules run in the order in which Python would run them, each at most once.

What is followed is what the import graph follows: both engines, the package that the code itself asks for, and of
other packages those that lack something their own metadata requires. Of calls those are followed that stand alone at
the top level and call a function of the same package. Statements other than imports and ``raise`` are taken to succeed,
and a branch that nothing decides is left out: names that it could bind are then taken to be there, so that what is
reported certainly happens.
"""

from __future__ import annotations

__all__ = ["Rehearsal"]

import ast
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.rehearsal.effects import Effect, registered_twice, version_demanded
from mixprec_doctor.rehearsal.state import SERVERS, State, bound_names
from mixprec_doctor.rehearsal.stop import Stop, StopKind, Swallowed
from mixprec_doctor.rehearsal.taking import message_of, raised_name, takes
from mixprec_doctor.resolving.importcalls import (
    IMPORTERS,
    Literals,
    called_imports,
    caught_names,
    literal_strings,
    suppresses,
)
from mixprec_doctor.resolving.importgraph import Edge, Fault, FaultKind, ImportGraph
from mixprec_doctor.resolving.offers import Offer, Offers, listed_names
from mixprec_doctor.resolving.providers import Providers
from mixprec_doctor.source.exports import Exports, Found, Unbound
from mixprec_doctor.source.expressions import OPEN
from mixprec_doctor.source.module import Branch, Guard, ParsedModule
from mixprec_doctor.source.truth import Truth

_DEEPEST = 400  # modules that import one another in a row; Python itself gives up at about this depth
_KINDS = {
    FaultKind.ABSENT: (StopKind.ABSENT, "ModuleNotFoundError"),
    FaultKind.NO_MODULE: (StopKind.NO_MODULE, "ModuleNotFoundError"),
    FaultKind.NO_NAME: (StopKind.NO_NAME, "ImportError"),
}
_CIRCULAR = (
    "cannot import name {name!r} from partially initialized module {module!r} (most likely due to a circular import)"
)

_RETURNED = Stop(kind=StopKind.RAISED, wanted="", exception="", text="return")  # the end of a function, no fault
_DEEPEST_CALL = 4  # functions that call one another

# A running module asks for modules, or for a call, one at a time, and is told how each ended.
Run = Generator["str | State", "Stop | None", "Stop | None"]
Unloadable = Callable[[str], "str | None"]


class Rehearsal:
    """One run of a fresh interpreter. ``unloadable`` says why a compiled module cannot be loaded, if it cannot."""

    def __init__(self, exports: Exports, environment: Environment, *, unloadable: Unloadable | None = None) -> None:
        self._exports = exports
        self._environment = environment
        self._offers = Offers(exports, environment)
        self._unloadable = unloadable or (lambda module: None)
        self._graphs: dict[str, ImportGraph] = {}
        self._known: dict[str, Providers] = {}
        self._stack: list[tuple[State, Run]] = []
        self._failed: dict[str, Stop] = {}
        self.entered: dict[str, State] = {}
        self.mentioned: set[str] = set()  # modules that any import statement names, taken or not
        self.swallowed: list[Swallowed] = []

    def run(self, parsed: ParsedModule) -> Stop | None:
        """How the lines of a main module end; None: they run through, as far as reading tells."""
        top = State(name=parsed.name, parsed=parsed, graph=self._graph(""))
        return self._play(top)

    def import_module(self, name: str) -> Stop | None:
        """How ``import name`` ends."""
        return self.run(_main(f"import {name}"))

    def _play(self, first: State) -> Stop | None:
        self._stack = [(first, self._module(first))]
        answer: Stop | None = None
        while self._stack:
            state, run = self._stack[-1]
            try:
                wanted = run.send(answer)
            except StopIteration as end:
                answer = end.value
                self._stack.pop()
                self._end(state, answer)
                continue
            if isinstance(wanted, State):
                self._stack.append((wanted, self._called(wanted)))
                answer = None
            else:
                answer = self._enter(wanted, state)
        return answer

    def _enter(self, wanted: str, asker: State) -> Stop | None:
        """Begin a module that was not run yet; how it ended where it was."""
        if wanted in self.entered or len(self._stack) > _DEEPEST:
            return None
        if wanted in self._failed:
            return self._again(self._failed[wanted], wanted)
        graph = asker.graph_of(wanted, self._graph)
        parsed = self._exports.sources.module(wanted) if graph.is_followed(wanted) else None
        state = State(name=wanted, parsed=parsed, graph=graph)
        self.entered[wanted] = state
        if parsed is not None:
            self._stack.append((state, self._module(state)))
            return None
        state.is_complete = True
        if self._exports.sources.text(wanted) is None and (why := self._unloadable(wanted)) is not None:
            del self.entered[wanted]
            self._failed[wanted] = self._stop(StopKind.LIBRARY, wanted, "ImportError", why)
            return self._failed[wanted]
        return None

    def _again(self, stop: Stop, module: str) -> Stop:
        """The stop of a module that is imported once more, seen from here."""
        inner = [index for index, step in enumerate(stop.trail) if step.module == module]
        here = tuple(state.step() for state, _ in self._stack)
        return replace(stop, trail=(*here, *stop.trail[inner[0] :])) if inner else replace(stop, trail=here)

    def _end(self, state: State, stop: Stop | None) -> None:
        if state.names is not None:
            return  # a call: the module itself goes on
        state.is_complete = True
        if stop is not None and state.name != "__main__":
            self.entered.pop(state.name, None)
            self._failed[state.name] = stop

    def _graph(self, top: str) -> ImportGraph:
        """The graph of an engine, or of a package that lacks something; else one that follows nothing by itself."""
        if top not in SERVERS and not (top and self._providers(top).doubts(top)):
            top = ""
        if top not in self._graphs:
            self._graphs[top] = ImportGraph(
                self._exports, offers=self._offers, providers=self._providers(top), engine=top
            )
        return self._graphs[top]

    def _providers(self, top: str) -> Providers:
        if top not in self._known:
            self._known[top] = Providers(self._environment, top)
        return self._known[top]

    def _stop(self, kind: StopKind, wanted: str, exception: str, text: str, cause: Stop | None = None) -> Stop:
        trail = tuple(state.step() for state, _ in self._stack)
        return Stop(kind=kind, wanted=wanted, exception=exception, text=text, trail=trail, cause=cause)

    def _module(self, state: State) -> Run:
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  only modules with source are begun
        self._mention(parsed.tree, parsed)
        return (yield from self._body(parsed.tree.body, state, {}))

    def _mention(self, node: ast.AST, parsed: ParsedModule) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import):
                self.mentioned.update(alias.name for alias in inner.names)
            elif isinstance(inner, ast.ImportFrom) and (target := parsed.absolute(inner)):
                self.mentioned.add(target)

    def _body(
        self, statements: Iterable[ast.stmt], state: State, literals: Literals, caught: Stop | None = None
    ) -> Run:
        for statement in statements:
            state.position = statement
            stop = yield from self._statement(statement, state, literals, caught)
            if stop is not None:
                return stop
        return None

    def _statement(self, statement: ast.stmt, state: State, literals: Literals, caught: Stop | None) -> Run:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return (yield from self._import(statement, state))
        if isinstance(statement, ast.If):
            return (yield from self._if(statement, state, literals, caught))
        elif isinstance(statement, ast.Try) or type(statement).__name__ == "TryStar":
            return (yield from self._try(statement, state, literals))  # type: ignore[arg-type]
        elif isinstance(statement, ast.With):
            return (yield from self._with(statement, state, literals, caught))
        elif isinstance(statement, ast.ClassDef):
            stop = yield from self._class(statement, state, literals, caught)
            state.bound.add(statement.name)
            return stop
        elif isinstance(statement, (ast.For, ast.While)):
            return (yield from self._loop(statement, state, literals, caught))
        elif isinstance(statement, ast.Return):
            return _RETURNED
        elif isinstance(statement, ast.Raise):
            return self._raise(statement, state, caught)
        elif isinstance(statement, ast.Delete):
            state.bound.difference_update(each.id for each in statement.targets if isinstance(each, ast.Name))
        else:
            return (yield from self._other(statement, state, literals))
        return None

    def _class(self, statement: ast.ClassDef, state: State, literals: Literals, caught: Stop | None) -> Run:
        """The body runs in a scope of its own, so that its names are not the module's."""
        before = set(state.bound)
        stop = yield from self._body(statement.body, state, literals, caught)
        state.bound = before
        return stop

    def _other(self, statement: ast.stmt, state: State, literals: Literals) -> Run:
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  it runs
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
            name.encode() in parsed.source for name in IMPORTERS
        ):
            for name in called_imports(statement, literals, parsed):
                stop = yield from self._edges(state.graph_of(name, self._graph).reach(statement, name), state)
                if stop is not None:
                    return stop
        if state.names is not None and isinstance(statement, ast.Assign):
            value = self._exports.conditions.value(statement.value, parsed, state.names)
            state.names.update({each.id: value for each in statement.targets if isinstance(each, ast.Name)})
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            stop = self._effect(registered_twice(statement.value, self._exports.sources), state)
            if stop is None and (called := self._function(statement.value, state)) is not None:
                stop = yield called
            if stop is not None:
                return stop
        state.bound.update(bound_names(statement))
        text = b"\n".join(parsed.lines[statement.lineno - 1 : statement.end_lineno])
        if b"globals()" in text or b"exec(" in text or b"sys.modules" in text or b"setattr(" in text:
            state.is_open = True
        return None

    def _function(self, call: ast.Call, state: State) -> State | None:
        """The function of the same package that a call stands for, ready to run; None for any other."""
        inside = sum(each.names is not None for each, _ in self._stack)
        if state.name == "__main__" or not isinstance(call.func, ast.Name) or inside >= _DEEPEST_CALL:
            return None
        if state.names is not None and call.func.id in state.names:
            return None
        found = self._bound_now(call.func.id, state)
        if not isinstance(found, Found) or not isinstance(found.node, ast.FunctionDef):
            return None
        home = self.entered.get(found.module)
        if home is None or home.parsed is None or found.module.partition(".")[0] != state.name.partition(".")[0]:
            return None
        node = home.parsed.whole(found.node)
        arguments = node.args
        names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        return State(
            name=home.name,
            parsed=home.parsed,
            graph=home.graph,
            position=node,
            bound=set(home.bound),
            names=dict.fromkeys(names, OPEN),
        )

    def _bound_now(self, name: str, state: State) -> object:
        """What a name is bound to before the module ends, which may delete it."""
        found = self._exports.look_up(state.name, name)
        parsed = state.parsed
        for binding in parsed.by_name.get(name, ()) if parsed is not None and isinstance(found, Unbound) else ():
            statement = binding.statement
            if parsed is None or not isinstance(statement, ast.ImportFrom) or binding.alias is None:
                continue
            if home := parsed.absolute(statement):
                return self._exports.look_up(home, binding.alias.name)
        return found

    def _called(self, state: State) -> Run:
        node = state.position
        assert isinstance(node, ast.FunctionDef) and state.parsed is not None  # noqa: S101  as made
        self._mention(node, state.parsed)
        stop = yield from self._body(node.body, state, {})
        return None if stop is _RETURNED else stop

    def _import(self, statement: ast.Import | ast.ImportFrom, state: State) -> Run:
        if isinstance(statement, ast.ImportFrom):
            return (yield from self._from(statement, state))
        for alias in statement.names:
            graph = state.graph_of(alias.name, self._graph)
            stop = yield from self._edges(graph.reach(statement, alias.name), state)
            if stop is not None:
                return stop
        state.bound.update(bound_names(statement))
        return None

    def _from(self, statement: ast.ImportFrom, state: State) -> Run:
        parsed = state.parsed
        target = parsed.absolute(statement) if parsed is not None else None
        if not target:
            return None  # beyond the top level: no package that could be installed mends it
        graph = state.graph_of(target, self._graph)
        stop = yield from self._edges(graph.reach(statement, target), state)
        if stop is not None:
            return stop
        for alias in statement.names:
            source = self._exports.sources.module(target) if graph.is_followed(target) else None
            listed = (listed_names(source) if source is not None and source.is_package else None) or ()
            for name in listed if alias.name == "*" else (alias.name,):
                stop = yield from self._name(statement, state, target, name)
                if stop is not None:
                    return stop
        if any(alias.name == "*" for alias in statement.names):
            state.is_open = True  # what a star brings is not held against the module that asks for it
        state.bound.update(bound_names(statement))
        return None

    def _name(self, statement: ast.ImportFrom, state: State, target: str, name: str) -> Run:
        """One name of a module that is loaded, or still being loaded: then only what it has bound by now is there."""
        other = self.entered.get(target)
        below = f"{target}.{name}"
        graph = state.graph_of(target, self._graph)
        if other is None or other.is_complete or other.parsed is None:
            return (yield from self._edges(graph.reach_name(statement, target, name, asker=state.name), state))
        if other.has(name):
            return None
        if self._offers.has_module(below) is not Truth.NO and other.parsed.is_package:
            return (yield below)
        offer = self._offers.offer(target, name)
        if offer in (Offer.ATTRIBUTE, Offer.NOTHING):
            if target.partition(".")[0] not in SERVERS:
                return None  # elsewhere calls at import time, which are not followed, may have changed the order
            kind = StopKind.CIRCULAR if offer is Offer.ATTRIBUTE else StopKind.NO_NAME
            return self._stop(kind, below, "ImportError", _CIRCULAR.format(name=name, module=target))
        return (yield from self._edges(graph.reach_name(statement, target, name, asker=state.name), state))

    def _edges(self, edges: Iterable[Edge], state: State) -> Run:
        for edge in edges:
            if edge.fault is not None and (state.name == "__main__" or state.graph.counts(edge.fault, state.name)):
                return self._fault(edge.fault)
            if edge.enters is not None:
                stop = yield edge.enters
                if stop is not None:
                    return stop
        return None

    def _fault(self, fault: Fault) -> Stop:
        kind, exception = _KINDS[fault.kind]
        module, _, name = fault.wanted.rpartition(".")
        text = (
            f"cannot import name {name!r} from {module!r}"
            if kind is StopKind.NO_NAME
            else f"No module named {fault.import_name!r}"
        )
        return self._stop(kind, fault.wanted, exception, text)

    def _if(self, statement: ast.If, state: State, literals: Literals, caught: Stop | None) -> Run:
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  it runs
        guard = Guard(branch=Branch.IF, line=statement.lineno, test=statement.test)
        runs = (
            self._exports.conditions.judge(guard, parsed)
            if state.names is None
            else self._exports.conditions.truth(statement.test, parsed, state.names)
        )
        if isinstance(statement.test, ast.Compare) and getattr(statement.test.left, "id", "") == "__name__":
            runs = Truth.of(state.name == "__main__")
        if runs is Truth.UNKNOWN:
            state.bound.update(bound_names(statement))
            state.forget(bound_names(statement))
            state.is_open = state.is_open or "*" in state.bound
            return None
        return (
            yield from self._body(
                statement.body if runs is Truth.YES else statement.orelse, state, literals, caught
            )
        )  # fmt: skip

    def _try(self, statement: ast.Try, state: State, literals: Literals) -> Run:
        stop = yield from self._body(statement.body, state, literals)
        handler = None
        if stop is not None and stop is not _RETURNED:
            handler = next((each for each in statement.handlers if takes(caught_names(each.type), stop)), None)
        if stop is None:
            stop = yield from self._body(statement.orelse, state, literals)
        elif handler is not None:
            taken = stop
            stop = yield from self._body(handler.body, state, literals, taken)
            if stop is None:
                self._swallow(statement, handler, state, taken)
        position = state.position
        last = yield from self._body(statement.finalbody, state, literals)
        state.position = position
        return last or stop

    def _swallow(self, statement: ast.Try, handler: ast.ExceptHandler, state: State, stop: Stop) -> None:
        names = tuple(dict.fromkeys(name for inner in handler.body for name in bound_names(inner)))
        failed = next(step.line for step in stop.trail if step.module == state.name and step.line)
        found = Swallowed(
            module=state.name,
            first=statement.body[0].lineno,
            failed=failed,
            handler=handler.lineno,
            stop=stop,
            bound=names,
        )
        if found not in self.swallowed:
            self.swallowed.append(found)

    def _with(self, statement: ast.With, state: State, literals: Literals, caught: Stop | None) -> Run:
        stop = yield from self._body(statement.body, state, literals, caught)
        return None if suppresses(statement) else stop

    def _loop(self, statement: ast.For | ast.While, state: State, literals: Literals, caught: Stop | None) -> Run:
        if isinstance(statement, ast.For) and isinstance(statement.iter, (ast.Tuple, ast.List)) and statement.iter.elts:
            if isinstance(statement.target, ast.Name):
                literals = {**literals, statement.target.id: tuple(literal_strings(statement.iter))}
            state.bound.update(bound_names(statement))
            return (yield from self._body(statement.body, state, literals, caught))
        state.bound.update(bound_names(statement))
        state.forget(bound_names(statement))
        assert state.parsed is not None  # noqa: S101  it runs
        return self._effect(version_demanded(statement, state.parsed, self._exports, self._environment), state)

    def _effect(self, effect: Effect | None, state: State) -> Stop | None:
        if effect is None:
            return None
        stop = self._stop(StopKind.RAISED, state.name, effect.exception, effect.text)
        return replace(stop, requirement=effect.requirement, registered=effect.registered)

    def _raise(self, statement: ast.Raise, state: State, caught: Stop | None) -> Stop:
        name = raised_name(statement, caught)
        if caught is not None and name is None:
            return caught
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  it runs
        text = message_of(
            statement, lambda node: self._exports.conditions.value(node, parsed, state.names or {})
        ) or ast.unparse(statement)  # fmt: skip
        stop = self._stop(StopKind.RAISED, state.name, name or "Exception", text)
        return replace(stop, cause=caught)


def _main(code: str) -> ParsedModule:
    from mixprec_doctor.source.module import parse_module

    return parse_module("__main__", code.encode(), is_package=False)
