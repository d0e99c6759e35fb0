"""Run in vLLM's environment: what the original names do to its models, as JSON.

python original_names_in_process.py ROOT ANSWER.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from vllm.config import set_current_vllm_config
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.layers.linear import LinearBase
from vllm.model_executor.model_loader.utils import initialize_model

import mixprec_runtime as mixprec
from mixprec_runtime.adapters.vllm.scene import scene
from tests.matrix.original_names import answers, write_checkpoints


def make(folder: Path) -> torch.nn.Module:
    arguments = EngineArgs(
        model=str(folder), skip_tokenizer_init=True, dtype="bfloat16", max_model_len=64, enforce_eager=True
    )  # fmt: skip
    config = arguments.create_engine_config()
    with set_current_vllm_config(config):
        model: torch.nn.Module = initialize_model(vllm_config=config)
    return model


def main() -> None:
    root = Path(sys.argv[1])
    write_checkpoints(root)
    with scene("bfloat16"):
        found = {"bound": mixprec.bind(), **answers(make, LinearBase, root, portable=False)}
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
