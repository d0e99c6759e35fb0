"""Checkpoints whose own config tells modules apart: each module is planned as its source holds it."""

from __future__ import annotations

import pytest

from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import (
    GROUP,
    HIDDEN,
    LAYERS,
    LAYOUTS,
    MIDDLE,
    VOCAB,
    Layout,
    Tensor,
    Tensors,
    Workshop,
    awq,
    fp8,
    gptq,
    model_tensors,
    packed,
    plain,
    write_checkpoint,
)

MIX = "model: base\nsources: {one: {path: one}}\ndefault: one\n"
GPTQ = LAYOUTS["gptq"][1] or {}
AWQ = LAYOUTS["awq"][1] or {}


def coarse(out: int, inputs: int) -> Tensors:
    """GPTQ with groups twice as long."""
    made = gptq(out, inputs)
    for name in ("qzeros", "scales"):
        made[name] = Tensor(made[name].dtype, (made[name].shape[0] // 2, made[name].shape[1]))
    return made


def whole(out: int, inputs: int) -> Tensors:
    """FP8 with one scale for the tensor."""
    return {"weight": Tensor("F8_E4M3", (out, inputs)), "weight_scale": Tensor("F32", ())}


def checkpoint(shop: Workshop, name: str, choose: dict[str, Layout], quantization: object) -> None:
    """Modules in the layout of the first part of a name that fits; in BF16 where none does."""
    tensors: Tensors = {}
    for full, tensor in model_tensors().items():
        module = full.removesuffix(".weight")
        layout = next((made for part, made in choose.items() if part in module), None)
        if layout is None or len(tensor.shape) != 2 or "embed" in module:
            tensors[full] = tensor
        else:
            out, inputs = tensor.shape
            tensors |= {f"{module}.{suffix}": each for suffix, each in layout(out, inputs).items()}
    write_checkpoint(shop.root / name, tensors, quantization=quantization)  # type: ignore[arg-type]


def formats(plan: Plan) -> dict[str, str]:
    return {layer.layer.removeprefix("model.layers."): layer.format.name for layer in plan.layers}


@pytest.fixture
def based(shop: Workshop) -> Workshop:
    shop.checkpoint("base")
    return shop


def test_config_groups_and_ignore_of_compressed_tensors(based: Workshop) -> None:
    group = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}
    words = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP, "symmetric": True}
    config = {
        "quant_method": "compressed-tensors",
        "format": "mixed-precision",
        "config_groups": {
            "group_0": {"targets": ["re:.*self_attn.*"], "weights": group, "format": "float-quantized"},
            "group_1": {"targets": ["Linear"], "weights": words, "format": "pack-quantized"},
        },
        "ignore": ["lm_head", "re:.*layers\\.1\\.mlp.*"],
    }
    checkpoint(based, "one", {"self_attn": fp8, ".0.mlp": packed}, config)
    plan = based.plan(MIX)
    assert plan.valid, plan.findings
    found = formats(plan)
    assert found["0.self_attn.q_proj"] == "fp8-channel" and found["0.mlp.up_proj"] == f"packed-int4-g{GROUP}"
    assert found["1.mlp.up_proj"] == found["lm_head"] == "bf16"
    assert {layer.source for layer in plan.layers if layer.layer.endswith(("_proj", "lm_head"))} == {"one"}


def test_overrides_of_gptq_by_pattern(based: Workshop) -> None:
    dynamic = {"-:model\\.layers\\.1\\..*": {}, "+:.*down_proj": {"group_size": 2 * GROUP}}
    checkpoint(based, "one", {".0.mlp.down": coarse, ".0.": gptq}, {**GPTQ, "dynamic": dynamic})
    plan = based.plan(MIX)
    assert plan.valid, plan.findings
    found = formats(plan)
    assert found["0.mlp.down_proj"] == f"gptq-int4-g{2 * GROUP}" and found["0.mlp.up_proj"] == f"gptq-int4-g{GROUP}"
    assert found["1.mlp.down_proj"] == "bf16"


@pytest.mark.parametrize("key, config, layout", [
    ("modules_to_not_convert", AWQ, awq),
    ("ignored_layers", {"quant_method": "fp8", "activation_scheme": "dynamic"}, whole),
    ("modules_to_not_convert", {"quant_method": "fp8", "activation_scheme": "dynamic"}, whole),
])  # fmt: skip
def test_modules_that_a_config_leaves_out(based: Workshop, key: str, config: dict[str, object], layout: Layout) -> None:
    named = [f"model.layers.{at}.self_attn.{part}_proj" for at in range(LAYERS) for part in "qkvo"]
    left = ["lm_head", *(["self_attn"] if config is AWQ else named)]
    checkpoint(based, "one", {".mlp.": layout}, {**config, key: left})
    plan = based.plan(MIX)
    assert plan.valid, plan.findings
    found = formats(plan)
    assert found["0.self_attn.o_proj"] == "bf16" and found["1.mlp.gate_proj"] != "bf16"


