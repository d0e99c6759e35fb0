"""Run folders load through transformers itself: the right numbers, compressed weights kept, and nothing unaccounted."""

from __future__ import annotations

import copy
import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the embedded engine is torch and transformers")
pytest.importorskip("transformers", reason="the embedded engine is torch and transformers")

from transformers import AutoModelForCausalLM  # noqa: E402

import mixprec_runtime.torch  # noqa: E402
from mixprec_doctor.records.format import Format, FormatKind  # noqa: E402
from mixprec_runtime.adapters.bookkeeping import StrictLoadingError  # noqa: E402
from mixprec_runtime.adapters.torch.linear import CompressedLinear, MovedLayer  # noqa: E402
from mixprec_runtime.adapters.torch.quantizer import (  # noqa: E402
    MixprecQuantizationConfig,
    MixprecQuantizer,
    SeveralDevices,
)
from mixprec_runtime.kernels import compiled  # noqa: E402
from mixprec_runtime.loading.state import read_accounts  # noqa: E402
from mixprec_runtime.verifying.standard import STANDARD_FORMATS  # noqa: E402
from tests.runtime.adapters.torch.mixtures import FORMATS, TOKENS, Made, distance, write_mixture  # noqa: E402

FAMILIES = {
    "llama, tied": {"tie_word_embeddings": True},
    "qwen2, with biases": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]},
    "qwen3, with norms of queries and keys": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]},
    "mistral": {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": None},
    "gemma 2": {
        "model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True,
    },
    "gemma 3": {
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True,
    },
    "phi 3, with fused layers in the checkpoint": {
        "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "pad_token_id": 0,
    },
}  # fmt: skip

EXPERTS = {
    "mixtral": {
        "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4,
        "num_experts_per_tok": 2, "sliding_window": None,
    },
    "qwen 3": {
        "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 128, "norm_topk_prob": True,
    },
    "qwen 2, with a shared expert": {
        "model_type": "qwen2_moe", "architectures": ["Qwen2MoeForCausalLM"], "num_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 128, "shared_expert_intermediate_size": 128,
    },
}  # fmt: skip


def logits(folder: Path, dtype: str) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    with torch.no_grad():
        return model(TOKENS).logits


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_mixture(tmp_path_factory.mktemp("mixture"))


