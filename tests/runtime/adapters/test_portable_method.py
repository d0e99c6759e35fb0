"""Portable methods of all engines: parameters of a rank's size for every format, and right numbers from them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="methods hold tensors")

from mixprec_doctor.records.format import Format, FormatKind  # noqa: E402
from mixprec_runtime.adapters.layers import DTYPES  # noqa: E402
from mixprec_runtime.adapters.making import load, named  # noqa: E402
from mixprec_runtime.adapters.portable_method import PARAMETERS, ParameterKinds, PortableMethod, Stored  # noqa: E402
from mixprec_runtime.packing.generated import generated_layer  # noqa: E402
from mixprec_runtime.reference.dequantize import dequantize  # noqa: E402
from mixprec_runtime.verifying.standard import STANDARD_FORMATS  # noqa: E402

INPUTS, OUTPUTS = 256, (128, 256)
QUANTIZED = [form for form in STANDARD_FORMATS if form.kind is not FormatKind.PLAIN]
INT4 = next(form for form in QUANTIZED if form.kind is FormatKind.GPTQ)


class Parameter(torch.nn.Parameter):  # type: ignore[misc, name-defined]  # torch is untyped here
    """An engine's parameter: takes its data, and remembers what else it was told."""

    def __new__(cls, data: torch.Tensor, **told: Any) -> Parameter:
        made = super().__new__(cls, data, requires_grad=False)
        made.told = told
        made.weight_loader = told["weight_loader"]
        return made


CLASSES = SimpleNamespace(**{name: type(name, (Parameter,), {}) for name in PARAMETERS.values()})


class Method(PortableMethod):
    kinds = ParameterKinds.of(CLASSES)


def fill(parameter: Parameter, loaded: torch.Tensor, shard: int = 0) -> None:
    """A loader as an engine has it: the part's place along the outputs, in the units of the parameter."""
    if type(parameter).__name__ == "PerTensorScaleParameter":
        parameter.data[shard] = loaded.reshape(())
        return
    axis = parameter.told.get("output_dim")
    if axis is None:
        parameter.data.copy_(loaded)
        return
    whole = parameter.shape[axis]
    start = 0 if shard == 0 else whole * OUTPUTS[0] // sum(OUTPUTS)
    parameter.data.narrow(axis, start, loaded.shape[axis]).copy_(loaded)


def stored_as(tensors: dict[str, torch.Tensor]) -> Stored:
    return {
        name: (next(word for word, dtype in DTYPES.items() if dtype is tensor.dtype), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }


def made_for(form: Format, parts: list[dict[str, torch.Tensor]], inputs: int = INPUTS) -> tuple[Method, Any]:
    method, layer = Method("portable tiles", form, stored_as(parts[0])), torch.nn.Module()
    method.create_weights(
        layer, inputs, list(OUTPUTS), INPUTS, sum(OUTPUTS), torch.float32, weight_loader=fill
    )  # fmt: skip
    return method, layer


@pytest.mark.parametrize("form", QUANTIZED, ids=lambda form: f"{form.name} {form.details}".strip())
def test_a_fused_layer_of_every_format_computes_what_its_parts_mean(form: Format) -> None:
    parts = generated_layer(form, OUTPUTS, INPUTS)
    method, layer = made_for(form, parts)
    load(layer, SimpleNamespace(parts=parts))  # type: ignore[arg-type]
    method.process_weights_after_loading(layer)
    x, weight = torch.randn(3, INPUTS), torch.cat([dequantize(form, part) for part in parts])
    found = method.apply(layer, x, torch.ones(sum(OUTPUTS)))
    torch.testing.assert_close(found, x @ weight.t() + 1, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", QUANTIZED, ids=lambda form: f"{form.name} {form.details}".strip())
def test_nothing_that_was_loaded_is_held_beside_the_kernels_own(form: Format) -> None:
    parts = generated_layer(form, OUTPUTS, INPUTS)
    method, layer = made_for(form, parts)
    load(layer, SimpleNamespace(parts=parts))  # type: ignore[arg-type]
    method.process_weights_after_loading(layer)
    assert layer.mixprec_names
    assert all(name.startswith("mixprec_") for name, _ in layer.named_parameters())


def test_a_rank_of_two_holds_half_of_the_inputs_but_every_group_of_an_act_order() -> None:
    ordered = next(form for form in QUANTIZED if form.act_order)
    for form, groups in ((INT4, 1), (ordered, 2)):
        _, layer = made_for(form, generated_layer(form, OUTPUTS, INPUTS), inputs=INPUTS // 2)
        shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
        assert shapes["qweight"] == (INPUTS // 2 // 8, sum(OUTPUTS))
        assert shapes["scales"] == (groups, sum(OUTPUTS))


def test_a_module_of_parameters_that_lacks_a_class_is_named() -> None:
    with pytest.raises(AttributeError, match="BasevLLMParameter"):
        ParameterKinds.of(SimpleNamespace())


def test_a_tensor_without_a_place_and_a_parameter_that_nothing_fills_are_refused() -> None:
    parts = generated_layer(INT4, OUTPUTS, INPUTS)
    for tensors, words in (
        ([{**part, "other": part["scales"]} for part in parts], "no parameter for the checkpoint's other"),
        ([{"qweight": part["qweight"]} for part in parts], "fills no qzeros, scales"),
    ):
        _, layer = made_for(INT4, parts)
        with pytest.raises(ValueError, match=words):
            load(layer, SimpleNamespace(parts=tensors))  # type: ignore[arg-type]


def test_a_fused_layer_is_named_as_models_name_it() -> None:
    own = named(["model.layers.3.mlp.gate_proj", "model.layers.3.mlp.up_proj"])
    assert (own.prefix, own.packed) == ("model.layers.3.mlp.gate_up_proj", {"gate_up_proj": ["gate_proj", "up_proj"]})
    assert named(["model.layers.3.mlp.down_proj"]).prefix == "model.layers.3.mlp.down_proj"
    assert named(["first.a", "first.b"]).packed == {"fused_proj": ["a", "b"]}
