"""Run in the engine's environment: are the engine's parameters, before its own repacking, the checkpoints' bytes?

    python check_bytes.py RUN_FOLDER ANSWER.json

Adds a load format whose loader is mixprec's, and which compares after loading, before the engine repacks. What
a parameter should hold is put together here from the checkpoint files and the meaning of the engine's fused layers
(q, k, v and gate, up side by side along the outputs), not from anything the loader noted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from vllm import LLM
from vllm.model_executor.model_loader import register_model_loader
from vllm.plugins import load_general_plugins

load_general_plugins()

from mixprec_runtime.adapters.vllm.loader import MixprecModelLoader  # noqa: E402

FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
ALONG_COLUMNS = {"qweight", "qzeros", "scales"}  # GPTQ and AWQ keep outputs in columns, everything else in rows


def expected(name: str, run: dict[str, dict[str, object]]) -> torch.Tensor:
    module, _, suffix = name.rpartition(".")
    parent, _, leaf = module.rpartition(".")
    parts = [read(run[f"{parent}.{part}.{suffix}"]) for part in FUSED.get(leaf, (leaf,))]
    return torch.cat(parts, dim=1 if suffix in ALONG_COLUMNS else 0)


def read(tensor: dict[str, object]) -> torch.Tensor:
    with safe_open(tensor["file"], framework="pt") as stream:
        data: torch.Tensor = stream.get_tensor(str(tensor["name"]))
    return data


def same_bytes(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.contiguous().view(torch.uint8), second.contiguous().view(torch.uint8))


@register_model_loader("mixprec-checked")
class CheckedLoader(MixprecModelLoader):
    def load_weights(self, model: torch.nn.Module, model_config: Any) -> None:
        super().load_weights(model, model_config)
        folder = Path(model_config.model)
        tensors = json.loads((folder / "mixprec-run.json").read_text(encoding="utf-8"))["tensors"]
        run = {tensor["name"]: tensor for tensor in tensors}
        answer: dict[str, list[str]] = {"same": [], "exact": [], "rounded": [], "differ": []}
        for name, parameter in model.named_parameters():
            wanted = expected(name, run)
            kept = wanted.to(parameter.dtype)
            rounded = not same_bytes(kept.to(wanted.dtype), wanted)
            kind = "rounded" if rounded else "same" if wanted.dtype == parameter.dtype else "exact"
            same = same_bytes(kept, parameter.data.reshape(wanted.shape))
            answer[kind if same else "differ"].append(name)
        Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    LLM(model=sys.argv[1], load_format="mixprec-checked", dtype="bfloat16", max_model_len=256, enforce_eager=True)
