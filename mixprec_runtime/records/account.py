"""LoadAccount: what loading really did, tensor by tensor and parameter by parameter."""

from __future__ import annotations

__all__ = ["LayerMemory", "LoadAccount", "LoadFault", "RefusedKernel", "SourceRead"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mixprec_doctor.records.document import document
from mixprec_runtime.records.plan import LeftOut


@dataclass(frozen=True, kw_only=True)
class SourceRead:
    """What was read from one source: tensors and their bytes."""

    tensors: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class LoadFault:
    """One parameter or tensor that did not go where it should."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RefusedKernel:
    """A kernel of the engine's own choice that did not run on a trial layer, and why."""

    method: str
    fault: str


@dataclass(frozen=True, kw_only=True)
class LayerMemory:
    """Bytes in one engine module's tensors: when loaded, and after the engine's own repacking.

    A kernel that keeps its packed weights outside PyTorch (oneDNN) leaves fewer ``held_bytes`` than it uses.
    """

    layer: str
    source: str | None
    format: str | None
    method: str
    loaded_bytes: int
    held_bytes: int
    members: tuple[str, ...] = ()  # the planned modules that fill it, by their checkpoint names


@dataclass(frozen=True, kw_only=True)
class LoadAccount:
    """The account of one rank."""

    rank: int
    world_size: int
    sources: Mapping[str, SourceRead]
    parameters: int
    parameter_bytes: int
    held_bytes: int
    grown_bytes: int  # how much the process (or its device) holds more than before the model was made
    redundant: tuple[str, ...]
    converted: Mapping[str, int]  # "F16 -> BF16": elements the engine keeps in another type than the checkpoint
    layers: tuple[LayerMemory, ...]
    refused: tuple[RefusedKernel, ...]
    faults: tuple[LoadFault, ...]
    seconds: float
    kept: Mapping[str, str] = field(default_factory=dict)  # parameters left as the engine made them, and why
    reworked: tuple[str, ...] = ()  # parameters that the engine changed in place once they were filled
    left_out: tuple[LeftOut, ...] = ()  # tensors of the sources that the plan does not take, and why
    digests: str | None = None  # "same" as an earlier load's, taken for the "first" time; None: not taken

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.account/1`` document."""
        return document("account", asdict(self))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LoadAccount:
        """Read a ``mixprec.account/1`` document back."""
        fields = {key: raw[key] for key in cls.__dataclass_fields__ if key in raw}
        fields["sources"] = {name: SourceRead(**read) for name, read in raw["sources"].items()}
        fields["redundant"] = tuple(raw["redundant"])
        fields["layers"] = tuple(
            LayerMemory(**{**layer, "members": tuple(layer.get("members", ()))}) for layer in raw["layers"]
        )
        fields["refused"] = tuple(RefusedKernel(**kernel) for kernel in raw["refused"])
        fields["left_out"] = tuple(LeftOut(**tensor) for tensor in raw.get("left_out", ()))
        fields["reworked"] = tuple(raw.get("reworked", ()))
        fields["faults"] = tuple(LoadFault(**fault) for fault in raw["faults"])
        return cls(**fields)
