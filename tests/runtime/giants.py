"""Checkpoints of large models that take no room: truthful headers, and files that are one hole."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

from mixprec_runtime.records.checkpoint import DTYPE_BITS

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
Layout = Callable[[int, int], dict[str, tuple[str, tuple[int, ...]]]]
GROUP = 128


def plain(out: int, inputs: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {"weight": ("BF16", (out, inputs))}


def fp8(out: int, inputs: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {"weight": ("F8_E4M3", (out, inputs)), "weight_scale": ("BF16", (out, 1))}


def gptq(out: int, inputs: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    groups = inputs // GROUP
    return {
        "qweight": ("I32", (inputs // 8, out)),
        "qzeros": ("I32", (groups, out // 8)),
        "scales": ("F16", (groups, out)),
        "g_idx": ("I32", (inputs,)),
    }


FP8 = {
    "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head", "re:.*gate$"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"},
            "input_activations": {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "token", "dynamic": True},
        }
    },
}  # fmt: skip
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True}
LAYOUTS: dict[str, tuple[Layout, dict[str, object] | None]] = {
    "base": (plain, None), "fp8": (fp8, FP8), "gptq": (gptq, GPTQ),
}  # fmt: skip


def llama_70b(layout: Layout) -> dict[str, tuple[str, tuple[int, ...]]]:
    """80 layers of hidden size 8192, 64 heads, 8 of them for keys and values."""
    linear = {
        "self_attn.q_proj": (8192, 8192), "self_attn.k_proj": (1024, 8192), "self_attn.v_proj": (1024, 8192),
        "self_attn.o_proj": (8192, 8192), "mlp.gate_proj": (28672, 8192), "mlp.up_proj": (28672, 8192),
        "mlp.down_proj": (8192, 28672),
    }  # fmt: skip
    return _decoder(layout, linear, layers=80, hidden=8192, vocab=128256)


def qwen_moe(layout: Layout) -> dict[str, tuple[str, tuple[int, ...]]]:
    """24 layers with 60 experts each, as a small mixture of experts has them."""
    linear = {f"self_attn.{leaf}_proj": (2048, 2048) for leaf in "qkvo"}
    for expert in range(60):
        linear |= {f"mlp.experts.{expert}.{leaf}_proj": (1408, 2048) for leaf in ("gate", "up")}
        linear[f"mlp.experts.{expert}.down_proj"] = (2048, 1408)
    return _decoder(layout, linear, layers=24, hidden=2048, vocab=151936, router=60)


def _decoder(
    layout: Layout, linear: Mapping[str, tuple[int, int]], *, layers: int, hidden: int, vocab: int, router: int = 0
) -> dict[str, tuple[str, tuple[int, ...]]]:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": ("BF16", (vocab, hidden))}
    for at in range(layers):
        layer = f"model.layers.{at}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}.{norm}.weight"] = ("BF16", (hidden,))
        if router:
            tensors[f"{layer}.mlp.gate.weight"] = ("BF16", (router, hidden))
        for module, (out, inputs) in linear.items():
            tensors |= {f"{layer}.{module}.{suffix}": each for suffix, each in layout(out, inputs).items()}
    return tensors | {"model.norm.weight": ("BF16", (hidden,)), "lm_head.weight": ("BF16", (vocab, hidden))}


def write_giant(folder: Path, tensors: Shapes, *, quantization: Mapping[str, object] | None, **config: object) -> Path:
    """A folder with a config and one file as long as its header says, of which the disk holds the header alone."""
    folder.mkdir(parents=True)
    header, at = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + at)
    known = {"model_type": "llama", "torch_dtype": "bfloat16", "tie_word_embeddings": False, **config}
    if quantization is not None:
        known["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(known))
    return folder
