"""Small generated models, mixtures of experts and one that sees, and what a mixture of their checkpoints means in float32.

Used by the tests of experts and by ``tests/gpu/moe.py``; plain functions, nothing is downloaded.
"""

from __future__ import annotations

__all__ = [
    "CONFIGS",
    "EXPERTS",
    "FORMATS",
    "MIXTURES",
    "MODELS",
    "MOVED",
    "log_probabilities",
    "reference",
    "write_checkpoints",
    "write_mix",
]

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.packing.generated_experts import experts_of, saved_name
from mixprec_runtime.packing.generated_model import write_generated_model
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.plan import LayerPlan
from mixprec_runtime.reference.dequantize import dequantize

EXPERTS = r"re:.*\.experts\..*"
COMMON = {
    "vocab_size": 512, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_experts_per_tok": 2, "max_position_embeddings": 512, "tie_word_embeddings": False,
}  # fmt: skip
CONFIGS: Mapping[str, Mapping[str, object]] = {
    "mixtral": {
        **COMMON, "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4,
        "sliding_window": None,
    },
    "qwen2_moe": {
        **COMMON, "model_type": "qwen2_moe", "architectures": ["Qwen2MoeForCausalLM"], "num_experts": 4,
        "moe_intermediate_size": 128, "shared_expert_intermediate_size": 128, "norm_topk_prob": False,
        "decoder_sparse_step": 1,
    },
    "qwen3_moe": {
        **COMMON, "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 8,
        "moe_intermediate_size": 128, "head_dim": 32, "norm_topk_prob": True, "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    },
}  # fmt: skip
SEEING: Mapping[str, object] = {
    "model_type": "paligemma", "architectures": ["PaliGemmaForConditionalGeneration"], "image_token_index": 3,
    "tie_word_embeddings": True, "hidden_size": 128, "projection_dim": 128,
    "text_config": {
        "model_type": "gemma", "vocab_size": 512, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 512,
        "tie_word_embeddings": True, "hidden_activation": "gelu_pytorch_tanh", "num_image_tokens": 4,
    },
    "vision_config": {
        "model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "projection_dim": 128,
        "num_image_tokens": 4, "vision_use_head": False,
    },
}  # fmt: skip
MODELS: Mapping[str, Mapping[str, object]] = {**CONFIGS, "paligemma": SEEING}
MOVED = {"paligemma": r"re:.*language_model\.layers\..*_proj$"}
"""What a mixture takes from its second source, where it is not the experts."""
_FP8: dict[str, Any] = {"kind": FormatKind.FP8, "bits": 8, "dtype": "F8_E4M3"}
FORMATS: Mapping[str, Format | None] = {
    "bf16": None,
    "gptq": Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True),
    "gptq_order": Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True, act_order=True),
    "awq": Format(kind=FormatKind.AWQ, bits=4, group=64, symmetric=False),
    "w4a16": Format(kind=FormatKind.PACKED, bits=4, group=64, symmetric=True),
    "int8": Format(
        kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", symmetric=True, activation=Activation.DYNAMIC
    ),
    "fp8": Format(**_FP8, scale="tensor", activation=Activation.DYNAMIC),
    "fp8_static": Format(**_FP8, scale="tensor", activation=Activation.STATIC),
    "fp8_channel": Format(**_FP8, scale="channel", activation=Activation.DYNAMIC),
    "fp8_block": Format(**_FP8, scale="block", block=(128, 128), activation=Activation.DYNAMIC),
}
MIXTURES: tuple[tuple[str, str], ...] = (
    ("bf16", "bf16"), ("fp8", "gptq"), ("int8", "w4a16"), ("fp8_channel", "awq"), ("gptq", "fp8_block"),
    ("w4a16", "fp8"), ("gptq", "fp8_static"), ("bf16", "int8"), ("bf16", "fp8_channel"),
)  # fmt: skip
"""Formats of all other linear layers, and of the experts."""


