"""Generated mixtures for the embedded engine: a base model, sources in given formats, and what they mean in float32."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.packing.generated_model import write_generated_model
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.reference.weights import float32_mixture, float32_model
from mixprec_runtime.runfolder import write_run_folder

CONFIG: dict[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 96, "hidden_size": 128,
    "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 32, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FORMATS: Mapping[str, Format] = {
    "gptq": Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True),
    "awq": Format(kind=FormatKind.AWQ, bits=4, group=64),
    "int8": Format(kind=FormatKind.INT8, bits=8, scale="channel", symmetric=True, activation=Activation.DYNAMIC),
    "fp8": Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.DYNAMIC),
}
ONE_OF_EACH = r"""
  - {targets: ['re:model\.layers\.0\.self_attn\.[qkv]_proj$'], source: awq}
  - {targets: ['re:model\.layers\.0\..*_proj$'], source: gptq}
  - {targets: ['re:model\.layers\.1\..*_proj$'], source: int8}
  - {targets: ['re:model\.layers\.2\.self_attn\..*_proj$'], source: model}
  - {targets: ['re:model\.layers\.2\..*_proj$'], source: fp8}
"""
TOKENS = torch.tensor([[5, 9, 33, 71, 12, 64, 8, 90, 41, 17]])


@dataclass(frozen=True)
class Made:
    """A mixture on disk."""

    file: Path
    plan: Plan

    def run_folder(self) -> Path:
        return write_run_folder(self.plan, root=self.file.parent / "runs")

    def reference(self, tokens: torch.Tensor = TOKENS) -> torch.Tensor:
        """The logits of the mixture in float32, computed from its checkpoints without any of the engine's code."""
        base = self.file.parent / "base"
        sources = {layer.layer: self.plan.sources[layer.source].path for layer in self.plan.layers}
        state = float32_mixture(base, {name: path for name, path in sources.items() if path != base})
        with torch.no_grad():
            model = _with_experts(base, state) if any(".experts." in name for name in state) else None
            return (model or float32_model(base, state))(tokens).logits


def _with_experts(base: Path, state: Mapping[str, torch.Tensor]) -> Any:
    """transformers stacks experts as it reads them from files."""
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as scratch:
        save_file(
            {name: tensor.contiguous() for name, tensor in state.items()}, f"{scratch}/model.safetensors",
            metadata={"format": "pt"},
        )  # fmt: skip
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        (Path(scratch) / "config.json").write_text(json.dumps({**config, "dtype": "float32"}), encoding="utf-8")
        return AutoModelForCausalLM.from_pretrained(scratch, dtype=torch.float32)


def write_mixture(
    folder: Path, formats: Mapping[str, Format] = FORMATS, *, rules: str = ONE_OF_EACH, **config: Any
) -> Made:
    """Checkpoints of one model in each format, and a mix file with these rules (all linear layers, if one format)."""
    write_generated_model({**CONFIG, **config}, folder / "base")
    for name, form in formats.items():
        write_generated_model({**CONFIG, **config}, folder / name, format=form)
    if len(formats) == 1:
        rules = rf"[{{targets: ['re:.*layers\..*(_proj|\.w[123])$'], source: {next(iter(formats))}}}]"
    sources = ", ".join(f"{name}: {{path: {name}}}" for name in formats)
    file = folder / "mixture.yaml"
    file.write_text(f"model: base\nsources: {{{sources}}}\nrules: {rules}\nignore: [lm_head]\n", encoding="utf-8")
    plan = make_plan(read_mix(file), tensor_parallel_size=1)
    assert plan.valid, [finding.summary for finding in plan.findings]
    return Made(file, plan)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """How far logits are from others, in parts of their spread."""
    return float((found.to(torch.float32) - wanted).norm() / wanted.norm())
