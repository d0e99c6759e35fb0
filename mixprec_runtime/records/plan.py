"""Plan: every tensor of the served model with exactly one source."""

from __future__ import annotations

__all__ = ["LayerPlan", "LeftOut", "Plan", "PlanFinding", "PlannedSource", "Totals"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mixprec_doctor.records.document import document
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.format import Format
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_runtime.records.checkpoint import TensorHeader


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One module of the model and the tensors that fill it, all from one source.

    ``shape`` is the plain shape of its weight (``(out, in)`` for a linear module). ``bytes_per_rank`` counts the
    bytes that each tensor-parallel rank holds. ``kernel`` is None until a setup has proved one.
    """

    layer: str
    source: str
    format: Format
    shape: tuple[int, ...]
    tensors: tuple[TensorHeader, ...]
    bytes_per_rank: tuple[int, ...]
    kernel: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that are read for this layer."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.plan/1`` document."""
        return {
            "layer": self.layer,
            "source": self.source,
            "format": self.format.name,
            "kernel": self.kernel,
            "tensors": [tensor.name for tensor in self.tensors],
            "bytes": self.nbytes,
            "bytes_per_rank": list(self.bytes_per_rank),
            "shape": list(self.shape),
        }


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """A source as the plan found it."""

    name: str
    path: Path
    quantization: Mapping[str, object] | None
    hub: str | None = None  # repository and commit


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A tensor of a source that no layer of the plan takes, and why that loses nothing."""

    name: str
    source: str
    why: str


@dataclass(frozen=True, kw_only=True)
class PlanFinding(Finding):
    """A finding that knows its modules: those that are at fault only together stand in one tuple."""

    modules: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over all layers; ``bf16_bytes`` is what the same model holds with every parameter in 2 bytes."""

    bytes: int
    bf16_bytes: int
    by_format: Mapping[str, int]
    bytes_per_rank: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.plan/1`` document."""
        return {
            "bytes": self.bytes,
            "bf16_bytes": self.bf16_bytes,
            "by_format": dict(self.by_format),
            "bytes_per_rank": list(self.bytes_per_rank),
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole plan. A plan with findings of severity error is shown, never launched."""

    mix_file: Path
    sources: Mapping[str, PlannedSource]
    layers: tuple[LayerPlan, ...]
    totals: Totals
    findings: tuple[Finding, ...]
    kernels: tuple[KernelChoice, ...] = ()  # what serves its linear layers, as far as known
    stages: int = 1  # of pipeline parallelism, that its ranks are in
    left_out: tuple[LeftOut, ...] = ()

    @property
    def valid(self) -> bool:
        """No finding of severity error."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.plan/1`` document."""
        return document(
            "plan",
            {
                "mix": str(self.mix_file),
                "sources": {name: str(source.path) for name, source in self.sources.items()},
                "hub": {name: source.hub for name, source in self.sources.items() if source.hub is not None},
                "layers": [layer.to_json() for layer in self.layers],
                "left_out": [asdict(tensor) for tensor in self.left_out],
                "totals": self.totals.to_json(),
                "findings": [finding.to_json() for finding in self.findings],
                "kernels": [choice.to_json() for choice in self.kernels],
            },
        )
