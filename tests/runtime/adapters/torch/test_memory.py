"""Memory: what is resident is what was planned, and no weight is ever held in 16 bits beside its compressed one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the embedded engine is torch and transformers")
pytest.importorskip("transformers", reason="the embedded engine is torch and transformers")

from mixprec_doctor.records.format import Format, FormatKind
from tests.runtime.adapters.torch.mixtures import FORMATS, write_mixture

SIZES = {
    "hidden_size": 768, "intermediate_size": 2304, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 96,
    "num_hidden_layers": 6, "vocab_size": 4096, "tie_word_embeddings": True,
}  # fmt: skip
FORM = {"gptq": Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True), "int8": FORMATS["int8"]}
RULES = r"[{targets: ['re:.*mlp.*_proj$'], source: gptq}, {targets: ['re:.*self_attn.*_proj$'], source: int8}]"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_resident_memory_is_that_of_the_plan_and_nothing_is_widened_on_the_way(tmp_path: Path) -> None:
    made = write_mixture(tmp_path, FORM, rules=RULES, **SIZES)
    small = write_mixture(tmp_path / "small")
    planned, wide = made.plan.totals.bytes, made.plan.totals.bf16_bytes
    child = subprocess.run(
        [sys.executable, "-m", "tests.runtime.adapters.torch.peak", str(made.run_folder()), str(small.run_folder())],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    told = json.loads(child.stdout)
    assert told["held"] == pytest.approx(planned, rel=0.03)
    assert told["left"] < planned * 1.03 + (6 << 20)  # and the tokenizer, the modules, the account
    assert told["peak"] < planned + 2304 * 768 * 12  # one layer's codes, spread for packing
    assert told["peak"] < wide * 0.8
