"""The mix file of the demo: five checkpoints in one model."""

from __future__ import annotations

__all__ = ["mix_text"]

from pathlib import Path

from mixprec_runtime.demo.checkpoints import DemoCheckpoints

TEMPLATE = """\
# One model from five checkpoints. `mixprec plan` shows what it comes to; `mixprec launch` serves it.
model: {base}
sources:
  gptq: {{path: {gptq}}}
  awq: {{path: {awq}}}
  int8: {{path: {int8}}}
  fp8: {{path: {fp8}}}
default: int8                      # attention, where no rule says otherwise
rules:                             # the first match wins
  - {{targets: ['re:model\\.layers\\.(0|29)\\.self_attn\\.[qkv]_proj$'], source: model}}
  - {{targets: ['re:model\\.layers\\.1[0-9]\\.self_attn\\.o_proj$'], source: fp8}}
  - {{targets: ['re:.*\\.mlp\\.(gate|up)_proj$'], source: gptq}}
  - {{targets: ['re:.*\\.mlp\\.down_proj$'], source: awq}}
ignore: [lm_head]
serve:
  port: {port}
  max_model_len: 1024
  dtype: bfloat16
  enforce_eager: true              # compiling the graph takes minutes on two cores
"""


def mix_text(checkpoints: DemoCheckpoints, *, port: int) -> str:
    """The file's text; paths are absolute."""
    paths: dict[str, Path] = {name: getattr(checkpoints, name) for name in ("base", "gptq", "awq", "int8", "fp8")}
    return TEMPLATE.format(port=port, **paths)
