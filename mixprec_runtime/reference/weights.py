"""Whole checkpoints, and mixtures of them, as float32 state dictionaries in Hugging Face names."""

from __future__ import annotations

__all__ = ["float32_mixture", "float32_model", "float32_weights"]

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from mixprec_runtime.reference.dequantize import DECODERS, Decoder
from mixprec_runtime.reference.errors import IncompleteLayer, UnknownLayout, UnsafePath

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

_BY_LAYOUT = {decoder.layout: decoder for decoder in DECODERS}
_LAYER_PARTS = frozenset().union(*(decoder.parts for decoder in DECODERS)) | {"bias"}


def float32_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Every weight of a checkpoint folder (config.json and safetensors), dequantized to float32.

    Shapes are those of the unquantized model. Raises UnknownLayout, IncompleteLayer, UnsafePath.
    """
    return _decode_modules(folder, _tensors_by_module(folder), wanted=None)


def float32_mixture(base: Path, sources: Mapping[str, Path]) -> dict[str, torch.Tensor]:
    """The state dictionary of a mixture: modules in ``sources`` from their folders, everything else from ``base``.

    ``sources`` maps module names (``model.layers.0.mlp.down_proj``) to checkpoint folders.
    Raises as float32_weights does, and IncompleteLayer for a module that its folder does not have.
    """
    state = float32_weights(base)
    for folder in sorted(set(sources.values())):
        modules = {module for module, source in sources.items() if source == folder}
        state.update(_decode_modules(folder, _tensors_by_module(folder), wanted=modules))
    return state


def float32_model(config_folder: Path, state: Mapping[str, torch.Tensor]) -> LlamaForCausalLM:
    """A transformers Llama in float32 with these weights; its configuration is that of ``config_folder``.

    Every parameter must be in ``state``, but for an output head that is tied to the embeddings.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    document = json.loads((config_folder / "config.json").read_text(encoding="utf-8"))
    document.pop("quantization_config", None)
    document.update(dtype="float32", torch_dtype="float32")
    config = LlamaConfig.from_dict(document)
    model = LlamaForCausalLM(config).to(torch.float32)
    complete = dict(state)
    if config.tie_word_embeddings:
        complete.setdefault("lm_head.weight", complete["model.embed_tokens.weight"])
    model.load_state_dict(complete, strict=True)
    model.eval()
    return model


def _decode_modules(
    folder: Path, modules: Mapping[str, Mapping[str, torch.Tensor]], *, wanted: set[str] | None
) -> dict[str, torch.Tensor]:
    quantized = _decoder(folder)
    for module in sorted((wanted or set()) - modules.keys()):
        raise IncompleteLayer(module, quantized.layout, (), sorted(quantized.parts))
    state: dict[str, torch.Tensor] = {}
    for module, parts in modules.items():
        if wanted is not None and module not in wanted:
            continue
        layer = {name: tensor for name, tensor in parts.items() if name != "bias"}
        decoder = _BY_LAYOUT["plain"] if layer.keys() == {"weight"} else quantized
        if layer.keys() != decoder.parts:
            raise IncompleteLayer(module, decoder.layout, sorted(layer), sorted(decoder.parts))
        state[f"{module}.weight"] = decoder.decode(layer)
        if "bias" in parts:
            state[f"{module}.bias"] = parts["bias"].to(torch.float32)
    return state


def _decoder(folder: Path) -> Decoder:
    """The decoder of a folder's quantized layers, by ``quantization_config`` of its config.json."""
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    quantization = document.get("quantization_config")
    if quantization is None:
        return _BY_LAYOUT["plain"]
    method = str(quantization.get("quant_method"))
    layout = str(quantization.get("format")) if method == "compressed-tensors" else method
    fault = _unsupported(layout, quantization)
    if layout not in _BY_LAYOUT or fault:
        raise UnknownLayout(str(folder / "config.json"), fault or f"layout {layout!r}", sorted(_BY_LAYOUT))
    return _BY_LAYOUT[layout]


def _unsupported(layout: str, quantization: Mapping[str, Any]) -> str | None:
    """What of a known layout is outside what its decoder reads; None when all of it is inside."""
    if layout in {"gptq", "awq"} and int(quantization.get("bits", 0)) != 4:
        return f"{layout} with {quantization.get('bits')} bits"
    if layout == "gptq" and quantization.get("checkpoint_format", "gptq") != "gptq":
        return f"gptq with checkpoint_format {quantization['checkpoint_format']!r}"
    if layout == "awq" and str(quantization.get("version", "gemm")).lower() != "gemm":
        return f"awq with version {quantization['version']!r}"
    if layout in {"int-quantized", "float-quantized"}:
        strategies = {group["weights"]["strategy"] for group in quantization["config_groups"].values()}
        if strategies != {"channel"}:
            return f"{layout} with weight strategies {sorted(strategies)}"
    return None


def _tensors_by_module(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in _tensors(folder):
        module, _, part = name.rpartition(".")
        if part not in _LAYER_PARTS:
            raise IncompleteLayer(module, "known", (part,), sorted(_LAYER_PARTS))
        modules.setdefault(module, {})[part] = tensor
    return modules


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for path in _shards(folder):
        with safe_open(path, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - a safetensors handle is no mapping
                yield name, shard.get_tensor(name)


def _shards(folder: Path) -> list[Path]:
    """The safetensors files of a folder: those of its index, or the only one."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    for name in names:
        if Path(name).name != name:
            raise UnsafePath(str(index), name)
    return [folder / name for name in names]
