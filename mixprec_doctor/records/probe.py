"""Probe: one thing that was really tried in the examined environment, and what came of it."""

from __future__ import annotations

__all__ = ["Fault", "Frame", "Kind", "Observed", "Outcome", "Output", "Probe", "ProbeRequest", "Shape"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(str, Enum):
    """What is tried."""

    IMPORT = "import"  # import module
    NAME = "name"  # from module import name
    CONSTRUCT = "construct"  # call the name, or a method of it
    CODE = "code"  # run the lines that the user asked about
    CALL = "call"  # call a function of ours there: module, name, arguments; its JSON value is the answer


class Outcome(str, Enum):
    """What came of it; every way to die is one."""

    WORKED = "worked"
    RAISED = "raised"
    EXITED = "exited"  # SystemExit or os._exit: the process ended itself
    SIGNAL = "signal"  # a segmentation fault, an abort, a kill from outside
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NO_ANSWER = "no_answer"  # the process ended in order, but its answer never came or was no answer
    SKIPPED = "skipped"  # not tried, because something before it failed or the time was used up


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One line of a traceback."""

    file: str
    line: int
    function: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}" + (f": {self.text}" if self.text else "")

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {"file": self.file, "line": self.line, "function": self.function, "text": self.text}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An exception: the last frames of its traceback, and the exception that it goes back to."""

    type: str
    message: str
    about: str | None = None  # the module that an ImportError is about
    path: str | None = None  # the file that an ImportError is about
    frames: tuple[Frame, ...] = ()  # outermost first; those left out of the middle are counted
    omitted: int = 0
    cause: Fault | None = None
    told: bool = True  # False: Python's own traceback would not show the cause (``raise ... from None``)

    @property
    def chain(self) -> tuple[Fault, ...]:
        """This one and all that it goes back to; the root comes last."""
        return (self, *(self.cause.chain if self.cause else ()))

    @property
    def root(self) -> Fault:
        """The exception that started it."""
        return self.chain[-1]

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "type": self.type,
            "message": self.message,
            "about": self.about,
            "path": self.path,
            "frames": [frame.to_json() for frame in self.frames],
            "omitted": self.omitted,
            "told": self.told,
            "cause": self.cause.to_json() if self.cause else None,
        }


@dataclass(frozen=True, kw_only=True)
class Output:
    """What was written to a stream: beginning, end, and how much there was in all."""

    head: str = ""
    tail: str = ""  # empty when the head holds everything
    size: int = 0  # bytes

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines that are not blank, at most six."""
        lines = [line.rstrip() for line in (self.tail or self.head).splitlines() if line.strip()]
        return tuple(lines[-6:])

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {"head": self.head, "tail": self.tail, "bytes": self.size}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One parameter as ``inspect`` sees it."""

    name: str
    kind: str
    required: bool

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {"name": self.name, "kind": self.kind, "required": self.required}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What stood under a name, or what a call made."""

    kind: str  # "class", "function", or the type of a value
    module: str | None = None  # where it says that it was defined
    name: str | None = None
    file: str | None = None  # of a module that was imported
    hollow: bool = False  # None, Any or an empty class: what stands in for something
    parameters: tuple[Shape, ...] | None = None  # None: it has no signature that Python knows

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "kind": self.kind,
            "module": self.module,
            "name": self.name,
            "file": self.file,
            "hollow": self.hollow,
            "parameters": None if self.parameters is None else [each.to_json() for each in self.parameters],
        }


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """One thing to try."""

    kind: Kind
    engine: str | None = None
    role: str | None = None
    module: str | None = None
    name: str | None = None
    method: str | None = None  # of the name, for what is constructed through one
    arguments: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None  # the code
    file: str | None = None  # where the code stands, if in a file
    packages: Mapping[str, str] = field(default_factory=dict)  # packages lent for a call: import name, folder

    def __str__(self) -> str:
        if self.kind is Kind.IMPORT:
            return f"import {self.module}"
        if self.kind is Kind.NAME:
            return f"from {self.module} import {self.name}"
        if self.kind is Kind.CONSTRUCT:
            return f"{self.name}{f'.{self.method}' if self.method else ''}({', '.join(self.arguments)})"
        if self.kind is Kind.CALL:
            return f"{self.module}.{self.name}({', '.join(self.arguments)})"
        return self.file or "the code"

    def to_json(self) -> dict[str, object]:
        """What the child is handed."""
        return {
            "kind": self.kind.value,
            "module": self.module,
            "name": self.name,
            "method": self.method,
            "arguments": dict(self.arguments),
            "text": self.text,
            "file": self.file,
            "packages": dict(self.packages),
        }


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One thing that was tried, and what came of it."""

    request: ProbeRequest
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""  # in words, what the other fields do not say
    fault: Fault | None = None
    exit_code: int | None = None
    signal: str | None = None  # "SIGSEGV"
    stack: tuple[Frame, ...] = ()  # where Python was when it crashed or hung; innermost last
    observed: Observed | None = None
    stdout: Output | None = None  # None where it worked
    stderr: Output | None = None
    peak_bytes: int | None = None  # most memory of the process and its children, where that was watched
    left: tuple[int, ...] = ()  # processes that even SIGKILL did not end
    value: Any = None  # what a call returned, as JSON has it
    parts: tuple[Any, ...] = ()  # what a called generator yielded, those before a death included

    @property
    def worked(self) -> bool:
        """Whether it did what was asked."""
        return self.outcome is Outcome.WORKED

    @property
    def failed(self) -> bool:
        """Whether it was tried and did not do what was asked."""
        return self.outcome not in (Outcome.WORKED, Outcome.SKIPPED)

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        request = self.request
        return {
            "kind": request.kind.value,
            "asked": str(request),
            "engine": request.engine,
            "role": request.role,
            "module": request.module,
            "name": request.name,
            "outcome": self.outcome.value,
            "seconds": round(self.seconds, 3),
            "detail": self.detail,
            "fault": self.fault.to_json() if self.fault else None,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "stack": [frame.to_json() for frame in self.stack],
            "observed": self.observed.to_json() if self.observed else None,
            "stdout": self.stdout.to_json() if self.stdout else None,
            "stderr": self.stderr.to_json() if self.stderr else None,
            "peak_bytes": self.peak_bytes,
            "left": list(self.left),
        }