@pytest.mark.parametrize("form", STANDARD_FORMATS[1:], ids=lambda form: f"{form.name} {form.details}")
def test_each_format_gives_the_logits_of_its_float32_weights(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_mixture(tmp_path, {"source": form})
    wanted = made.reference()
    assert distance(logits(made.run_folder(), "float32"), wanted) < 1e-4
    monkeypatch.setattr(compiled, "products", lambda: None)  # as where there is no C compiler
    assert distance(logits(made.run_folder(), "float32"), wanted) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_gives_the_logits_of_its_float32_weights(family: str, tmp_path: Path) -> None:
    made = write_mixture(tmp_path, {"int8": FORMATS["int8"]}, **FAMILIES[family])
    assert distance(logits(made.run_folder(), "float32"), made.reference()) < 1e-4


@pytest.mark.parametrize("source", ["gptq", "awq", "fp8"])
@pytest.mark.parametrize("family", EXPERTS)
def test_experts_stay_compressed_and_give_the_logits_of_their_float32_weights(
    family: str, source: str, tmp_path: Path
) -> None:
    made = write_mixture(tmp_path, {source: FORMATS[source]}, **EXPERTS[family])
    assert distance(logits(made.run_folder(), "float32"), made.reference()) < 1e-4
    loaded = mixprec_runtime.torch.load(made.run_folder())
    assert 0.9 < loaded.account.held_bytes / made.plan.totals.bytes < 1.03  # less: an order of groups that says nothing
    assert isinstance(loaded.model.model.layers[1].mlp.experts.down[3], CompressedLinear)


@pytest.mark.parametrize("family", EXPERTS)
def test_plain_experts_beside_compressed_attention_are_stacked_as_transformers_does(
    family: str, tmp_path: Path
) -> None:
    rules = r"[{targets: ['re:.*self_attn.*_proj$'], source: int8}]"
    made = write_mixture(tmp_path, FORMATS, rules=rules, **EXPERTS[family])
    assert distance(logits(made.run_folder(), "float32"), made.reference()) < 1e-4


def test_a_mixture_gives_the_logits_of_its_float32_weights(mixture: Made) -> None:
    wanted = mixture.reference()
    assert distance(logits(mixture.run_folder(), "float32"), wanted) < 1e-4
    assert distance(logits(mixture.run_folder(), "bfloat16"), wanted) < 0.06


def test_weights_stay_compressed_and_the_account_tells_of_each_layer(mixture: Made) -> None:
    loaded = mixprec_runtime.torch.load(mixture.run_folder())
    layers = {layer.layer: layer for layer in loaded.account.layers}
    gate = loaded.model.model.layers[0].mlp.gate_proj
    assert isinstance(gate, CompressedLinear)
    assert (gate.kernel, gate.format.kind) in {
        ("compiled int4", FormatKind.GPTQ), ("portable int4", FormatKind.GPTQ),
    }  # fmt: skip
    assert layers["model.layers.0.mlp.gate_proj"].source == "gptq"
    assert layers["model.layers.0.mlp.gate_proj"].held_bytes < 128 * 256 * 0.65
    assert layers["model.layers.1.mlp.gate_proj"].method in {"compiled bytes", "portable int8"}
    assert layers["model.layers.2.self_attn.q_proj"].method == "Linear"
    assert loaded.account.faults == ()
    assert sum(read.bytes for read in loaded.account.sources.values()) == mixture.plan.totals.bytes
    assert read_accounts(loaded.folder) == (loaded.account,)


def test_every_parameter_is_in_memory_and_none_was_drawn_by_chance(mixture: Made) -> None:
    first, second = (mixprec_runtime.torch.load(mixture.run_folder()).model for _ in range(2))
    states = first.state_dict(), second.state_dict()
    assert not any(tensor.is_meta for tensor in states[0].values())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_a_tied_head_is_the_embedding(tmp_path: Path) -> None:
    made = write_mixture(tmp_path, {"int8": FORMATS["int8"]}, tie_word_embeddings=True)
    model = mixprec_runtime.torch.load(made.run_folder()).model
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_a_tensor_that_a_checkpoint_has_no_more_is_refused_by_name(tmp_path: Path) -> None:
    made = write_mixture(tmp_path, {"int8": FORMATS["int8"]})
    folder = made.run_folder()
    run = json.loads((folder / "mixprec-run.json").read_text())
    lost = next(tensor for tensor in run["tensors"] if tensor["name"].endswith("1.mlp.up_proj.weight_scale"))
    run["tensors"].remove(lost)
    (folder / "mixprec-run.json").write_text(json.dumps(run))
    with pytest.raises(Exception, match=r"1\.mlp\.up_proj"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_a_tensor_that_the_model_has_no_place_for_is_refused_by_name(tmp_path: Path) -> None:
    made = write_mixture(tmp_path, {"int8": FORMATS["int8"]})
    folder = made.run_folder()
    run = json.loads((folder / "mixprec-run.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    norm = next(tensor for tensor in run["tensors"] if tensor["name"] == "model.norm.weight")
    run["tensors"].append({**norm, "name": "model.layers.0.input_layernorm.weight"})
    (folder / "mixprec-run.json").write_text(json.dumps(run))
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(StrictLoadingError, match="input_layernorm"):
        AutoModelForCausalLM.from_pretrained(folder)
    assert read_accounts(folder)[0].faults


def test_without_the_import_nothing_is_loaded_rather_than_numbers_drawn_by_chance(mixture: Made) -> None:
    code = f"from transformers import AutoModelForCausalLM as A; A.from_pretrained({str(mixture.run_folder())!r})"
    child = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300)
    assert child.returncode == 1
    assert "no file named model.safetensors" in child.stderr


def test_a_model_on_several_devices_is_refused() -> None:
    quantizer = MixprecQuantizer(MixprecQuantizationConfig())
    with pytest.raises(SeveralDevices, match="one device"):
        quantizer.update_device_map({"model": "cpu", "lm_head": "cuda:0"})


def test_a_copy_of_a_model_is_one_and_outlives_it(mixture: Made) -> None:
    model = mixprec_runtime.torch.load(mixture.run_folder()).model
    with torch.no_grad():
        wanted = model(TOKENS).logits
        copied = copy.deepcopy(model)
        del model
        gc.collect()
        assert torch.equal(copied(TOKENS).logits, wanted)


@pytest.mark.parametrize("wanted", [torch.float32, "meta"])
def test_weights_that_are_laid_out_for_a_kernel_are_not_moved_under_it(mixture: Made, wanted: object) -> None:
    model = mixprec_runtime.torch.load(mixture.run_folder()).model
    with pytest.raises(MovedLayer, match="load the mixture anew"):
        model.model.layers[0].mlp.gate_proj.to(wanted)
