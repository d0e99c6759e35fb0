"""The distinct layers of a plan, cut as one rank holds them."""

from __future__ import annotations

import pytest

from mixprec_doctor.records.format import FormatKind
from mixprec_doctor.records.workload import Workload, WorkloadLayer
from mixprec_runtime.launching.errors import RefusedPlan
from mixprec_runtime.planning.workload import read_workload
from tests.runtime.builders import GROUP, HIDDEN, LAYERS, MIDDLE, Workshop

MIX = "model: base\nsources: {gptq: {path: gptq}, fp8: {path: fp8}}\n"


def workload(shop: Workshop, text: str, *, ranks: int | None = None) -> Workload:
    shop.checkpoints()
    return read_workload(shop.mix(text), ranks)


def of(found: Workload, leaf: str) -> WorkloadLayer:
    (layer,) = [each for each in found.layers if each.units[0][0].endswith(leaf)]
    return layer


def test_fused_parts_are_one_layer_and_equal_layers_stand_together(shop: Workshop) -> None:
    found = workload(shop, MIX + "default: gptq\n")
    assert [str(each.shape) for each in found.layers] == [
        f"{HIDDEN} -> {HIDDEN}+{HIDDEN // 2}+{HIDDEN // 2}",
        f"{HIDDEN} -> {HIDDEN}",
        f"{HIDDEN} -> {MIDDLE}+{MIDDLE}",
        f"{MIDDLE} -> {HIDDEN}",
    ]
    gate = of(found, "gate_proj")
    assert len(gate.units) == LAYERS
    assert gate.units[0] == ("model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj")
    assert (gate.format.kind, gate.format.group) == (FormatKind.GPTQ, GROUP)
    assert [{tensor.suffix for tensor in part} for part in gate.parts] == [{"qweight", "qzeros", "scales", "g_idx"}] * 2
    assert found.dtype == "bfloat16"


def test_embeddings_norms_and_the_output_head_are_left_out(shop: Workshop) -> None:
    named = {module.rpartition(".")[2] for layer in workload(shop, MIX).layers for module in layer.modules}
    assert named == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_two_sources_of_one_shape_are_two_layers(shop: Workshop) -> None:
    rule = "rules: [{targets: ['re:model.layers.0.mlp.down_proj'], source: fp8}]\n"
    found = workload(shop, MIX + "default: gptq\n" + rule)
    down = [each for each in found.layers if each.units[0][0].endswith("down_proj")]
    assert [(each.source, len(each.units)) for each in down] == [("fp8", 1), ("gptq", LAYERS - 1)]


def test_ranks_cut_outputs_of_columns_and_inputs_of_rows_and_heads_are_copied(shop: Workshop) -> None:
    found = workload(shop, MIX, ranks=4)
    assert of(found, "q_proj").shape.outputs == (HIDDEN // 4, HIDDEN // 4, HIDDEN // 4)  # 2 heads of k and v on 4 ranks
    assert of(found, "gate_proj").shape.outputs == (MIDDLE // 4, MIDDLE // 4)
    down = of(found, "down_proj").shape
    assert (down.inputs, down.outputs, down.full_inputs, down.partition) == (MIDDLE // 4, (HIDDEN,), MIDDLE, "row")


def test_the_type_of_activations_is_what_serve_says_first(shop: Workshop) -> None:
    assert workload(shop, MIX + "serve: {dtype: half}\n").dtype == "float16"
    assert workload(shop, MIX + "serve: {dtype: auto}\n").dtype == "bfloat16"


def test_a_plan_with_errors_has_no_workload(shop: Workshop) -> None:
    split = "rules: [{targets: ['re:.*k_proj'], source: fp8}]\n"
    with pytest.raises(RefusedPlan, match="MP62"):
        workload(shop, MIX + "default: gptq\n" + split)
