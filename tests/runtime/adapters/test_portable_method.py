"""A portable linear method without an engine: parameters fit what a rank holds of a checkpoint, and compute it."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="layers are tensors")

from mixprec_doctor.kernels.portable import PORTABLE, refusals  # noqa: E402
from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_doctor.records.workload import LinearShape  # noqa: E402
from mixprec_runtime.adapters.layers import DTYPES  # noqa: E402
from mixprec_runtime.adapters.portable_method import ParameterKinds, PortableMethod, Stored  # noqa: E402
from mixprec_runtime.packing.generated import generated_layer  # noqa: E402
from mixprec_runtime.planning.ranks import AXES, WHOLE  # noqa: E402
from mixprec_runtime.reference.dequantize import dequantize  # noqa: E402
from mixprec_runtime.verifying.standard import STANDARD_FORMATS  # noqa: E402

FORMATS = [
    *(form for form in STANDARD_FORMATS if form.kind is not FormatKind.PLAIN),
    Format(kind=FormatKind.GPTQ, bits=4, symmetric=True),
    Format(kind=FormatKind.PACKED, bits=4, group=128, symmetric=False),
    Format(kind=FormatKind.PACKED, bits=4, group=128, symmetric=True, act_order=True),
    Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.NONE),
]
OUTPUTS, INPUTS = (512, 256), 512
NAMES = [f"{form.name} {form.details}".strip() for form in FORMATS]


class Bare(PortableMethod):
    """With parameters that are nothing but parameters."""

    kinds = ParameterKinds(**{
        field.name: lambda data, **_: torch.nn.Parameter(data, requires_grad=False) for field in fields(ParameterKinds)
    })  # fmt: skip


@cache
def _parts(form: Format) -> list[dict[str, torch.Tensor]]:
    return generated_layer(form, OUTPUTS, INPUTS, seed=5)


def made(form: Format, *, ranks: int = 1, row: bool = False) -> tuple[Bare, torch.nn.Module]:
    """A method for the format and a layer that it has made parameters for."""
    method, layer = Bare(_kernel(form), form, _stored(form)), torch.nn.Module()
    outputs = [out if row else out // ranks for out in OUTPUTS]
    method.create_weights(
        layer, input_size_per_partition=INPUTS // ranks if row else INPUTS, output_partition_sizes=outputs,
        input_size=INPUTS, output_size=sum(OUTPUTS), params_dtype=torch.bfloat16, weight_loader=None,
    )  # fmt: skip
    return method, layer


def _kernel(form: Format) -> str:
    shape = LinearShape(inputs=INPUTS, outputs=OUTPUTS, full_inputs=INPUTS, full_outputs=OUTPUTS)
    fit = (
        kernel.name
        for kernel in PORTABLE
        if not refusals(
            kernel, form, shape, dtype="bfloat16", device="cpu", capability=None, operators=set(dir(torch.ops.aten))
            | {name for name in _wanted() if hasattr(torch.ops.aten, name)},
        )
    )  # fmt: skip
    return next(fit)


def _wanted() -> set[str]:
    return {name for kernel in PORTABLE for each in kernel.demands.values() for name in each.operators}


def _stored(form: Format) -> Stored:
    names = {dtype: name for name, dtype in DTYPES.items()}
    first = _parts(form)[0]
    return {suffix: (names[tensor.dtype], tuple(tensor.shape)) for suffix, tensor in first.items()}


def _fused(form: Format, suffix: str) -> torch.Tensor:
    """What an engine's loaders make of the parts."""
    parts = [part[suffix] for part in _parts(form)]
    out_axis = AXES.get(form.kind, WHOLE).get(suffix, (None, None))[0]
    if suffix == "input_scale" or (suffix == "weight_scale" and form.scale == "tensor"):
        return torch.stack([part.reshape(()) for part in parts])
    return parts[0] if out_axis is None else torch.cat(parts, dim=out_axis)


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
def test_parameters_fit_the_fused_tensors_and_compute_what_they_mean(form: Format) -> None:
    method, layer = made(form)
    for name, parameter in layer.named_parameters():
        fused = _fused(form, name)
        if fused.ndim == 1 and parameter.ndim == 2:
            fused = fused.unsqueeze(1)
        assert (parameter.shape, parameter.dtype) == (fused.shape, fused.dtype), name
        parameter.data.copy_(fused)
    method.process_weights_after_loading(layer)
    x = torch.randn(5, INPUTS, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    weight = torch.cat([dequantize(form, part) for part in _parts(form)])
    right = x.to(torch.float32) @ weight.t()
    found = method.apply(layer, x).to(torch.float32)
    assert float((found - right).norm() / right.norm()) < 0.01


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
def test_a_rank_of_two_holds_half_of_what_is_cut(form: Format) -> None:
    _, whole = made(form)
    for row in (False, True):
        _, half = made(form, ranks=2, row=row)
        for name, parameter in half.named_parameters():
            axes = AXES.get(form.kind, WHOLE).get(name, (None, None))
            axis = axes[1] if row else axes[0]
            full = list(getattr(whole, name).shape)
            shared = axis is None or axis >= len(full) or full[axis] == 1
            scattered = row and form.act_order and name in ("scales", "qzeros", "weight_scale", "weight_zero_point")
            if not (shared or scattered or name in ("input_scale",) or full == [len(OUTPUTS)]):
                full[axis] //= 2
            assert list(parameter.shape) == full, (name, row)


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
def test_what_was_loaded_is_let_go_and_the_weight_stays_compressed(form: Format) -> None:
    method, layer = made(form)
    for name, parameter in layer.named_parameters():
        parameter.data.copy_(_fused(form, name).reshape(parameter.shape))
    method.process_weights_after_loading(layer)
    assert not {"weight", "qweight", "weight_packed"} & {name for name, _ in layer.named_parameters()}
    held = sum(parameter.nbytes for parameter in layer.parameters())
    assert held < 1.3 * INPUTS * sum(OUTPUTS) * form.bits / 8


def test_applying_can_be_traced_as_one_graph() -> None:
    method, layer = made(FORMATS[0])
    for name, parameter in layer.named_parameters():
        parameter.data.copy_(_fused(FORMATS[0], name).reshape(parameter.shape))
    method.process_weights_after_loading(layer)
    x = torch.ones(2, INPUTS, dtype=torch.bfloat16)

    def run(inputs: Any) -> Any:
        return method.apply(layer, inputs)

    traced = torch.compile(run, backend="eager", fullgraph=True)
    assert torch.equal(traced(x), run(x))


class Handed(Bare):
    """As on an engine that hands every tensor of a checkpoint on."""

    hands_order = True


@pytest.mark.parametrize("rank", [0, 1])
def test_an_order_that_says_nothing_is_taken_where_the_engine_hands_it_on(rank: int) -> None:
    form = next(form for form in FORMATS if form.kind is FormatKind.GPTQ and form.group and not form.act_order)
    assert form.group is not None
    method, layer = Handed(_kernel(form), form, _stored(form)), torch.nn.Module()
    method.create_weights(
        layer, input_size_per_partition=INPUTS // 2, output_partition_sizes=list(OUTPUTS), input_size=INPUTS,
        output_size=sum(OUTPUTS), params_dtype=torch.bfloat16, weight_loader=None,
    )  # fmt: skip
    for name, parameter in layer.named_parameters():
        axis = AXES[form.kind][name][1]
        assert axis is not None
        parameter.data.copy_(_fused(form, name).chunk(2, dim=axis)[rank])
    assert int(layer.g_idx.min()) == rank * (INPUTS // 2 // form.group)
    method.process_weights_after_loading(layer)
    x = torch.randn(5, INPUTS // 2, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    weight = torch.cat([dequantize(form, part) for part in _parts(form)]).chunk(2, dim=1)[rank]
    right = x.to(torch.float32) @ weight.t()
    assert float((method.apply(layer, x).to(torch.float32) - right).norm() / right.norm()) < 0.01


def _with_loader(data: torch.Tensor, **attributes: Any) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(data, requires_grad=False)
    parameter.weight_loader = attributes["weight_loader"]  # type: ignore[attr-defined]
    return parameter


class Keeping(PortableMethod):
    """With parameters that remember the loader they were given."""

    kinds = ParameterKinds(**dict.fromkeys((field.name for field in fields(ParameterKinds)), _with_loader))


@pytest.mark.parametrize("names", [("q", "k", "v"), (0, 1, 2)])
def test_scales_of_parts_that_end_inside_a_block_have_rows_of_their_own(names: tuple[object, ...]) -> None:
    """An engine would begin v's scales in the row where k's still are: (576 + 192) / 128 is 6, k's end with row 7."""
    form = Format(kind=FormatKind.FP8, bits=8, scale="block", block=(128, 128), dtype="F8_E4M3")
    outputs, inputs = (576, 192, 192), 256
    parts = generated_layer(form, outputs, inputs, seed=3)
    stored = {"weight": ("F8_E4M3", (576, inputs)), "weight_scale_inv": ("F32", (5, 2))}
    method, layer = Keeping("portable tiles", form, stored), torch.nn.Module()

    def of_the_engine(parameter: torch.nn.Parameter, loaded: torch.Tensor, shard: object) -> None:
        begin = sum(outputs[: names.index(shard)])
        parameter.data[begin : begin + loaded.shape[0]].copy_(loaded)

    method.create_weights(
        layer, input_size_per_partition=inputs, output_partition_sizes=list(outputs), input_size=inputs,
        output_size=sum(outputs), params_dtype=torch.bfloat16, weight_loader=of_the_engine,
    )  # fmt: skip
    for parameter in layer.parameters():
        parameter.data.zero_()
    for shard, part in zip(names, parts, strict=True):
        for suffix, tensor in part.items():
            getattr(layer, suffix).weight_loader(getattr(layer, suffix), tensor, shard)
    scales = layer.weight_scale_inv
    assert scales.shape == (9, 2) and bool((scales > 0).all())
    method.process_weights_after_loading(layer)
    x = torch.randn(5, inputs, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    right = x.to(torch.float32) @ torch.cat([dequantize(form, part) for part in parts]).t()
    assert float((method.apply(layer, x).to(torch.float32) - right).norm() / right.norm()) < 0.01
