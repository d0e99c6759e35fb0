"""The mixtures that are served on SGLang, and the formats of their checkpoints."""

from __future__ import annotations

__all__ = ["FORMATS", "MEASURED", "SERVED_ALONE", "TRAP", "write_mixes"]

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.generated import FORMATS as FIVE
from benchmarks.generated import MIX
from mixprec_doctor.records.format import Activation, Format, FormatKind

_FP8 = {"kind": FormatKind.FP8, "bits": 8, "dtype": "F8_E4M3", "activation": Activation.DYNAMIC}
FORMATS: Mapping[str, Format | None] = {
    **FIVE,
    "order": Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True, act_order=True),
    "tensor": Format(**_FP8, scale="tensor"),  # type: ignore[arg-type]
    "block": Format(**_FP8, scale="block", block=(128, 128)),  # type: ignore[arg-type]
}
WIDEST, MEASURED, TRAP = "wide", "five", "blocks"
SERVED_ALONE = (*FIVE, "block")
"""Checkpoints that the engine serves by itself, for comparison."""
_WIDE = """\
model: {root}/bf16
sources:
  fp8: {{path: {root}/fp8}}
  tensor: {{path: {root}/tensor}}
  int8: {{path: {root}/int8}}
  gptq: {{path: {root}/gptq}}
  order: {{path: {root}/order}}
  awq: {{path: {root}/awq}}
default: model
rules:
  - {{targets: ['re:model\\.layers\\.(0|{last})\\.'], source: model}}
  - {{targets: ['re:.*[02468]\\.self_attn\\.[qkv]_proj$'], source: order}}
  - {{targets: ['re:.*\\.self_attn\\.[qkv]_proj$'], source: int8}}
  - {{targets: ['re:.*[02468]\\.self_attn\\.o_proj$'], source: tensor}}
  - {{targets: ['re:.*\\.self_attn\\.o_proj$'], source: fp8}}
  - {{targets: ['re:.*\\.mlp\\.(gate|up)_proj$'], source: gptq}}
  - {{targets: ['re:.*\\.mlp\\.down_proj$'], source: awq}}
ignore: [lm_head]
"""
_ALONE = "model: {root}/bf16\nsources:\n  {name}: {{path: {root}/{name}}}\ndefault: {name}\nignore: [lm_head]\n"


def write_mixes(root: Path, *, layers: int, ranks: int, alone: bool = False) -> dict[str, Path]:
    """The mix files by name, the one with most formats first; ``alone``: instead, each checkpoint by itself."""
    if alone:
        texts = {name: _ALONE.format(root=root, name=name) for name in FORMATS if name != "bf16"}
        texts["bf16"] = f"model: {root}/bf16\n"
    else:
        texts = {
            WIDEST: _WIDE.format(root=root, last=layers - 1),
            MEASURED: MIX.format(root=root, last=layers - 1).rpartition("serve:")[0],
            TRAP: _ALONE.format(root=root, name="block"),
        }
    serve = json.dumps({"dtype": "bfloat16", "tensor_parallel_size": ranks})
    files = {}
    for name, text in texts.items():
        files[name] = root / f"{'alone-' if alone else ''}{name}.yaml"
        files[name].write_text(f"{text}serve: {serve}\n", encoding="utf-8")
    return files
