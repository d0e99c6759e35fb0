"""What the answers of ``original_names`` have to be, whatever engine gave them."""

from __future__ import annotations

__all__ = ["NamesOnAnEngine"]

from typing import Any

BOUND = 0.05  # relative error of a layer's output; rounding activations to FP8 or INT8 costs 0.03 at most
DOWN = "model.layers.0.mlp.down_proj"
PLAIN = "it comes in 16 bits from source model, and the engine's own layer holds them"
QUANTIZED, LINEAR = 14, 16  # of the Llama's layers: one attention stays in 16 bits


class NamesOnAnEngine:
    """The same rules for every engine; a subclass brings ``found``."""

    def test_a_mixed_layer_is_one_of_the_engines_linear_layers(self, found: dict[str, Any]) -> None:
        assert found["real subclass"] is True
        assert found["are mixed"] == QUANTIZED

    def test_each_linear_layer_is_replaced_or_told_why_not(self, found: dict[str, Any]) -> None:
        told = found["replaced"]
        assert told["engine"] == found["bound"]
        assert len(told["replaced"]) == QUANTIZED
        assert {each["layer"]: each["why"] for each in told["left"]} == {
            "model.layers.3.self_attn.qkv_proj": PLAIN, "model.layers.3.self_attn.o_proj": PLAIN,
        }  # fmt: skip
        assert told["missing"] == []
        fused = next(each for each in told["replaced"] if each["layer"] == "model.layers.0.self_attn.qkv_proj")
        assert fused["members"] == [f"model.layers.0.self_attn.{part}_proj" for part in "qkv"]
        assert {each["source"] for each in told["replaced"]} == {"gptq", "awq", "int8", "fp8"}

    def test_compressed_layers_take_the_memory_of_their_checkpoints(self, found: dict[str, Any]) -> None:
        totals = found["replaced"]["totals"]
        assert totals["by_format"] == {"gptq-int4-g64": 4, "awq-int4-g64": 4, "int8-channel": 4, "fp8-tensor": 2}
        assert totals["bytes_now"] < 0.4 * totals["bytes_before"]
        source, form, loaded = found["memory"]
        assert (source, form) == ("gptq", "gptq-int4-g64")
        assert 0 < loaded <= found["module bytes"] < 512 * 256 * 2 * 0.3

    def test_a_layer_is_replaced_in_every_place_that_holds_it(self, found: dict[str, Any]) -> None:
        assert found["one layer in all places"] is True
        places = {each["layer"]: each["places"] for each in found["replaced"]["replaced"]}
        assert places.pop(DOWN) == 3
        assert set(places.values()) == {1}

    def test_a_layer_is_not_used_before_it_is_filled(self, found: dict[str, Any]) -> None:
        assert found["before loading"][0] == found["refusals"]["bare"][0] == "NotFilled"
        assert "nothing has filled them" in found["before loading"][1]
        assert "it has no parameters yet" in found["refusals"]["bare"][1]

    def test_all_planned_bytes_are_loaded_and_accounted_for(self, found: dict[str, Any]) -> None:
        account = found["account"]
        assert account["faults"] == []
        assert sum(read["bytes"] for read in account["sources"].values()) == found["planned bytes"]
        assert found["progress"][0] == [found["planned bytes"]] * 2
        assert {layer["source"] for layer in account["layers"]} >= {"model", "gptq", "awq", "int8", "fp8"}

    def test_every_layer_computes_what_its_checkpoint_means(self, found: dict[str, Any]) -> None:
        assert len(found["errors"]) == LINEAR
        assert max(found["errors"].values()) < BOUND

    def test_a_second_replacement_finds_nothing_to_do_and_makes_no_config_again(self, found: dict[str, Any]) -> None:
        again = found["again"]
        assert again["replaced"] == []
        assert again["config_reused"] is True
        assert sum("already" in each["why"] for each in again["left"]) == QUANTIZED

    def test_one_layer_is_made_anew_and_filled_and_no_other_changes(self, found: dict[str, Any]) -> None:
        some = found["some"]
        assert some["layers"] == ["model.layers.1.self_attn.qkv_proj"]
        assert some["same object"] is True
        assert {"qweight", "qzeros", "scales"} <= set(some["parameters"])
        assert some["tensors"] == {"awq": 9}
        assert some["as before"] is True

    def test_a_layer_alone_computes_what_the_one_in_the_model_does(self, found: dict[str, Any]) -> None:
        assert len(found["alone"]) == 4
        assert set(found["alone"].values()) == {0.0}

    def test_an_unknown_layer_is_refused_before_anything_is_changed(self, found: dict[str, Any]) -> None:
        kind, wanted, _ = found["refusals"]["unknown layer"]
        assert kind == "UnknownLayers"
        assert "model.layers.3.mlp.down_proj" in wanted
        assert found["refusals"]["nothing changed"] == ["False"]
        assert found["refusals"]["not planned"][0] == "UnplannedLayer"
        assert found["refusals"]["no plan"][0] == "RunFolderError"

    def test_a_load_lists_every_layer_that_nobody_replaced(self, found: dict[str, Any]) -> None:
        kind, _, *lines = found["refusals"]["a block was left out"]
        assert kind == "StrictLoadingError"
        assert len(lines) == 4
        assert all("model.layers.0." in line and "replace_linear_with_mixed_precision" in line for line in lines)

    def test_layers_come_with_the_norms_that_their_source_changed(self, found: dict[str, Any]) -> None:
        smoothed = found["smoothed"]
        assert smoothed["halves"][0] == "HalfTold"
        norms = {line.split()[0] for line in smoothed["halves"][2:4]}
        assert norms == {"model.layers.1.input_layernorm", "model.layers.1.post_attention_layernorm"}
        assert smoothed["block"] == smoothed["then"] + 2
        assert smoothed["whole"] > smoothed["block"]
        assert max(smoothed["errors"].values()) < BOUND
