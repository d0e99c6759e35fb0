"""KernelChoice: for one format, shape and machine the winner, and the verdict on every candidate."""

from __future__ import annotations

__all__ = ["KernelChoice", "Proof", "Tier", "Timing", "Verdict"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from mixprec_doctor.records.format import Format
from mixprec_doctor.records.workload import LinearShape, WorkloadLayer

SLOW = 4.0  # times as long as 16 bits
ANSWER = 128  # tokens


class Tier(str, Enum):
    """Where a kernel comes from, best first."""

    NATIVE = "native"  # the engine's own
    PORTABLE = "portable"  # PyTorch's operators on the compressed weights, behind the engine's interface
    PLACEHOLDER = "placeholder"  # imports and constructs; raises on first use


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one forward pass of so many rows, and of the same shape in 16-bit floating point."""

    rows: int
    seconds: float
    plain_seconds: float

    @property
    def ratio(self) -> float:
        """Times as long as 16 bits; below 1 it is quicker."""
        return self.seconds / self.plain_seconds if self.plain_seconds else 0.0

    def to_json(self) -> dict[str, object]:
        """The object of ``mixprec.report/1`` and ``mixprec.setup/1`` documents."""
        return {"rows": self.rows, "seconds": self.seconds, "plain_seconds": self.plain_seconds}


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One trial of a kernel on a real layer. ``fault`` is None when it ran and gave the right numbers."""

    kernel: str  # what the engine really used: "CutlassFP8ScaledMMLinearKernel", "portable int4"
    method: str  # the engine's linear method that it stands behind
    fault: str | None
    error: float | None = None  # relative to float32 (Frobenius norms); None where nothing could be compared
    bound: float | None = None  # the largest error that counts as right
    weights: str = "generated"  # or "checkpoint"
    timings: tuple[Timing, ...] = ()
    held_bytes: int | None = None  # of the layer after the engine's repacking

    @property
    def worked(self) -> bool:
        """Whether it runs and is right."""
        return self.fault is None

    @property
    def slow(self) -> bool:
        """Whether one row takes so much longer than in 16 bits that another kernel is worth a trial."""
        return any(each.rows == 1 and each.ratio > SLOW for each in self.timings)

    @property
    def request_seconds(self) -> float | None:
        """Seconds of one request: a prompt as large as the largest size, and an answer decoded row by row."""
        by_rows = {each.rows: each.seconds for each in self.timings}
        if 1 not in by_rows:
            return None
        return by_rows[1] * ANSWER + by_rows[max(by_rows)]

    def to_json(self) -> dict[str, object]:
        """The object of ``mixprec.report/1`` and ``mixprec.setup/1`` documents."""
        return {
            "kernel": self.kernel,
            "method": self.method,
            "fault": self.fault,
            "error": self.error,
            "bound": self.bound,
            "weights": self.weights,
            "timings": [each.to_json() for each in self.timings],
            "held_bytes": self.held_bytes,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Proof:
        """The record that ``to_json`` wrote."""
        return cls(**{**raw, "timings": tuple(Timing(**each) for each in raw["timings"])})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One candidate: accepted, rejected with its reasons, or undecided (None) where reading alone cannot tell."""

    candidate: str  # a kernel's class, or one of mixprec's portable kernels
    tier: Tier
    accepted: bool | None
    reasons: tuple[str, ...] = ()  # why it is rejected, or what could not be decided
    module: str | None = None  # where an engine defines it
    proof: Proof | None = None
    foreseen: bool = False  # whether reading alone said that it would serve

    def to_json(self) -> dict[str, object]:
        """The object of ``mixprec.report/1`` and ``mixprec.setup/1`` documents."""
        return {
            "candidate": self.candidate,
            "tier": self.tier.value,
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "module": self.module,
            "proof": self.proof.to_json() if self.proof else None,
            "foreseen": self.foreseen,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Verdict:
        """The record that ``to_json`` wrote."""
        return cls(
            candidate=raw["candidate"],
            tier=Tier(raw["tier"]),
            accepted=raw["accepted"],
            reasons=tuple(raw["reasons"]),
            module=raw["module"],
            proof=Proof.from_json(raw["proof"]) if raw["proof"] else None,
            foreseen=bool(raw.get("foreseen")),
        )


@dataclass(frozen=True, kw_only=True)
class KernelChoice:
    """What serves layers of one format and shape, and why not the others. ``verdicts`` are in the engine's order."""

    engine: str
    format: Format
    shape: LinearShape
    dtype: str  # of activations, torch's name
    verdicts: tuple[Verdict, ...]
    source: str | None = None  # the mix file's name of the checkpoint; None without a mix file
    folder: str | None = None  # the checkpoint
    modules: tuple[str, ...] = ()  # checkpoint names of what is served so

    @property
    def winner(self) -> Verdict | None:
        """What was proved to work; else, tier by tier, the first accepted or undecided one; None: all are rejected."""
        proved = [each for each in self.verdicts if each.proof is not None and each.proof.worked and each.accepted]
        if proved:
            return proved[0]
        for tier in Tier:
            for wanted in (True, None):
                for verdict in self.verdicts:
                    if verdict.tier is tier and verdict.accepted is wanted:
                        return verdict
        return None

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Native candidates that the engine must be kept from: those whose proof failed."""
        return tuple(
            verdict.candidate
            for verdict in self.verdicts
            if verdict.tier is Tier.NATIVE and verdict.proof is not None and not verdict.proof.worked
        )

    def for_layers(self, layer: WorkloadLayer) -> KernelChoice:
        """The same choice for the modules that a workload has of this format and shape."""
        return replace(self, source=layer.source, folder=layer.folder, modules=layer.modules)

    def to_json(self) -> dict[str, object]:
        """The object of ``mixprec.report/1`` and ``mixprec.setup/1`` documents."""
        winner = self.winner
        return {
            "engine": self.engine,
            "format": self.format.name,
            "winner": winner.candidate if winner else None,
            "tier": winner.tier.value if winner else None,
            "verdicts": [each.to_json() for each in self.verdicts],
            "details": self.format.to_json(),
            "shape": self.shape.to_json(),
            "dtype": self.dtype,
            "source": self.source,
            "folder": self.folder,
            "modules": list(self.modules),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> KernelChoice:
        """The record that ``to_json`` wrote."""
        return cls(
            engine=raw["engine"],
            format=Format.from_json(raw["details"]),
            shape=LinearShape.from_json(raw["shape"]),
            dtype=raw["dtype"],
            verdicts=tuple(Verdict.from_json(each) for each in raw["verdicts"]),
            source=raw["source"],
            folder=raw["folder"],
            modules=tuple(raw["modules"]),
        )
