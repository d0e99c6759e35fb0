"""A mixture of generated checkpoints, small enough to load in a second, in five formats."""

from __future__ import annotations

from pathlib import Path

from mixprec_doctor.records.format import Activation, Format, FormatKind

CONFIG: dict[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 384, "hidden_size": 256,
    "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
FORMATS = {
    "base": None,
    "gptq": Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True),
    "awq": Format(kind=FormatKind.AWQ, bits=4, group=64),
    "int8": Format(kind=FormatKind.INT8, bits=8, scale="channel", symmetric=True, activation=Activation.DYNAMIC),
    "fp8": Format(kind=FormatKind.FP8, bits=8, scale="tensor", activation=Activation.STATIC),
}
MIX = r"""model: base
sources: {gptq: {path: gptq}, awq: {path: awq}, int8: {path: int8}, fp8: {path: fp8}}
default: fp8
rules:
  - {targets: ['re:model\.layers\.0\..*_proj$'], source: gptq}
  - {targets: ['re:model\.layers\.1\..*_proj$'], source: awq}
  - {targets: ['re:model\.layers\.2\..*_proj$'], source: int8}
  - {targets: ['re:model\.layers\.3\.self_attn\..*_proj$'], source: model}
ignore: [lm_head]
serve: {max_model_len: 512, dtype: bfloat16, enforce_eager: true, max_num_seqs: 4}
"""


def write_mixture(folder: Path, *, name: str = "mixture", **config: object) -> Path:
    """The five checkpoints and the mix file; ``config`` changes keys of CONFIG."""
    from mixprec_runtime.packing.generated_model import write_generated_model

    for source, form in FORMATS.items():
        write_generated_model({**CONFIG, **config}, folder / source, format=form)
    file = folder / f"{name}.yaml"
    file.write_text(MIX, encoding="utf-8")
    return file
