"""Quantizing a decoder in one forward pass, on a small Llama with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="packing needs torch")
transformers = pytest.importorskip("transformers", reason="calibration runs a transformers model")

from mixprec_runtime.packing.awq import awq_quantization_config, awq_tensors  # noqa: E402
from mixprec_runtime.packing.calibration import (  # noqa: E402
    calibration_text,
    quantize_in_forward,
    shared_input_groups,
)
from mixprec_runtime.packing.folder import read_json, write_checkpoint  # noqa: E402
from mixprec_runtime.packing.grids import CodedLinear, encode, fit_grid  # noqa: E402
from mixprec_runtime.reference.weights import float32_weights  # noqa: E402


def small_llama() -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config).to(torch.float32).eval()


def round_to_nearest(weight: torch.Tensor, _activations: torch.Tensor) -> CodedLinear:
    return encode(weight, fit_grid(weight, group_size=32, symmetric=False))


def test_every_linear_layer_is_quantized_and_left_dequantized_in_the_model() -> None:
    model, before = small_llama(), small_llama().state_dict()
    coded = quantize_in_forward(model, torch.arange(16).reshape(2, 8), round_to_nearest)
    assert len(coded) == 14
    for name, linear in coded.items():
        assert torch.equal(model.get_submodule(name).weight, linear.dequantized())
        assert torch.equal(linear.codes, round_to_nearest(before[f"{name}.weight"], torch.empty(0)).codes)
    assert torch.equal(model.model.embed_tokens.weight, before["model.embed_tokens.weight"])


def test_a_layer_sees_what_the_quantized_layers_before_it_give() -> None:
    seen: list[torch.Tensor] = []

    def zero(weight: torch.Tensor, activations: torch.Tensor) -> CodedLinear:
        seen.append(activations)
        return round_to_nearest(torch.zeros_like(weight), activations)

    quantize_in_forward(small_llama(), torch.arange(8).reshape(1, 8), zero)
    assert bool(seen[0].any())  # q, k and v of layer 0 see the embeddings
    assert not bool(seen[1].any())  # the output projection sees values that are zero by now


def test_modules_with_the_same_inputs_are_one_group() -> None:
    names = [f"model.layers.0.self_attn.{leaf}_proj" for leaf in "qkvo"]
    names += [f"model.layers.0.mlp.{leaf}_proj" for leaf in ("gate", "up", "down")]
    assert shared_input_groups(names) == [names[:3], names[3:4], names[4:6], names[6:]]


def test_a_written_checkpoint_reads_back_as_the_model_that_was_quantized(tmp_path: Path) -> None:
    model, base, out = small_llama(), tmp_path / "base", tmp_path / "out"
    model.save_pretrained(base)
    coded = quantize_in_forward(model, torch.arange(16).reshape(2, 8), round_to_nearest)
    quantization = awq_quantization_config(group_size=32)
    write_checkpoint(base, out, coded=coded, layout=awq_tensors, quantization=quantization, side_file="side.json")
    state = float32_weights(out)
    expected = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)
    assert read_json(out / "side.json") == read_json(out / "config.json")["quantization_config"]


def test_the_calibration_text_is_long_enough_and_the_same_every_time() -> None:
    assert len(calibration_text()) > 300_000
    assert calibration_text() == calibration_text()
