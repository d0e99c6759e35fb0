"""What was proved before the start and handed over in the run folder, per module."""

from __future__ import annotations

__all__ = ["Handed", "Layouts", "read_handed"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import Format
from mixprec_doctor.records.kernel import Tier
from mixprec_runtime.adapters.portable_method import Stored
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.checkpoint.formats import ModuleWeights, read_module
from mixprec_runtime.records.checkpoint import Checkpoint


class ChangedModule(MixprecError):
    """A module that was handed over with a choice and is not what the choice was made for."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, module: str, folder: str, fault: str) -> None:
        super().__init__(module, folder, fault)
        self.module = module
        self.folder = folder
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.module} in {self.folder}: {self.fault}\n  try: mixprec launch MIX, which plans anew"


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What serves a module's layer of that shape, per rank. ``format`` and ``stored`` only where mixprec serves it."""

    native: bool
    kernel: str
    without: tuple[str, ...]  # kernels that the engine must be kept from
    inputs: int
    outputs: tuple[int, ...]
    reasons: tuple[str, ...]
    format: Format | None = None
    stored: Stored | None = None


class Layouts:
    """How modules lie in the checkpoints of a mixture; headers are read once, and only of those that are asked for."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders
        self._opened: dict[str, Checkpoint] = {}

    def of(self, source: str, module: str) -> tuple[Format, Stored]:
        """A module's format and tensors. Raises ChangedModule, and CheckpointError for a folder that is gone."""
        if source not in self._opened:
            self._opened[source] = open_checkpoint(Path(self._folders[source]))
        checkpoint = self._opened[source]
        tensors = checkpoint.of_module(module)
        read = read_module(tensors, checkpoint.quantization, module=module)
        if not isinstance(read, ModuleWeights):
            raise ChangedModule(module, self._folders[source], getattr(read, "reason", str(read)))
        return read.format, {suffix: (header.dtype, header.shape) for suffix, header in tensors.items()}


def read_handed(config: Mapping[str, Any], layouts: Layouts) -> dict[str, Handed]:
    """The choices of a run folder's quantization config, by checkpoint name of the module.

    Raises what ``Layouts.of`` raises for modules that mixprec itself serves.
    """
    handed = {}
    for module, raw in config.get("kernels", {}).items():
        source = config["modules"].get(module)
        if source is None:
            continue
        native = raw["tier"] == Tier.NATIVE.value
        form, stored = (None, None) if native else layouts.of(source, module)
        handed[module] = Handed(
            native=native,
            kernel="placeholder" if raw["tier"] == Tier.PLACEHOLDER.value else raw["kernel"],
            without=tuple(raw["without"]),
            inputs=raw["inputs"],
            outputs=tuple(raw["outputs"]),
            reasons=tuple(raw.get("reasons", ())),
            format=form,
            stored=stored,
        )
    return handed
