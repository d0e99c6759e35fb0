"""What a plan leaves out of its sources is written down with the reason."""

from __future__ import annotations

from pathlib import Path

from mixprec_runtime.runfolder import read_left_out, write_run_folder
from tests.runtime.builders import LAYOUTS, Tensor, Workshop, model_tensors

MLP = r"rules: [{targets: ['re:.*\.mlp\..*'], source: gptq}]"


def test_derived_tensors_zero_biases_and_foreign_modules_are_named(shop: Workshop, tmp_path: Path) -> None:
    base = model_tensors()
    base["model.layers.0.self_attn.rotary_emb.inv_freq"] = Tensor("F32", (4,))
    shop.checkpoint("base", base, tie_word_embeddings=True)
    gptq = model_tensors(LAYOUTS["gptq"][0])
    gptq["model.vision.proj.weight"] = Tensor("BF16", (4, 4))
    shop.checkpoint("gptq", gptq, tie_word_embeddings=True)
    plan = shop.plan(f"model: base\nsources: {{gptq: {{path: gptq}}}}\n{MLP}\n")
    assert plan.valid
    found = {(each.source, each.name): each.why for each in plan.left_out}
    derived = "the model works it out itself, or has it under another name"
    assert found["model", "lm_head.weight"] == found["gptq", "lm_head.weight"] == derived
    assert found["model", "model.layers.0.self_attn.rotary_emb.inv_freq"] == derived
    assert found["gptq", "model.layers.1.mlp.up_proj.bias"] == "only zeros, for which the base model has no place"
    assert found["gptq", "model.vision.proj.weight"] == "the base model has no such module"
    assert len(found) == 4 + 6
    assert not any("self_attn.q_proj" in name for _, name in found)
    assert read_left_out(write_run_folder(plan, root=tmp_path / "runs")) == plan.left_out


def test_a_whole_uniform_checkpoint_leaves_nothing_out(shop: Workshop) -> None:
    shop.checkpoints("base")
    assert shop.plan("model: base\n").left_out == ()
