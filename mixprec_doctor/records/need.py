"""Need: something that an import needs and that isn't there, who asks for it, and what to install."""

from __future__ import annotations

__all__ = ["ABSENT", "Need", "Step"]

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

ABSENT = "not installed"  # the reason of a need of which nothing is there


@dataclass(frozen=True, kw_only=True)
class Step:
    """A module on the way to a need, and the statement in it that leads on.

    ``line`` and ``statement`` are None where the asked module leads on only because its packages run before it.
    """

    module: str
    path: str | None  # "sglang/srt/utils/common.py", as seen from the folder that holds the package
    line: int | None = None
    statement: str | None = None  # "import zmq"

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {"module": self.module, "path": self.path, "line": self.line, "statement": self.statement}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Step:
        """The record that ``to_json`` wrote."""
        return cls(**{each.name: raw[each.name] for each in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that an import needs and that isn't there.

    ``condition`` is None when the import certainly runs, else the source text of what it depends on.
    """

    import_name: str  # "zmq", "sgl_kernel.flash_attn", or "transformers.AutoConfig" for a name
    reason: str  # "not installed", "installed 4.1 has no such module", "installed 4.1 has no name AutoConfig"
    chain: tuple[Step, ...]  # from the asked module to the one whose import statement fails
    distribution: str | None = None  # what to install: "pyzmq>=25.1"; None: nothing here names it
    condition: str | None = None

    def __str__(self) -> str:
        last = self.chain[-1]
        where = f"{last.path}:{last.line}" if last.line else last.module
        install = f"install {self.distribution}" if self.distribution else "no metadata here names what provides it"
        only = f" if {self.condition}" if self.condition else ""
        return f"{self.import_name}: {self.reason}; needed by {where}{only}; {install}"

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "import": self.import_name,
            "reason": self.reason,
            "distribution": self.distribution,
            "condition": self.condition,
            "chain": [step.to_json() for step in self.chain],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Need:
        """The record that ``to_json`` wrote."""
        return cls(
            import_name=raw["import"],
            reason=raw["reason"],
            distribution=raw["distribution"],
            condition=raw["condition"],
            chain=tuple(Step.from_json(step) for step in raw["chain"]),
        )
