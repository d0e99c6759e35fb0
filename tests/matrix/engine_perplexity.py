"""Run by an engine's interpreter: a checkpoint's log-probabilities from the unmodified vLLM, over windows of tokens.

Usage: engine_perplexity.py CHECKPOINT WINDOWS.json ANSWER.json, where WINDOWS is ``[[first, [token, ...]], ...]`` and
ANSWER becomes ``{"nats": ..., "tokens": ...}``. Stands alone: it imports nothing of mixprec.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(checkpoint: str, windows_path: str, answer_path: str) -> None:
    from vllm import LLM, SamplingParams

    windows = json.loads(Path(windows_path).read_text())
    engine = LLM(model=checkpoint, dtype="bfloat16", max_model_len=1024, enforce_eager=True)
    sampling = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    prompts = [{"prompt_token_ids": tokens} for _, tokens in windows]
    nats, scored = 0.0, 0
    for (first, tokens), output in zip(windows, engine.generate(prompts, sampling), strict=True):
        for token, choices in list(zip(tokens, output.prompt_logprobs, strict=True))[first:]:
            nats -= choices[token].logprob
            scored += 1
    Path(answer_path).write_text(json.dumps({"nats": nats, "tokens": scored}))


if __name__ == "__main__":
    main(*sys.argv[1:])
