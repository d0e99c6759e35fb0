"""What was proved before the start and handed over in the run folder, per module."""

from __future__ import annotations

__all__ = ["Handed", "read_handed"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import Format
from mixprec_doctor.records.kernel import Tier
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
    stored: Mapping[str, tuple[str, tuple[int, ...]]] | None = None  # safetensors type and whole shape, by suffix


def read_handed(config: Mapping[str, Any]) -> dict[str, Handed]:
    """The choices of a run folder's quantization config, by checkpoint name of the module.

    The headers of a checkpoint are read only where mixprec itself serves layers of it. Raises ChangedModule, and
    CheckpointError for a folder that is not there any more.
    """
    opened: dict[str, Checkpoint] = {}
    handed = {}
    for module, raw in config.get("kernels", {}).items():
        source = config["modules"].get(module)
        if source is None:
            continue
        native = raw["tier"] == Tier.NATIVE.value
        form, stored = None, None
        if not native:
            folder = config["sources"][source]["path"]
            if folder not in opened:
                opened[folder] = open_checkpoint(Path(folder))
            form, stored = _stored(opened[folder], module)
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


def _stored(checkpoint: Checkpoint, module: str) -> tuple[Format, dict[str, tuple[str, tuple[int, ...]]]]:
    tensors = checkpoint.of_module(module)
    read = read_module(tensors, checkpoint.quantization)
    if not isinstance(read, ModuleWeights):
        raise ChangedModule(module, str(checkpoint.path), getattr(read, "reason", str(read)))
    return read.format, {suffix: (header.dtype, header.shape) for suffix, header in tensors.items()}
