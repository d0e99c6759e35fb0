"""Mixtures of experts on whatever device vLLM finds: made, served with ``LLM``, compared with float32; one JSON line each.

    python -m tests.gpu.moe [--model mixtral] [--mixture fp8+gptq] [--size large] [--graphs]

No network and no pytest. Each mixture is served in a process of its own, so that one that fails leaves the others be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from mixprec_runtime.loading.state import read_accounts, state_folder
from mixprec_runtime.planning.language import language_config
from tests.gpu.expert_models import (
    CONFIGS,
    EXPERTS,
    MIXTURES,
    MODELS,
    MOVED,
    log_probabilities,
    reference,
    write_checkpoints,
    write_mix,
)

LARGE = {
    "hidden_size": 1024, "intermediate_size": 2048, "moe_intermediate_size": 1024,
    "shared_expert_intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 16,
    "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 4096,
}  # fmt: skip
TOKENS = 200


def compare(root: Path, model: str, rest: str, experts: str, *, size: str, graphs: bool) -> dict[str, object]:
    """Serve one mixture and hold its log-probabilities against the float32 reference's, and those of another model."""
    from vllm import LLM, SamplingParams

    from mixprec_runtime.vllm import prepare

    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = {key: value for key, value in LARGE.items() if key in MODELS[model]} if size == "large" else {}
    folders = write_checkpoints(root / size, model, ["bf16", rest, experts], device=device, **sizes)
    mix = write_mix(
        root / f"{model}-{size}-{rest}-{experts}.yaml", folders, rest=rest, experts=experts, moved=MOVED.get(model, EXPERTS), max_model_len=512,
        dtype="bfloat16", enforce_eager=not graphs,
    )  # fmt: skip
    blind = {"limit_mm_per_prompt": {"image": 0}} if "vision_config" in MODELS[model] else {}
    arguments = prepare(mix, **blind)
    llm = LLM(**arguments, **({"gpu_memory_utilization": 0.3} if device == "cuda" else {}))
    vocabulary = int(str(language_config({**MODELS[model], **sizes})["vocab_size"]))
    drawn = torch.randint(4, vocabulary, (TOKENS,), generator=torch.Generator().manual_seed(7))
    ids = drawn.tolist()
    asked = SamplingParams(max_tokens=8, temperature=0, prompt_logprobs=0)
    (answer,) = llm.generate([{"prompt_token_ids": ids}], asked)
    found = torch.tensor(
        [entry[token].logprob for entry, token in zip(answer.prompt_logprobs[1:], ids[1:], strict=True)]
    )
    right_model = reference(mix, device=device)
    right = log_probabilities(right_model, ids)
    plain = write_mix(
        root / f"{model}-{size}-plain.yaml", folders, rest="bf16", experts="bf16", moved=MOVED.get(model, EXPERTS)
    )
    other = log_probabilities(reference(plain, device=device), ids)
    half = log_probabilities(right_model.to(torch.bfloat16), ids)
    (account,) = read_accounts(state_folder(Path(arguments["model"])))
    methods = sorted({each.method for each in account.layers if ".experts" in each.layer})
    return {
        "model": model,
        "rest": rest,
        "experts": experts,
        "size": size,
        "graphs": graphs,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "mean_difference": round(float((found - right).abs().mean()), 4),
        "bf16_alone": round(float((half - right).abs().mean()), 4),
        "unquantized": round(float((found - other).abs().mean()), 4),
        "spread": round(float(right.std()), 3),
        "experts_served_by": methods,
        "refused": sorted({each.fault[:300] for each in account.refused}),
        "faults": [f"{fault.name}: {fault.text}" for fault in account.faults],
        "text": list(answer.outputs[0].token_ids),
    }


def main() -> int:
    """Compare the mixtures that were asked for; 1 where one of them could not be served."""
    parser = argparse.ArgumentParser(description="mixtures of experts against float32")
    parser.add_argument("--root", type=Path, default=Path(tempfile.gettempdir()) / "mixprec-experts")
    parser.add_argument("--model", choices=sorted(MODELS), action="append")
    parser.add_argument("--mixture", action="append", help="REST+EXPERTS, names of tests/gpu/expert_models.py")
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument("--graphs", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.root.mkdir(parents=True, exist_ok=True)
    mixtures = [tuple(each.split("+")) for each in asked.mixture] if asked.mixture else MIXTURES
    if asked.one:
        rest, experts = mixtures[0]
        found = compare(asked.root, asked.model[0], rest, experts, size=asked.size, graphs=asked.graphs)
        print(json.dumps(found), flush=True)
        return 0
    codes = [_apart(asked, model, rest, experts) for model in asked.model or CONFIGS for rest, experts in mixtures]
    return max(codes)


def _apart(asked: Any, model: str, rest: str, experts: str) -> int:
    words = [sys.executable, "-m", "tests.gpu.moe", "--one", "--root", str(asked.root), "--model", model]
    words += ["--mixture", f"{rest}+{experts}", "--size", asked.size, *(["--graphs"] if asked.graphs else [])]
    log = asked.root / f"{model}-{asked.size}-{rest}-{experts}.log"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=stream, text=True, check=False, env=environment)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(done.stdout)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    failed = {"model": model, "rest": rest, "experts": experts, "failed": done.returncode, "log": str(log)}
    print(lines[-1] if lines else json.dumps(failed), flush=True)
    return 0 if lines and not json.loads(lines[-1])["faults"] else 1


if __name__ == "__main__":
    sys.exit(main())