def write_checkpoints(
    root: Path, model: str, names: Iterable[str], *, device: str = "cpu", **sizes: object
) -> dict[str, Path]:
    """Folders of one model in these formats; ``sizes`` replace keys of its config."""
    config = {**MODELS[model], **sizes}
    folders = {name: root / model / name for name in dict.fromkeys(names)}
    for name, folder in folders.items():
        if not (folder / "config.json").is_file():
            write_generated_model(config, folder, format=FORMATS[name], device=device)
    return folders


def write_mix(
    file: Path, folders: Mapping[str, Path], *, rest: str, experts: str, moved: str = EXPERTS, **serve: object
) -> Path:
    """A mix file: the experts (or what is ``moved``) from one checkpoint, all other linear layers from another."""
    sources = {name: folders[name] for name in dict.fromkeys((rest, experts))}
    lines = [
        f"model: {folders['bf16']}",
        "sources:",
        *(f"  {name}: {{path: {path}}}" for name, path in sources.items()),
    ]
    lines += [f"default: {rest}", "rules:", f"  - {{targets: ['{moved}'], source: {experts}}}"]
    file.write_text("\n".join([*lines, f"serve: {json.dumps(serve)}", ""]), encoding="utf-8")
    return file


def reference(mix: Path, *, device: str = "cpu") -> Any:
    """The mixture in float32: transformers' own model, every module dequantized from where the plan takes it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    plan = make_plan(read_mix(mix))
    assert plan.valid, plan.findings
    raw = json.loads((plan.sources["model"].path / "config.json").read_text(encoding="utf-8"))
    raw |= {"dtype": "float32", "torch_dtype": "float32"}
    parts = raw.get("text_config", raw)  # what reads alone, where there is more
    more = {"experts_implementation": "eager"} if parts is raw else {}
    kind, inside = str(parts["model_type"]), "" if parts is raw else "model.language_model."
    with torch.device(device):  # numbers are drawn there, and a GPU draws a billion at once
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**parts), attn_implementation="eager", **more)
    planned = {layer.layer: layer for layer in plan.layers}
    state: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        experts = [planned[expert] for expert, _ in experts_of(name, module, kind) if expert in planned]
        if experts:
            weights = [_weights(layer, device)["weight"] for layer in experts]
            both = [torch.cat(weights[at : at + 2]) for at in range(0, len(weights), 3)]
            state[f"{name}.gate_up_proj"], state[f"{name}.down_proj"] = torch.stack(both), torch.stack(weights[2::3])
        saved = saved_name(f"{inside}{name.removeprefix('model.')}" if inside else name, kind)
        if not experts and saved in planned:
            state |= {f"{name}.{suffix}": tensor for suffix, tensor in _weights(planned[saved], device).items()}
    if parts.get("tie_word_embeddings"):
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.to(torch.float32).load_state_dict(state, strict=True)
    return model.to(device).eval()


def _weights(layer: LayerPlan, device: str) -> dict[str, torch.Tensor]:
    parts: dict[str, torch.Tensor] = {}
    for tensor in layer.tensors:
        with safe_open(tensor.file, framework="pt", device=device) as stream:
            parts[tensor.name.rpartition(".")[2]] = stream.get_tensor(tensor.name)
    if layer.format.kind is FormatKind.PLAIN:
        return {suffix: tensor.to(torch.float32) for suffix, tensor in parts.items()}
    bias = parts.pop("bias", None)
    own = {} if bias is None else {"bias": bias.to(torch.float32)}
    with torch.device(device):  # tables are made there, too
        return {"weight": dequantize(layer.format, parts), **own}


def log_probabilities(model: Any, ids: list[int]) -> torch.Tensor:
    """The model's log-probability of each token but the first."""
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = model(torch.tensor([ids], device=device)).logits[0, :-1].float().log_softmax(-1).cpu()
    return logits.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
