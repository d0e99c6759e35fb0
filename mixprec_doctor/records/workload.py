"""Workload: the distinct linear layers that an engine is to serve, with where real weights for each lie."""

from __future__ import annotations

__all__ = ["LinearShape", "StoredTensor", "Workload", "WorkloadLayer"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixprec_doctor.records.format import Format


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """A linear layer as one tensor-parallel rank holds it: ``inputs`` features to the sum of ``outputs``.

    ``outputs`` has an entry per fused part (q, k and v; gate and up), in the engine's order. ``full_inputs`` and
    ``full_outputs`` are those of the whole layer. ``partition`` says what tensor parallelism cuts: "column" the
    outputs, "row" the inputs, "whole" nothing.
    """

    inputs: int
    outputs: tuple[int, ...]
    full_inputs: int
    full_outputs: tuple[int, ...]
    partition: str = "whole"

    @property
    def out(self) -> int:
        """All outputs of this rank."""
        return sum(self.outputs)

    def __str__(self) -> str:
        parts = "+".join(str(each) for each in self.outputs)
        return f"{self.inputs} -> {parts}"

    def to_json(self) -> dict[str, object]:
        """The object of ``mixprec.report/1`` and ``mixprec.setup/1`` documents."""
        return {
            "inputs": self.inputs,
            "outputs": list(self.outputs),
            "full_inputs": self.full_inputs,
            "full_outputs": list(self.full_outputs),
            "partition": self.partition,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LinearShape:
        """The record that ``to_json`` wrote."""
        return cls(
            inputs=raw["inputs"],
            outputs=tuple(raw["outputs"]),
            full_inputs=raw["full_inputs"],
            full_outputs=tuple(raw["full_outputs"]),
            partition=raw["partition"],
        )


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """One tensor of a safetensors file, by the last part of its name: ``file[begin:end]`` are its bytes."""

    suffix: str
    dtype: str  # safetensors name
    shape: tuple[int, ...]
    file: str
    begin: int
    end: int

    def to_json(self) -> dict[str, object]:
        """What a process that loads it is handed."""
        return {
            "suffix": self.suffix,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "file": self.file,
            "begin": self.begin,
            "end": self.end,
        }


@dataclass(frozen=True, kw_only=True)
class WorkloadLayer:
    """Layers of one format, shape and source. ``parts`` are the tensors of the first of them, per fused part.

    ``units`` are all of them, each as the checkpoint names of its parts; the first is the one whose tensors stand in
    ``parts``. ``folder`` is the checkpoint; its ``config.json`` says how an engine reads it.
    """

    format: Format
    shape: LinearShape
    source: str
    folder: str
    units: tuple[tuple[str, ...], ...]
    parts: tuple[tuple[StoredTensor, ...], ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """Checkpoint names of all modules in all units."""
        return tuple(module for unit in self.units for module in unit)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is to be served: distinct layers, the type of activations (torch's name), and the ranks that share it."""

    name: str  # the mix file, or what the layers stand for
    dtype: str  # "bfloat16"
    ranks: int
    layers: tuple[WorkloadLayer, ...]
