"""Tiny real checkpoints of one two-layer model in every layout that mixprec tells apart, written byte by byte."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.checkpoint import DTYPE_BITS
from mixprec_runtime.records.plan import Plan

HIDDEN, MIDDLE, VOCAB, LAYERS, HEADS, KV_HEADS, GROUP = 32, 64, 48, 2, 4, 2, 16
CONFIG: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": MIDDLE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
LINEAR = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (MIDDLE, HIDDEN),
    "mlp.up_proj": (MIDDLE, HIDDEN),
    "mlp.down_proj": (HIDDEN, MIDDLE),
}
"""Linear modules of a layer as ``(out, in)``."""


@dataclass(frozen=True)
class Tensor:
    """Type, shape and bytes; without bytes a pattern that differs from zero everywhere."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | None = None

    @property
    def content(self) -> bytes:
        size = prod(self.shape) * DTYPE_BITS[self.dtype] // 8
        return bytes(1 + at % 100 for at in range(size)) if self.data is None else self.data


Tensors = dict[str, Tensor]
Layout = Callable[[int, int], Tensors]


def encode(tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at, data = 0, []
    for name, tensor in tensors.items():
        content = tensor.content
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(content)],
        }
        at += len(content)
        data.append(content)
    return raw_file(header, b"".join(data))


def raw_file(header: object, data: bytes = b"") -> bytes:
    """A safetensors file around any header, however wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def plain(out: int, inputs: int) -> Tensors:
    return {"weight": Tensor("BF16", (out, inputs))}


def gptq(out: int, inputs: int) -> Tensors:
    """AutoGPTQ with four bits, without a bias."""
    groups = inputs // GROUP
    order = struct.pack(f"<{inputs}i", *(at // GROUP for at in range(inputs)))
    return {
        "qweight": Tensor("I32", (inputs // 8, out)),
        "qzeros": Tensor("I32", (groups, out // 8)),
        "scales": Tensor("F16", (groups, out)),
        "g_idx": Tensor("I32", (inputs,), order),
    }


def gptq_with_bias(out: int, inputs: int) -> Tensors:
    """AutoGPTQ as it writes modules: with a bias of zeros."""
    return {**gptq(out, inputs), "bias": Tensor("F16", (out,), bytes(2 * out))}


def awq(out: int, inputs: int) -> Tensors:
    groups = inputs // GROUP
    return {
        "qweight": Tensor("I32", (inputs, out // 8)),
        "qzeros": Tensor("I32", (groups, out // 8)),
        "scales": Tensor("F16", (groups, out)),
    }


def int8(out: int, inputs: int) -> Tensors:
    return {"weight": Tensor("I8", (out, inputs)), "weight_scale": Tensor("BF16", (out, 1))}


def fp8(out: int, inputs: int) -> Tensors:
    return {"weight": Tensor("F8_E4M3", (out, inputs)), "weight_scale": Tensor("BF16", (out, 1))}


def packed(out: int, inputs: int) -> Tensors:
    """compressed-tensors pack-quantized with four bits."""
    return {
        "weight_packed": Tensor("I32", (out, inputs // 8)),
        "weight_scale": Tensor("BF16", (out, inputs // GROUP)),
        "weight_shape": Tensor("I64", (2,), struct.pack("<2q", out, inputs)),
    }


def compressed_tensors(fmt: str, bits: int) -> dict[str, object]:
    weights = {"num_bits": bits, "symmetric": True}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": fmt, "config_groups": groups, "ignore": ["lm_head"]}


LAYOUTS: dict[str, tuple[Layout, dict[str, object] | None]] = {
    "base": (plain, None),
    "gptq": (gptq_with_bias, {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False}),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True}),
    "int8": (int8, compressed_tensors("int-quantized", 8)),
    "fp8": (fp8, compressed_tensors("float-quantized", 8)),
    "packed": (packed, compressed_tensors("pack-quantized", 4)),
}


def model_tensors(layout: Layout = plain, *, head: bool = True) -> Tensors:
    """Every tensor of the model; ``head`` is left out where a tool saves tied embeddings once."""
    tensors = {"model.embed_tokens.weight": Tensor("BF16", (VOCAB, HIDDEN))}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        tensors[f"{at}.input_layernorm.weight"] = Tensor("BF16", (HIDDEN,))
        tensors[f"{at}.post_attention_layernorm.weight"] = Tensor("BF16", (HIDDEN,))
        for module, (out, inputs) in LINEAR.items():
            for suffix, tensor in layout(out, inputs).items():
                tensors[f"{at}.{module}.{suffix}"] = tensor
    tensors["model.norm.weight"] = Tensor("BF16", (HIDDEN,))
    if head:
        tensors["lm_head.weight"] = Tensor("BF16", (VOCAB, HIDDEN))
    return tensors


def write_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor] | None = None,
    *,
    quantization: Mapping[str, object] | None = None,
    **config: object,
) -> Path:
    """A checkpoint folder with config, tokenizer and one safetensors file; ``config`` changes keys of CONFIG."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**CONFIG, **config}
    if quantization is not None:
        settings["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "model.safetensors").write_bytes(encode(model_tensors() if tensors is None else tensors))
    return folder


class Workshop:
    """A folder with a mix file and the checkpoints it speaks of."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def checkpoint(self, name: str, tensors: Mapping[str, Tensor] | None = None, **config: object) -> Path:
        """One of LAYOUTS under its name, with other tensors or config keys where given."""
        layout, quantization = LAYOUTS[name]
        made = model_tensors(layout) if tensors is None else tensors
        return write_checkpoint(self.root / name, made, quantization=quantization, **config)

    def checkpoints(self, *names: str) -> None:
        for name in names or LAYOUTS:
            self.checkpoint(name)

    def mix(self, text: str, *, name: str = "mix.yaml") -> Path:
        file = self.root / name
        file.write_text(text, encoding="utf-8")
        return file

    def plan(self, text: str, *, ranks: int = 1) -> Plan:
        return make_plan(read_mix(self.mix(text)), tensor_parallel_size=ranks)


def index_of(folder: Path, files: Mapping[str, Mapping[str, Tensor]]) -> Path:
    """Shards and their index in place of the one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").unlink(missing_ok=True)
    for name, tensors in files.items():
        (folder / name).write_bytes(encode(tensors))
    weight_map = {tensor: name for name, tensors in files.items() for tensor in tensors}
    return write_index(folder, weight_map)


def write_index(folder: Path, weight_map: object) -> Path:
    file = folder / "model.safetensors.index.json"
    file.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return file
