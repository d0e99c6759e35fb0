"""Frame, Raised and Trace: exceptions as a log shows them, oldest first."""

from __future__ import annotations

__all__ = ["Frame", "Raised", "Trace"]

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One line of a traceback and the source beneath it."""

    file: str
    line: int | None
    function: str | None = None
    code: str | None = None  # the source line, where the log shows it

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.explain/1`` document."""
        return {"file": self.file, "line": self.line, "function": self.function, "code": self.code}


@dataclass(frozen=True, kw_only=True)
class Raised:
    """One exception. ``frames`` come in the log's order: where it was raised is the last."""

    type: str  # as shown: "ImportError", "torch.OutOfMemoryError"
    message: str
    frames: tuple[Frame, ...] = ()
    line: int = 0  # of the log, where its message stands

    @property
    def name(self) -> str:
        """The type without its module."""
        return self.type.rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.explain/1`` document."""
        return {
            "type": self.type,
            "message": self.message,
            "line": self.line,
            "frames": [frame.to_json() for frame in self.frames],
        }


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Exceptions that led to one another: the first was raised first, the last one was shown to the user."""

    chain: tuple[Raised, ...]
    process: str | None = None  # "EngineCore_0 pid=123", where the log says whose it is

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.explain/1`` document."""
        return {"process": self.process, "chain": [each.to_json() for each in self.chain]}
