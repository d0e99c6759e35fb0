"""Tiny checkpoints of one generated model, each module in a format of its own, as quantizers of many settings write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.packing.generated import packed_weight
from mixprec_runtime.packing.generated_model import write_generated_model
from mixprec_runtime.reference.weights import float32_weights

CONFIG: dict[str, object] = {
    "vocab_size": 512, "hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "num_hidden_layers": 8, "max_position_embeddings": 512,
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MODELS = {
    "llama": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
    "qwen2": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]},
    "qwen3": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]},
}
"""Plain; biases of q, k and v; norms of q and k."""
READERS = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
}

GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True)
GPTQ_64 = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)
AWQ = Format(kind=FormatKind.AWQ, bits=4, group=32, symmetric=False)
W4A16 = Format(kind=FormatKind.PACKED, bits=4, group=32, symmetric=True)
INT8 = Format(kind=FormatKind.INT8, bits=8, scale="channel", symmetric=True, activation=Activation.DYNAMIC)
FP8 = Format(kind=FormatKind.FP8, bits=8, scale="channel", activation=Activation.DYNAMIC)
FP8_TENSOR = Format(kind=FormatKind.FP8, bits=8, scale="tensor", activation=Activation.DYNAMIC)

Chooser = Callable[[str], Format | None]


def write_base(folder: Path, model: str, **more: object) -> Path:
    """The model itself, in BF16."""
    return write_generated_model({**CONFIG, **MODELS[model], **more}, folder, seed=7)


def write_quantized(
    folder: Path,
    base: Path,
    choose: Chooser,
    quantization: Mapping[str, object],
    *,
    smoothed: bool = False,
    noise: float = 0.0,
    extra: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """``base`` with each module in the format that ``choose`` names for it; None: left in BF16.

    ``smoothed`` weights have scales that the norms before them are divided by, as AWQ leaves them; ``noise`` is what
    another calibration changes. ``extra`` tensors are written beside.
    """
    state = float32_weights(base)
    generator = torch.Generator().manual_seed(len(folder.name))
    if smoothed:
        _smooth(state, generator)
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        module, _, suffix = name.rpartition(".")
        form = choose(module) if suffix == "weight" and tensor.dim() == 2 else None
        if form is None:
            tensors[name] = tensor.to(torch.bfloat16)
            continue
        weight = tensor + noise * tensor.std() * torch.randn(tensor.shape, generator=generator)
        order = torch.arange(tensor.shape[1])
        tensors |= {f"{module}.{part}": packed.clone() for part, packed in packed_weight(form, weight, order).items()}
    folder.mkdir(parents=True)
    save_file({**tensors, **(extra or {})}, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": dict(quantization)}))
    return folder


def _smooth(state: dict[str, torch.Tensor], generator: torch.Generator) -> None:
    for name in [name for name in state if name.endswith("layernorm.weight")]:
        block, _, norm = name.removesuffix(".weight").rpartition(".")
        scales = torch.exp(0.7 * torch.randn(state[name].shape, generator=generator))
        state[name] = (state[name] / scales).to(torch.bfloat16).to(torch.float32)
        for reader in READERS.get(norm, ()):
            state[f"{block}.{reader}.weight"] = state[f"{block}.{reader}.weight"] * scales
