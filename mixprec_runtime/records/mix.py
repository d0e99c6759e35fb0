"""Mix: what the user's YAML file asks for, after the border has let it in."""

from __future__ import annotations

__all__ = ["BASE_SOURCE", "Mark", "Mix", "Rule", "Source"]

from dataclasses import dataclass, field
from pathlib import Path

BASE_SOURCE = "model"
"""The name under which rules and plans speak of the base model."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place in a file: line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A checkpoint that layers may come from."""

    name: str
    path: Path
    mark: Mark
    hub: str | None = None  # repository and commit, where it was named by its id on the Hub


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Modules that match a target come from ``source``; the first rule that matches wins.

    Targets are those of compressed-tensors: an exact module name, ``re:`` and a regular expression that
    matches from the start of the module name, or a class name (``Linear``, ``Embedding``).
    """

    targets: tuple[str, ...]
    source: str
    mark: Mark


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One mix file. Names are those of the checkpoint, never an engine's."""

    file: Path
    model: Source
    sources: dict[str, Source]
    rules: tuple[Rule, ...]
    default: str = BASE_SOURCE
    default_mark: Mark | None = None
    ignore: tuple[str, ...] = ()
    ignore_mark: Mark | None = None
    engine: str = "auto"
    serve: dict[str, object] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """The source of that name; ``model`` is the base."""
        return self.model if name == BASE_SOURCE else self.sources[name]

    @property
    def ranks(self) -> int:
        """Tensor-parallel ranks that ``serve`` asks for, in the words of any engine."""
        return self._asked("tensor_parallel_size", "tp_size", "tp")

    @property
    def stages(self) -> int:
        """Pipeline stages that ``serve`` asks for."""
        return self._asked("pipeline_parallel_size", "pp_size", "pp")

    @property
    def cache_dtype(self) -> str:
        """The type of the key-value cache that ``serve`` asks for; "auto" where it says nothing."""
        return str(self.serve.get("kv_cache_dtype", self.serve.get("kv-cache-dtype", "auto")))

    def _asked(self, *names: str) -> int:
        for spelling in (spelled for name in names for spelled in (name, name.replace("_", "-"))):
            value = self.serve.get(spelling)
            if str(value).isdecimal() and int(str(value)) > 0:
                return int(str(value))
        return 1
