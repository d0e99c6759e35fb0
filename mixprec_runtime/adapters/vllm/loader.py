"""The loader: vLLM's default loader, fed with just the planned tensors of every checkpoint, and strict."""

from __future__ import annotations

__all__ = ["MixprecModelLoader"]

import logging
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from vllm.config import ModelConfig, VllmConfig
from vllm.distributed import get_pp_group, get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.model_executor.model_loader.default_loader import DefaultModelLoader
from vllm.model_executor.models.utils import is_pp_missing_parameter

from mixprec_runtime.adapters.bookkeeping import Bookkeeper, StrictLoadingError, memory_in_use, module_bytes
from mixprec_runtime.adapters.vllm.kept import may_be_kept
from mixprec_runtime.adapters.vllm.methods import method_name
from mixprec_runtime.adapters.vllm.quantization import MixprecConfig
from mixprec_runtime.loading.digests import digests_wanted, read_digests, write_digests
from mixprec_runtime.loading.state import ProgressFile, state_folder, write_account
from mixprec_runtime.records.account import LayerMemory, LoadFault, RefusedKernel
from mixprec_runtime.runfolder import RunFolderError, read_left_out, read_run

logger = logging.getLogger("vllm.mixprec")


class MixprecModelLoader(DefaultModelLoader):
    """Reads planned tensors only, and refuses a model that they do not fill exactly once."""

    def download_model(self, model_config: ModelConfig) -> None:
        """Nothing to fetch: the plan was made from folders that are here."""

    def get_all_weights(
        self, model_config: ModelConfig, model: nn.Module
    ) -> Generator[tuple[str, torch.Tensor], None, None]:
        """The planned tensors of all sources under their checkpoint names."""
        self.counter_before_loading_weights = time.perf_counter()  # the engine's log tells the seconds since
        yield from self._books.stream()

    def load_weights(self, model: nn.Module, model_config: ModelConfig) -> None:
        """Load as the engine does, with the account kept beside it. Raises StrictLoadingError."""
        folder = Path(model_config.model)
        self._state = state_folder(folder)
        try:
            planned = read_run(folder)
        except RunFolderError as fault:
            self._books = Bookkeeper(
                planned=(), parameters={}, progress=ProgressFile(self._state, rank=_rank(), total=0)
            )
            self._books.faults.append(LoadFault(name="run folder", text=fault.fault))
            self._refuse()
        digesting = digests_wanted() and _rank() == 0  # each rank reads the same files
        self._books = Bookkeeper(
            planned=planned,
            parameters=dict(model.named_parameters()),
            progress=ProgressFile(self._state, rank=_rank(), total=sum(tensor.bytes for tensor in planned)),
            elsewhere=lambda name: _elsewhere(name, model),
            kept=may_be_kept(model),
            whole=_world() == 1,
            left_out=read_left_out(folder),
            digesting=digesting,
            digests_before=read_digests(folder) if digesting else None,
        )
        try:
            with self._books.recorder:
                super().load_weights(model, model_config)
        except Exception as fault:  # noqa: BLE001  engines raise whatever they like; it ends up in the account
            self._books.interrupted(fault)
            self._refuse()
        self._books.close(dict(model.named_parameters()))
        if self._books.faults:
            self._refuse()
        if digesting and self._books.digests_before is None:
            try:
                write_digests(folder, self._books.digests)
            except OSError as fault:
                logger.warning("mixprec: digests cannot be kept in %s: %s", folder, fault.strerror or fault)
        self._loaded_bytes = dict(_held(model))

    def load_model(self, vllm_config: VllmConfig, model_config: ModelConfig, **more: Any) -> nn.Module:  # noqa: ANN401
        """Load, let the engine repack, then write the account. Releases since 0.15 give a prefix too."""
        before = memory_in_use()
        model = super().load_model(vllm_config=vllm_config, model_config=model_config, **more)
        config = vllm_config.quant_config
        held = dict(_held(model))
        layers = tuple(
            LayerMemory(
                layer=name,
                source=_sources(config, name),
                format=self._format_of(name, config),
                method=method_name(model.get_submodule(name)),
                loaded_bytes=self._loaded_bytes.get(name, 0),
                held_bytes=held.get(name, 0),
                members=config.planned_members(name) if isinstance(config, MixprecConfig) else (),
            )
            for name in dict.fromkeys([*self._loaded_bytes, *held])
        )
        account = self._books.account(
            rank=_rank(),
            world_size=_world(),
            layers=layers,
            held_bytes=sum(held.values()),
            grown_bytes=max(memory_in_use() - before, 0),
            refused=_refused(config),
        )
        write_account(self._state, account)
        logger.info(
            "mixprec: %d tensors, %d bytes from %d sources; %d parameters filled, each exactly once, in %.2f s",
            sum(read.tensors for read in account.sources.values()),
            sum(read.bytes for read in account.sources.values()),
            len(account.sources),
            account.parameters,
            account.seconds,
        )
        return model

    def _format_of(self, name: str, config: object) -> str | None:
        if not isinstance(config, MixprecConfig):
            return None
        members = set(config.members(name))
        formats = (t.format for t in self._books.planned if t.name.rpartition(".")[0] in members)
        return next(formats, None)

    def _refuse(self) -> None:
        account = self._books.account(rank=_rank(), world_size=_world())
        write_account(self._state, account)
        raise StrictLoadingError(account.faults)


def _sources(config: object, name: str) -> str | None:
    return (" + ".join(config.sources_of(name)) or None) if isinstance(config, MixprecConfig) else None


def _elsewhere(name: str, model: nn.Module) -> bool:
    """Whether another rank holds a tensor's layer, or none since its tower was not asked for, by the engine's names."""
    mapper: Any = getattr(model, "hf_to_vllm_mapper", None)
    names = [name, *(mapper.apply_list([name]) if mapper is not None else ())]
    return any(is_pp_missing_parameter(each, model) for each in names)


def _refused(config: object) -> tuple[RefusedKernel, ...]:
    """Kernels of the engine that did not work: tried as layers were made, or before the start."""
    if not isinstance(config, MixprecConfig):
        return ()
    faults = {(v.method, v.fault) for v in config.proofs.values() if v.fault is not None}
    for handed in config.handed.values():
        told = (reason.partition(": ") for reason in handed.reasons)
        faults |= {(kernel, fault) for kernel, _, fault in told if kernel in handed.without}
    return tuple(RefusedKernel(method=method, fault=fault) for method, fault in sorted(faults))


def _held(model: nn.Module) -> Iterator[tuple[str, int]]:
    seen: set[int] = set()
    for name, module in model.named_modules():
        if held := module_bytes(module, seen):
            yield name, held


def _rank() -> int:
    return int(get_pp_group().rank_in_group * get_tensor_model_parallel_world_size() + get_tensor_model_parallel_rank())


def _world() -> int:
    return int(get_pp_group().world_size * get_tensor_model_parallel_world_size())
