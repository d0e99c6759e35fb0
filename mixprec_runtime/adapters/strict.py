"""One strict load, the same for every engine: planned tensors in, every parameter judged, an account at the end."""

from __future__ import annotations

__all__ = ["Place", "StrictLoad"]

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mixprec_runtime.adapters.bookkeeping import Bookkeeper, StrictLoadingError, memory_in_use, module_bytes
from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.loading.digests import digests_wanted, read_digests, write_digests
from mixprec_runtime.loading.state import ProgressFile, state_folder, write_account
from mixprec_runtime.records.account import LayerMemory, LoadAccount, LoadFault, RefusedKernel
from mixprec_runtime.runfolder import RunFolderError, read_left_out, read_run


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which rank of how many loads."""

    rank: int
    world: int


class StrictLoad:
    """The load of one model of a run folder.

    ``elsewhere`` says of a checkpoint tensor that no layer of this rank takes it; ``kept`` are parameters that may stay
    as the engine made them, each with the reason. Made before the engine's model is, so that memory is counted whole.
    """

    def __init__(self, folder: Path, *, place: Place, logger: logging.Logger) -> None:
        self.folder = folder
        self.place = place
        self._logger = logger
        self._state = state_folder(folder)
        self._before = memory_in_use()
        self._books: Bookkeeper | None = None
        self._loaded_bytes: dict[str, int] = {}

    def stream(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The planned tensors of all sources under their checkpoint names; only while ``run`` is under way."""
        assert self._books is not None  # noqa: S101  run opens them
        yield from self._books.stream()

    def run(
        self,
        model: torch.nn.Module,
        load: Callable[[], object],
        *,
        elsewhere: Callable[[str], bool],
        kept: Mapping[str, str],
    ) -> object:
        """What the engine's own loading gives, which takes its tensors from ``stream``. Raises StrictLoadingError."""
        books = self._books = self._opened(model, elsewhere, kept)
        try:
            with books.recorder:
                given = load()
        except Exception as fault:  # noqa: BLE001  engines raise whatever they like; it ends up in the account
            books.interrupted(fault)
            self._refuse(books)
        books.close(dict(model.named_parameters()))
        if books.faults:
            self._refuse(books)
        if books.digesting and books.digests_before is None:
            try:
                write_digests(self.folder, books.digests)
            except OSError as fault:
                words = "mixprec: digests cannot be kept in %s: %s"
                self._logger.warning(words, self.folder, fault.strerror or fault)
        self._loaded_bytes = dict(_held(model))
        books.let_go()  # an engine that keeps its loader would keep all that it repacks, too
        return given

    def finish(self, model: torch.nn.Module, config: object, *, named: Callable[[torch.nn.Module], str]) -> LoadAccount:
        """Write and give the account, once the engine has repacked what was loaded; ``named`` tells a method."""
        assert self._books is not None  # noqa: S101  the engine has loaded by now
        held = dict(_held(model))
        layers = tuple(
            LayerMemory(
                layer=name,
                source=_sources(config, name),
                format=self._format_of(name, config),
                method=named(model.get_submodule(name)),
                loaded_bytes=self._loaded_bytes.get(name, 0),
                held_bytes=held.get(name, 0),
                members=config.planned_members(name) if isinstance(config, Mixture) else (),
            )
            for name in dict.fromkeys([*self._loaded_bytes, *held])
        )
        account = self._books.account(
            rank=self.place.rank,
            world_size=self.place.world,
            layers=layers,
            held_bytes=sum(held.values()),
            grown_bytes=max(memory_in_use() - self._before, 0),
            refused=_refused(config),
        )
        write_account(self._state, account)
        self._logger.info(
            "mixprec: %d tensors, %d bytes from %d sources; %d parameters filled, each exactly once, in %.2f s",
            sum(read.tensors for read in account.sources.values()),
            sum(read.bytes for read in account.sources.values()),
            len(account.sources),
            account.parameters,
            account.seconds,
        )
        return account

    def _opened(self, model: torch.nn.Module, elsewhere: Callable[[str], bool], kept: Mapping[str, str]) -> Bookkeeper:
        rank = self.place.rank
        try:
            planned = read_run(self.folder)
        except RunFolderError as fault:
            books = Bookkeeper(planned=(), parameters={}, progress=ProgressFile(self._state, rank=rank, total=0))
            books.faults.append(LoadFault(name="run folder", text=fault.fault))
            self._refuse(books)
        digesting = digests_wanted() and rank == 0  # each rank reads the same files
        return Bookkeeper(
            planned=planned,
            parameters=dict(model.named_parameters()),
            progress=ProgressFile(self._state, rank=rank, total=sum(tensor.bytes for tensor in planned)),
            elsewhere=elsewhere,
            kept=kept,
            whole=self.place.world == 1,
            left_out=read_left_out(self.folder),
            digesting=digesting,
            digests_before=read_digests(self.folder) if digesting else None,
        )

    def _format_of(self, name: str, config: object) -> str | None:
        if not isinstance(config, Mixture) or self._books is None:
            return None
        members = set(config.planned_members(name))
        formats = (t.format for t in self._books.planned if t.name.rpartition(".")[0] in members)
        return next(formats, None)

    def _refuse(self, books: Bookkeeper) -> None:
        account = books.account(rank=self.place.rank, world_size=self.place.world)
        write_account(self._state, account)
        raise StrictLoadingError(account.faults)


def _sources(config: object, name: str) -> str | None:
    return (" + ".join(config.sources_of(name)) or None) if isinstance(config, Mixture) else None


def _refused(config: object) -> tuple[RefusedKernel, ...]:
    """Kernels of the engine that did not work: tried as layers were made, or before the start."""
    if not isinstance(config, Mixture):
        return ()
    faults = {(v.method, v.fault) for v in config.proofs.values() if v.fault is not None}
    for handed in config.handed.values():
        told = (reason.partition(": ") for reason in handed.reasons)
        faults |= {(kernel, fault) for kernel, _, fault in told if kernel in handed.without}
    return tuple(RefusedKernel(method=method, fault=fault) for method, fault in sorted(faults))


def _held(model: torch.nn.Module) -> Iterator[tuple[str, int]]:
    seen: set[int] = set()
    for name, module in model.named_modules():
        if held := module_bytes(module, seen):
            yield name, held
