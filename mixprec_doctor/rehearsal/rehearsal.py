"""The rehearsal itself: modules run in the order in which Python would run them, each at most once.

What is followed is what the import graph follows: both engines, the package that the code itself asks for, and of
other packages those that lack something their own metadata requires. Of calls those are followed that stand alone at
the top level and call a function of the same package. Statements other than imports and ``raise`` are taken to succeed,
and a branch that nothing decides is left out: names that it could bind are then taken to be there, so that what is
reported certainly happens.
"""

from __future__ import annotations

__all__ = ["Rehearsal"]

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.rehearsal.imports import Run
from mixprec_doctor.rehearsal.stage import Stage
from mixprec_doctor.rehearsal.state import State
from mixprec_doctor.rehearsal.statements import Statements
from mixprec_doctor.rehearsal.stop import Stop, StopKind, Swallowed
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import ParsedModule, parse_module

_DEEPEST = 400  # modules that import one another in a row; Python itself gives up at about this depth

Unloadable = Callable[[str], "str | None"]


class Rehearsal:
    """One run of a fresh interpreter. ``unloadable`` says why a compiled module cannot be loaded, if it cannot."""

    def __init__(self, exports: Exports, environment: Environment, *, unloadable: Unloadable | None = None) -> None:
        self._stage = Stage(exports, environment)
        self._statements = Statements(self._stage)
        self._unloadable = unloadable or (lambda module: None)
        self._runs: list[Run] = []  # one for each of what runs
        self._failed: dict[str, Stop] = {}

    @property
    def entered(self) -> Mapping[str, State]:
        """The modules that were imported and stayed."""
        return self._stage.entered

    @property
    def mentioned(self) -> Set[str]:
        """Modules that any import statement names, taken or not."""
        return self._stage.mentioned

    @property
    def swallowed(self) -> Sequence[Swallowed]:
        """What a ``try`` took without a word."""
        return self._stage.swallowed

    def run(self, parsed: ParsedModule) -> Stop | None:
        """How the lines of a main module end; None: they run through, as far as reading tells."""
        top = State(name=parsed.name, parsed=parsed, graph=self._stage.graph(""))
        return self._play(top)

    def import_module(self, name: str) -> Stop | None:
        """How ``import name`` ends."""
        return self.run(_main(f"import {name}"))

    def _play(self, first: State) -> Stop | None:
        self._begin(first, self._statements.module(first))
        answer: Stop | None = None
        while self._runs:
            state = self._stage.running[-1]
            try:
                wanted = self._runs[-1].send(answer)
            except StopIteration as end:
                answer = end.value
                self._runs.pop()
                self._stage.running.pop()
                self._end(state, answer)
                continue
            if isinstance(wanted, State):
                self._begin(wanted, self._statements.called(wanted))
                answer = None
            else:
                answer = self._enter(wanted, state)
        return answer

    def _begin(self, state: State, run: Run) -> None:
        self._stage.running.append(state)
        self._runs.append(run)

    def _enter(self, wanted: str, asker: State) -> Stop | None:
        """Begin a module that was not run yet; how it ended where it was."""
        if wanted in self._stage.entered or len(self._runs) > _DEEPEST:
            return None
        if wanted in self._failed:
            return self._again(self._failed[wanted], wanted)
        graph = asker.graph_of(wanted, self._stage.graph)
        parsed = self._stage.exports.sources.module(wanted) if self._stage.is_followed(wanted, graph) else None
        state = State(name=wanted, parsed=parsed, graph=graph)
        self._stage.entered[wanted] = state
        if parsed is not None:
            self._begin(state, self._statements.module(state))
            return None
        state.is_complete = True
        if self._stage.exports.sources.text(wanted) is None and (why := self._unloadable(wanted)) is not None:
            del self._stage.entered[wanted]
            self._failed[wanted] = self._stage.stop(StopKind.LIBRARY, wanted, "ImportError", why)
            return self._failed[wanted]
        return None

    def _again(self, stop: Stop, module: str) -> Stop:
        """The stop of a module that is imported once more, seen from here."""
        inner = [index for index, step in enumerate(stop.trail) if step.module == module]
        here = tuple(state.step() for state in self._stage.running)
        return replace(stop, trail=(*here, *stop.trail[inner[0] :])) if inner else replace(stop, trail=here)

    def _end(self, state: State, stop: Stop | None) -> None:
        if state.names is not None:
            return  # a call: the module itself goes on
        state.is_complete = True
        if stop is not None and state.name != "__main__":
            self._stage.entered.pop(state.name, None)
            self._failed[state.name] = stop


def _main(code: str) -> ParsedModule:
    return parse_module("__main__", code.encode(), is_package=False)
