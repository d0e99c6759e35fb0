"""Stops: the exception that an import ends in, where it comes from, and whether a handler takes it."""

from __future__ import annotations

__all__ = ["Stop", "StopKind", "Swallowed"]

from dataclasses import dataclass
from enum import Enum

from mixprec_doctor.records.need import Step


class StopKind(Enum):
    """Why an import ends."""

    ABSENT = "absent"  # the whole package is not there
    NO_MODULE = "no module"  # the package is there, the module below it is not
    NO_NAME = "no name"  # the module is there, the name in it is not
    CIRCULAR = "circular"  # the name is there, but bound only after it is asked for
    RAISED = "raised"  # a statement at the top level raises
    LIBRARY = "library"  # a compiled module that cannot be loaded


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One exception at import time. ``wanted`` is the dotted name that was asked for."""

    kind: StopKind
    wanted: str
    exception: str  # "ModuleNotFoundError"
    text: str  # what Python would say
    trail: tuple[Step, ...] = ()  # from the asking module inwards; the last step is the statement that fails
    requirement: str | None = None  # what would have to be installed instead, where the source says so
    registered: str | None = None  # the model type that is registered with transformers a second time
    cause: Stop | None = None  # what a handler took before it raised this

    @property
    def root(self) -> Stop:
        """The stop at the beginning of the chain of causes."""
        return self if self.cause is None else self.cause.root

    @property
    def asker(self) -> str:
        """The module whose statement fails."""
        return self.trail[-1].module if self.trail else ""

    def __str__(self) -> str:
        last = self.trail[-1] if self.trail else None
        place = f" ({last.path or last.module}:{last.line})" if last and last.line else ""
        return f"{self.text}{place}"


@dataclass(frozen=True, kw_only=True)
class Swallowed:
    """A stop that a ``try`` takes without a word, and what its handler binds instead."""

    module: str  # where the try stands
    first: int  # line of the first statement of its body
    failed: int  # line at which the body fails
    handler: int  # line of the handler
    stop: Stop
    bound: tuple[str, ...]  # names that the handler binds
