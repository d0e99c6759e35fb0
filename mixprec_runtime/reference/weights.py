"""Whole checkpoints, and mixtures of them, as float32 state dictionaries in Hugging Face names."""

from __future__ import annotations

__all__ = ["float32_mixture", "float32_model", "float32_modules", "float32_weights"]

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.checkpoint.formats import MalformedModule, read_module
from mixprec_runtime.planning.cachescales import is_cache_scale
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
from mixprec_runtime.reference.dequantize import dequantize
from mixprec_runtime.reference.errors import IncompleteLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def float32_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Every weight of a checkpoint folder (config.json and safetensors), dequantized to float32.

    Shapes are those of the unquantized model; each module is read in the format that its own tensors are in. Scales of
    the key-value cache are left out. Raises CheckpointError, IncompleteLayer, UnknownLayout.
    """
    checkpoint = open_checkpoint(folder)
    return float32_modules(checkpoint, checkpoint.modules)


def float32_mixture(base: Path, sources: Mapping[str, Path]) -> dict[str, torch.Tensor]:
    """The state dictionary of a mixture: modules in ``sources`` from their folders, everything else from ``base``.

    ``sources`` maps module names (``model.layers.0.mlp.down_proj``) to checkpoint folders.
    Raises as float32_weights does, and IncompleteLayer for a module that its folder does not have.
    """
    state = float32_weights(base)
    for folder in sorted(set(sources.values())):
        modules = sorted(module for module, source in sources.items() if source == folder)
        state.update(float32_modules(open_checkpoint(folder), modules))
    return state


def float32_model(config_folder: Path, state: Mapping[str, torch.Tensor]) -> PreTrainedModel:
    """The transformers model of ``config_folder`` in float32 with these weights.

    Every parameter must be in ``state``, but for an output head that is tied to the embeddings.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(config_folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    complete = dict(state)
    if config.tie_word_embeddings:
        complete.setdefault("lm_head.weight", complete["model.embed_tokens.weight"])
    model.load_state_dict(complete, strict=True)
    return model.eval()


def float32_modules(checkpoint: Checkpoint, modules: Iterable[str]) -> dict[str, torch.Tensor]:
    """Some modules of an opened checkpoint, each tensor by its name. Raises as float32_weights does."""
    state: dict[str, torch.Tensor] = {}
    for module in modules:
        headers = {
            suffix: header for suffix, header in checkpoint.of_module(module).items() if not is_cache_scale(header.name)
        }
        if not headers and checkpoint.of_module(module):
            continue
        found = read_module(headers, checkpoint.quantization, module=module) if headers else None
        if found is None or isinstance(found, MalformedModule):
            wanted = found.reason if found is not None else "tensors"
            raise IncompleteLayer(module, "known", sorted(headers), [wanted])
        tensors = {suffix: _read(header) for suffix, header in headers.items()}
        if found.format.kind is not FormatKind.PLAIN:
            packed = {suffix: tensor for suffix, tensor in tensors.items() if suffix != "bias"}
            rest = {suffix: tensor for suffix, tensor in tensors.items() if suffix == "bias"}
            tensors = {"weight": dequantize(found.format, packed), **rest}
        state |= {f"{module}.{suffix}": tensor.to(torch.float32) for suffix, tensor in tensors.items()}
    return state


def _read(header: TensorHeader) -> torch.Tensor:
    with safe_open(header.file, framework="pt") as shard:
        tensor: torch.Tensor = shard.get_tensor(header.name)
        return tensor
