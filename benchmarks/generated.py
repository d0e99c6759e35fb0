"""Checkpoints to measure with, where none is at hand: ``python -m benchmarks.generated ROOT [--size 1b]``.

One Llama of random weights in five formats, as their quantizers lay them out, and ``mix.yaml``, a mixture of all five.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.packing.generated_model import write_generated_model

SIZES: dict[str, dict[str, object]] = {
    # Llama 3.2 1B, with an output head of its own
    "1b": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 32000,
    },
    # six layers of it, for machines with little room: 0.4 G parameters
    "1b-6": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 6, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 8000,
    },
    "200m": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12, "num_attention_heads": 16,
        "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 8000,
    },
    "tiny": {
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 2048,
    },
}  # fmt: skip
COMMON: dict[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FORMATS: dict[str, Format | None] = {
    "bf16": None,
    "fp8": Format(
        kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", symmetric=True, activation=Activation.DYNAMIC
    ),
    "int8": Format(
        kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", symmetric=True, activation=Activation.DYNAMIC
    ),
    "gptq": Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True),
    "awq": Format(kind=FormatKind.AWQ, bits=4, group=128, symmetric=False),
}
MIX = """\
model: {root}/bf16
sources:
  fp8: {{path: {root}/fp8}}
  int8: {{path: {root}/int8}}
  gptq: {{path: {root}/gptq}}
  awq: {{path: {root}/awq}}
default: model
rules:
  - {{targets: ['re:model\\.layers\\.(0|{last})\\.'], source: model}}
  - {{targets: ['re:.*\\.self_attn\\.[qkv]_proj$'], source: int8}}
  - {{targets: ['re:.*\\.self_attn\\.o_proj$'], source: fp8}}
  - {{targets: ['re:.*\\.mlp\\.(gate|up)_proj$'], source: gptq}}
  - {{targets: ['re:.*\\.mlp\\.down_proj$'], source: awq}}
ignore: [lm_head]
serve: {{dtype: bfloat16, max_model_len: 2048, skip_tokenizer_init: true}}
"""


def main() -> int:
    """Write the folders and the mix file, and give 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--size", choices=tuple(SIZES), default="1b")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    config = {**COMMON, **SIZES[given.size]}
    for name, form in FORMATS.items():
        began = time.perf_counter()
        write_generated_model(config, given.root / name, format=form, device=given.device)
        sys.stderr.write(f"{name}: {time.perf_counter() - began:.1f} s\n")
    layers = config["num_hidden_layers"]
    assert isinstance(layers, int)  # noqa: S101
    text = MIX.format(root=given.root.resolve(), last=layers - 1)
    (given.root / "mix.yaml").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
