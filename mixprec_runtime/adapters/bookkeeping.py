"""The bookkeeping of one load: wraps the stream of planned tensors and closes with an account."""

from __future__ import annotations

__all__ = ["Bookkeeper", "Progress", "StrictLoadingError", "memory_in_use", "module_bytes"]

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.adapters.fills import TWICE, FillRecorder
from mixprec_runtime.adapters.poison import Poison
from mixprec_runtime.adapters.tensors import group_order_is_trivial, read_tensors
from mixprec_runtime.records.account import LayerMemory, LoadAccount, LoadFault, RefusedKernel, SourceRead
from mixprec_runtime.records.plan import LeftOut
from mixprec_runtime.runfolder import RunTensor

SHOWN = 20
SHARED = frozenset({"g_idx", "weight_g_idx", "input_scale"})
"""Tensors that an engine may keep once for all parts of a fused layer or an expert: the parts must say the same."""
UNUSED = frozenset({"weight_shape"})
"""Tensors of which an engine keeps the last of a fused layer's parts, and uses none."""


class StrictLoadingError(MixprecError):
    """Loading that did not fill every parameter exactly once from its planned tensor."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, faults: tuple[LoadFault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        lines = [f"  {fault.name} {fault.text}" for fault in self.faults[:SHOWN]]
        if len(self.faults) > SHOWN:
            lines.append(f"  ... and {len(self.faults) - SHOWN} more, in the account")
        return f"mixprec refuses this load: {len(self.faults)} faults\n" + "\n".join(lines)


class Progress(Protocol):
    """Whoever counts bytes that have arrived."""

    def add(self, count: int) -> None:
        """Count some more."""


@dataclass(kw_only=True)
class Bookkeeper:
    """Feeds the planned tensors to an engine and watches where they go."""

    planned: tuple[RunTensor, ...]
    parameters: Mapping[str, torch.Tensor]
    progress: Progress
    elsewhere: Callable[[str], bool] = lambda name: False  # tensors of layers that another rank holds
    kept: Mapping[str, str] = field(default_factory=dict)  # parameters that may stay as the engine made them, and why
    whole: bool = False  # no other rank shares the model: each tensor goes in with all its elements
    faults: list[LoadFault] = field(default_factory=list)
    redundant: list[str] = field(default_factory=list)
    read: dict[str, SourceRead] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    ended: float | None = None  # when every parameter was judged
    left_out: tuple[LeftOut, ...] = ()
    digesting: bool = False  # take the SHA-256 of every tensor, and not only of those that parts of a layer may share
    digests: dict[str, str] = field(default_factory=dict)
    digests_before: Mapping[str, str] | None = None  # of an earlier load of the same files

    def __post_init__(self) -> None:
        self._counted: tuple[int, int] | None = None  # parameters and their bytes, once they were let go
        self._storages = {name: _address(parameter) for name, parameter in self.parameters.items()}
        self._poison = Poison({name: p for name, p in self.parameters.items() if name not in self.kept})
        self.recorder = FillRecorder(self.parameters, before_a_part=self._poison.deepen)

    def stream(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The planned tensors as ``(checkpoint name, tensor)``; each is checked off before the next is read."""
        for tensor, data in read_tensors(self.planned):
            if self.digesting or _suffix(tensor.name) in SHARED:
                self._digest(tensor, data)
            self.recorder.current = tensor.name
            yield tensor.name, data
            self._check_off(tensor, data)
        self.recorder.current = None

    def _digest(self, tensor: RunTensor, data: torch.Tensor) -> None:
        taken = hashlib.sha256(data.contiguous().reshape(-1).view(torch.uint8).numpy()).hexdigest()
        self.digests[tensor.name] = taken
        before = (self.digests_before or {}).get(tensor.name, taken)
        if before != taken:
            text = (
                f"has other bytes than when {tensor.file} was first loaded (SHA-256 {taken[:12]}, then {before[:12]})"
            )
            self.faults.append(LoadFault(name=tensor.name, text=f"(source {tensor.source}) {text}"))

    def _check_off(self, tensor: RunTensor, data: torch.Tensor) -> None:
        before = self.read.get(tensor.source, SourceRead(tensors=0, bytes=0))
        self.read[tensor.source] = SourceRead(tensors=before.tensors + 1, bytes=before.bytes + tensor.bytes)
        self.progress.add(tensor.bytes)
        taken = self.recorder.written.get(tensor.name, 0)
        if self.whole and 0 < taken < data.numel():
            text = f"(source {tensor.source}) went in with {taken:,} of {data.numel():,} elements"
            self.faults.append(LoadFault(name=tensor.name, text=text))
        if taken or not data.numel() or self.elsewhere(tensor.name):
            return
        if tensor.droppable and group_order_is_trivial(data):
            self.redundant.append(tensor.name)
            return
        why = "was not taken by any parameter"
        if tensor.droppable:
            why = "orders groups in a way that the engine leaves out"
        self.faults.append(LoadFault(name=tensor.name, text=f"(source {tensor.source}) {why}"))

    def interrupted(self, fault: BaseException) -> None:
        """Note that the engine's own loading raised while a tensor was on its way."""
        name = self.recorder.current or "loading"
        words = str(fault).split(" The available parameters")[0]
        self.faults.append(LoadFault(name=name, text=f"stopped the engine: {type(fault).__name__}: {words}"))

    def close(self, now: Mapping[str, torch.Tensor] | None = None) -> None:
        """Judge the parameters once every tensor has been handed over; ``now`` are those that the model has by then."""
        told = self._exchanged(self.parameters if now is None else now)
        remains = self._poison.remains()
        for name, verdict in self.recorder.faults().items():
            if name in told or (name in self.kept and not self.recorder.regions[name]):
                continue
            if not self.recorder.regions[name] and name in self.recorder.reworked:
                self._fault(name, "was changed in place and never filled")
            elif not self.recorder.regions[name] and name not in self.kept and name not in remains:
                self._fault(name, "was not filled by anything that mixprec can watch")
            elif not (verdict.endswith(TWICE) and self._agreed(name)):
                self._fault(name, verdict)
            told.add(name)
        for name, count in remains.items():
            if name not in told:
                self._fault(name, f"has {count:,} bytes that hold what they held before loading")
        self.ended = time.perf_counter()

    def let_go(self) -> None:
        """Hold no parameter any more, so that what an engine replaces is freed; its account can still be made."""
        self._counted = self._count()
        self.parameters, self._poison = {}, Poison({})
        self.recorder.let_go()

    def _count(self) -> tuple[int, int]:
        return len(self.parameters), sum(p.numel() * p.element_size() for p in self.parameters.values())

    def _exchanged(self, now: Mapping[str, torch.Tensor]) -> set[str]:
        """Parameters that are no longer the memory that was watched."""
        told = set(self.parameters.keys() - now.keys())
        for name, parameter in self.parameters.items():
            if name not in now:
                if self.recorder.regions.get(name):
                    self._fault(name, "was filled and then taken out of the model")
            elif _address(now[name]) != self._storages[name] and parameter.numel():
                self._fault(name, "was replaced by another tensor while it was loaded")
                told.add(name)
        for name in now.keys() - self.parameters.keys():
            self._fault(name, "came into the model while it was loaded, and nothing watched it")
        return told

    def _fault(self, parameter: str, text: str) -> None:
        self.faults.append(LoadFault(name=f"parameter {parameter}", text=text))

    def _agreed(self, name: str) -> bool:
        """Whether several parts of a fused layer filled one parameter that they share, and said the same."""
        writers = self.recorder.writers[name]
        suffixes = {_suffix(writer) for writer in writers}
        if len(writers) < 2:
            return False
        said: dict[str, set[str]] = {}
        for writer in writers if suffixes <= SHARED else ():
            said.setdefault(writer.rsplit(".", 2)[0], set()).add(self.digests[writer])  # by the layer, or the expert
        alike = suffixes <= SHARED and all(len(digests) == 1 for digests in said.values())
        return alike or suffixes <= UNUSED

    def account(
        self,
        *,
        rank: int,
        world_size: int,
        layers: tuple[LayerMemory, ...] = (),
        held_bytes: int = 0,
        grown_bytes: int = 0,
        refused: tuple[RefusedKernel, ...] = (),
    ) -> LoadAccount:
        """The account as it stands."""
        count, size = self._counted or self._count()
        return LoadAccount(
            rank=rank,
            world_size=world_size,
            sources=dict(self.read),
            parameters=count,
            parameter_bytes=size,
            held_bytes=held_bytes,
            grown_bytes=grown_bytes,
            redundant=tuple(self.redundant),
            converted=dict(self.recorder.converted),
            layers=layers,
            refused=refused,
            faults=tuple(self.faults),
            seconds=round((self.ended or time.perf_counter()) - self.began, 3),
            kept={name: why for name, why in self.kept.items() if not self.recorder.regions.get(name)},
            reworked=tuple(self.recorder.reworked),
            left_out=self.left_out,
            digests=("same" if self.digests_before is not None else "first") if self.digesting else None,
        )


def _address(parameter: torch.Tensor) -> int:
    """Where a parameter's memory begins; 0 for one that has none."""
    return 0 if parameter.is_meta else int(parameter.untyped_storage().data_ptr())


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def memory_in_use() -> int:
    """Bytes that this process holds for itself: on its accelerator if it has one, else in memory.

    In memory these are anonymous pages (``RssAnon`` of proc(5)), so that mapped checkpoint files do not count.
    """
    if torch.cuda.is_available():
        return int(torch.cuda.memory_allocated())
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def module_bytes(module: torch.nn.Module, seen: set[int]) -> int:
    """Bytes of the storages that a module itself holds in parameters, buffers and attributes; each counted once.

    ``seen`` holds the storages counted before, so that tied weights count for the first module that has them.
    """
    held = 0
    candidates = [*module._parameters.values(), *module._buffers.values(), *vars(module).values()]
    for value in candidates:
        if not isinstance(value, torch.Tensor) or value.is_meta:
            continue
        storage = value.untyped_storage()
        if storage.data_ptr() in seen or not storage.nbytes():
            continue
        seen.add(storage.data_ptr())
        held += storage.nbytes()
    return held
