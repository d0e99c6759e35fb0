"""A generated checkpoint is one model in every format: the planner reads it as announced, and its weights agree."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="weights are drawn with torch")
pytest.importorskip("transformers", reason="the layers are those of transformers' model")

from mixprec_doctor.records.format import Format, FormatKind  # noqa: E402
from mixprec_runtime.checkpoint.folder import open_checkpoint  # noqa: E402
from mixprec_runtime.checkpoint.formats import ModuleWeights, read_module  # noqa: E402
from mixprec_runtime.packing.generated_model import write_generated_model  # noqa: E402
from mixprec_runtime.reference.weights import float32_weights  # noqa: E402
from mixprec_runtime.verifying.standard import STANDARD_FORMATS  # noqa: E402

LAYER = "model.layers.1.mlp.down_proj"
CONFIG: dict[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 64,
    "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize("form", STANDARD_FORMATS[1:], ids=lambda form: f"{form.name} {form.details}")
def test_every_linear_layer_is_read_in_the_format_it_was_written_in(form: Format, tmp_path: Path) -> None:
    opened = open_checkpoint(write_generated_model(CONFIG, tmp_path, format=form))
    found = read_module(opened.of_module(LAYER), opened.quantization, module=LAYER)
    assert isinstance(found, ModuleWeights)
    assert (found.format.kind, found.format.bits, found.shape) == (form.kind, form.bits, (128, 256))
    head = read_module(opened.of_module("lm_head"), opened.quantization, module="lm_head")
    assert isinstance(head, ModuleWeights)
    assert head.format.kind is FormatKind.PLAIN


def test_formats_of_one_seed_hold_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    form = next(form for form in STANDARD_FORMATS if form.kind is FormatKind.FP8 and form.scale == "channel")
    plain = float32_weights(write_generated_model(CONFIG, tmp_path / "plain"))
    rounded = float32_weights(write_generated_model(CONFIG, tmp_path / "fp8", format=form))
    other = float32_weights(write_generated_model(CONFIG, tmp_path / "other", seed=1))
    assert plain.keys() == rounded.keys()
    weight = plain[f"{LAYER}.weight"]
    assert (rounded[f"{LAYER}.weight"] - weight).norm() < 0.05 * weight.norm()
    assert torch.equal(plain["model.norm.weight"], rounded["model.norm.weight"])
    assert (other[f"{LAYER}.weight"] - weight).norm() > weight.norm()


def test_shards_hold_no_more_than_asked_by_one_module(tmp_path: Path) -> None:
    folder = write_generated_model(CONFIG, tmp_path, shard_bytes=100_000)
    sizes = [file.stat().st_size for file in folder.glob("*.safetensors")]
    assert len(sizes) > 4
    assert max(sizes) < 100_000 + 128 * 256 * 2 + 8192
    assert len(open_checkpoint(folder).tensors) == 2 * 9 + 3
