"""Run by an engine's interpreter: the log-probability of each token of some texts, from vLLM in this process.

Usage: engine_answers.py ARGUMENTS.json ANSWER.json, where ARGUMENTS is ``{"engine": {LLM's arguments}, "texts": [[token,
...], ...]}`` and ANSWER becomes one list of log-probabilities per text. Stands alone: it imports nothing of mixprec.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(arguments: str, answer: str) -> None:
    from vllm import LLM, SamplingParams

    asked = json.loads(Path(arguments).read_text())
    engine = LLM(**asked["engine"])
    sampling = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    prompts = [{"prompt_token_ids": tokens} for tokens in asked["texts"]]
    found = [
        [choices[token].logprob for token, choices in list(zip(text, output.prompt_logprobs, strict=True))[1:]]
        for text, output in zip(asked["texts"], engine.generate(prompts, sampling), strict=True)
    ]
    Path(answer).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
