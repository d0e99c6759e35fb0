"""Filling: planned tensors into the model's parameters, each once, with the account kept beside it."""

from __future__ import annotations

__all__ = ["Filled", "fill"]

import contextlib
import ctypes
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter
from transformers.utils.logging import tqdm

from mixprec_runtime.adapters.bookkeeping import Bookkeeper, StrictLoadingError, memory_in_use, module_bytes
from mixprec_runtime.adapters.torch.linear import CompressedLinear
from mixprec_runtime.adapters.torch.names import Stacked
from mixprec_runtime.adapters.torch.replacing import Replaced
from mixprec_runtime.loading.digests import digests_wanted, read_digests, write_digests
from mixprec_runtime.loading.state import ProgressFile, state_folder, write_account
from mixprec_runtime.records.account import LayerMemory, LoadAccount

GIVEN_BACK = 8 << 20  # bytes of weights between two times that memory is given back
logger = logging.getLogger("mixprec.torch")


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A filled model's own parameters by name (those of compressed layers are none of them), and the account."""

    parameters: dict[str, torch.Tensor]
    account: LoadAccount


def fill(
    model: Any,  # noqa: ANN401  transformers is untyped
    folder: Path,
    replaced: Replaced,
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Filled:
    """Give the model memory, load it, bring compressed weights into their kernels' order, and write the account.

    Raises StrictLoadingError when a parameter is not filled exactly once, or a planned tensor goes nowhere.
    """
    before = memory_in_use()
    own = _with_memory(model, replaced, device)
    for layer in replaced.layers.values():
        layer.make_room(device)
    state = state_folder(folder)
    digesting = digests_wanted()
    books = Bookkeeper(
        planned=replaced.planned,
        parameters={**own, **_compressed(replaced)},
        progress=_Progress(state, total=sum(tensor.bytes for tensor in replaced.planned)),
        whole=True,
        left_out=replaced.left_out,
        digesting=digesting,
        digests_before=read_digests(folder) if digesting else None,
    )
    try:
        with torch.no_grad(), books.recorder:
            for name, data in books.stream():
                _put(books.parameters, replaced.places[name], data)
    except Exception as fault:  # noqa: BLE001  whatever goes wrong ends up in the account
        books.interrupted(fault)
    else:
        books.close({**dict(_own(model, own)), **_compressed(replaced)})
    if books.faults:
        account = books.account(rank=0, world_size=1)
        write_account(state, account)
        raise StrictLoadingError(account.faults)
    if digesting and books.digests_before is None:
        _keep_digests(folder, books.digests)
    loaded = dict(_held(model))
    books.let_go()
    _settle(list(replaced.layers.values()), dtype)
    account = books.account(
        rank=0,
        world_size=1,
        layers=tuple(_memories(model, replaced, books, loaded)),
        held_bytes=sum(held for _, held in _held(model)),
        grown_bytes=max(memory_in_use() - before, 0),
    )
    write_account(state, account)
    return Filled(parameters=own, account=account)


def _settle(layers: Sequence[CompressedLinear], dtype: torch.dtype) -> None:
    """Bring layers into their kernels' order, on one core.

    The work is many small steps: sharing each of them among cores costs more than it saves, and by far where other
    programs have the cores. Threads that take a layer each would keep memory of their own.
    """
    threads, since = torch.get_num_threads(), 0
    torch.set_num_threads(1)
    try:
        for layer in layers:
            layer.settle(dtype)
            since += sum(parameter.nbytes for parameter in layer.parameters())
            if since > GIVEN_BACK:
                since = 0
                _give_back()
    finally:
        torch.set_num_threads(threads)
        _give_back()


def _give_back() -> None:
    """Give what was freed back to the system: GNU's allocator keeps pieces between others."""
    with contextlib.suppress(OSError, AttributeError):  # another system's
        ctypes.CDLL(None).malloc_trim(0)


class _Progress(ProgressFile):
    """Bytes for whoever reads the file, and a bar where transformers shows its own."""

    def __init__(self, folder: Path, *, total: int) -> None:
        super().__init__(folder, rank=0, total=total)
        self._bar = tqdm(total=total, desc="Planned tensors", unit="B", unit_scale=True)
        self._left = total

    def add(self, count: int) -> None:
        super().add(count)
        self._bar.update(count)
        self._left -= count
        if self._left <= 0:
            self._bar.close()


def _with_memory(model: Any, replaced: Replaced, device: torch.device) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Memory for every parameter of the model that is not tied to another, and for buffers that the plan fills."""
    wanted = {place.parameter if isinstance(place, Stacked) else place for place in replaced.places.values()}
    tied = set(getattr(model, "all_tied_weights_keys", {})) - wanted
    own: dict[str, torch.Tensor] = {}
    for name, old in (*model.named_parameters(), *model.named_buffers()):
        is_buffer = not isinstance(old, Parameter)
        if name in tied or (is_buffer and name not in wanted):
            continue
        room = torch.empty(old.shape, dtype=old.dtype, device=device)
        module, _, leaf = name.rpartition(".")
        own[name] = room if is_buffer else Parameter(room, requires_grad=False)
        setattr(model.get_submodule(module), leaf, own[name])
    return own


def _own(model: Any, own: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:  # noqa: ANN401
    for name in own:
        module, _, leaf = name.rpartition(".")
        yield name, getattr(model.get_submodule(module), leaf)


def _compressed(replaced: Replaced) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{suffix}": parameter
        for name, layer in replaced.layers.items()
        for suffix, parameter in layer.named_parameters(recurse=False)
        if suffix != "bias"
    }


def _put(parameters: Mapping[str, torch.Tensor], place: str | Stacked, data: torch.Tensor) -> None:
    target = parameters.get(place.parameter if isinstance(place, Stacked) else place)
    if target is None:
        return  # the account tells of it
    if isinstance(place, Stacked):
        target = target[place.expert].chunk(place.parts)[place.part]
    if target.shape != data.shape:
        raise ValueError(f"shape {list(data.shape)} does not fit {list(target.shape)}")
    if target.dtype is torch.uint8 and data.dtype is not torch.uint8:
        data = data.view(torch.uint8)  # scales that are exponents stay bytes
    target.copy_(data)


def _keep_digests(folder: Path, digests: Mapping[str, str]) -> None:
    try:
        write_digests(folder, digests)
    except OSError as fault:
        logger.warning("mixprec: digests cannot be kept in %s: %s", folder, fault.strerror or fault)


def _memories(
    model: Any,  # noqa: ANN401
    replaced: Replaced,
    books: Bookkeeper,
    loaded: Mapping[str, int],
) -> Iterator[LayerMemory]:
    formats = {tensor.name.rpartition(".")[0]: tensor.format for tensor in books.planned}
    held = dict(_held(model))
    for name in dict.fromkeys([*loaded, *held]):
        members = replaced.members.get(name, ())
        layer = model.get_submodule(name)
        yield LayerMemory(
            layer=name,
            source=" + ".join(dict.fromkeys(replaced.sources[member] for member in members)) or None,
            format=formats.get(members[0]) if members else None,
            method=layer.kernel if isinstance(layer, CompressedLinear) else type(layer).__name__,
            loaded_bytes=loaded.get(name, 0),
            held_bytes=held.get(name, 0),
            members=members,
        )


def _held(model: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401
    seen: set[int] = set()
    for name, module in model.named_modules():
        if held := module_bytes(module, seen):
            yield name, held