def test_several_sources_of_one_format_with_other_groups(based: Workshop) -> None:
    checkpoint(based, "one", {"layers": gptq}, GPTQ)
    checkpoint(based, "two", {"layers": coarse}, {**GPTQ, "group_size": 2 * GROUP})
    plan = based.plan(
        "model: base\nsources: {one: {path: one}, two: {path: two}}\ndefault: one\nignore: [lm_head]\n"
        "rules: [{targets: ['re:.*mlp.*'], source: two}]\n"
    )
    assert plan.valid, plan.findings
    assert formats(plan)["0.mlp.up_proj"].endswith(f"g{2 * GROUP}")
    assert formats(plan)["0.self_attn.o_proj"].endswith(f"g{GROUP}")


def test_a_quantized_output_head(based: Workshop) -> None:
    checkpoint(based, "one", {"layers": gptq, "lm_head": gptq}, {**GPTQ, "lm_head": True})
    plan = based.plan(MIX)
    assert plan.valid, plan.findings
    assert formats(plan)["lm_head"] == f"gptq-int4-g{GROUP}"


def test_modules_that_a_checkpoint_holds_fused_are_units_of_their_own(shop: Workshop) -> None:
    """Phi-3: qkv_proj and gate_up_proj."""
    sizes = {"self_attn.qkv_proj": (2 * HIDDEN, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
             "mlp.gate_up_proj": (2 * MIDDLE, HIDDEN), "mlp.down_proj": (HIDDEN, MIDDLE)}  # fmt: skip

    def tensors(layout: Layout) -> Tensors:
        made: Tensors = {"model.embed_tokens.weight": Tensor("BF16", (VOCAB, HIDDEN))}
        for at in range(LAYERS):
            for module, (out, inputs) in sizes.items():
                made |= {f"model.layers.{at}.{module}.{suffix}": t for suffix, t in layout(out, inputs).items()}
        return {**made, "lm_head.weight": Tensor("BF16", (VOCAB, HIDDEN))}

    write_checkpoint(shop.root / "base", tensors(plain), model_type="phi3")
    write_checkpoint(shop.root / "one", tensors(gptq), quantization=GPTQ, model_type="phi3")
    plan = shop.plan(
        "model: base\nsources: {one: {path: one}}\nrules: [{targets: ['re:.*(qkv|gate_up)_proj'], source: one}]\n"
    )
    assert plan.valid, plan.findings
    found = {layer.layer: (layer.source, layer.shape) for layer in plan.layers}
    assert found["model.layers.0.self_attn.qkv_proj"] == ("one", (2 * HIDDEN, HIDDEN))
    assert found["model.layers.0.self_attn.o_proj"] == ("model", (HIDDEN, HIDDEN))


def test_biases_of_q_k_and_v_come_with_their_projections(shop: Workshop) -> None:
    """Qwen2: AutoGPTQ and AutoAWQ write the model's own biases, and zeros elsewhere."""

    def biased(layout: Layout) -> Tensors:
        made = model_tensors(layout)
        for at in range(LAYERS):
            for part, out in (("q", HIDDEN), ("k", HIDDEN // 2), ("v", HIDDEN // 2)):
                made[f"model.layers.{at}.self_attn.{part}_proj.bias"] = Tensor("BF16", (out,))
            if layout is not plain:
                made[f"model.layers.{at}.mlp.up_proj.bias"] = Tensor("F16", (MIDDLE,), bytes(2 * MIDDLE))
        return made

    shop.checkpoint("base", biased(plain), model_type="qwen2")
    shop.checkpoint("gptq", biased(gptq), model_type="qwen2")
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\nignore: [lm_head]\n")
    assert plan.valid, plan.findings
    biases = [t for layer in plan.layers for t in layer.tensors if t.name.endswith(".bias")]
    assert len(biases) == 3 * LAYERS and {t.file.parent.name for t in biases} == {"gptq"}


def test_a_class_that_targets_do_not_know_is_told_the_classes(based: Workshop) -> None:
    checkpoint(based, "one", {"layers": gptq}, GPTQ)
    plan = based.plan("model: base\nsources: {one: {path: one}}\nrules: [{targets: [LlamaRMSNorm], source: one}]\n")
    (finding,) = [finding for finding in plan.findings if finding.code == "MP620"]
    assert finding.remedy and finding.remedy.text.startswith("The classes of modules are Linear, Embedding")
