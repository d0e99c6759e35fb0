"""Experts in portable kernels: parameters have the place of what a checkpoint holds, and mean what it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="experts are tensors")

from mixprec_doctor.records.format import Activation, Format, FormatKind  # noqa: E402
from mixprec_doctor.records.workload import LinearShape  # noqa: E402
from mixprec_runtime.adapters.experts import (  # noqa: E402
    INNER,
    ORDERS,
    OUTER,
    ExpertPart,
    expert_states,
    experts_output,
    linear_of,
    part_tensors,
)
from mixprec_runtime.adapters.judging import bound_of  # noqa: E402
from mixprec_runtime.adapters.layers import DTYPES  # noqa: E402
from mixprec_runtime.adapters.making import portable_refusals  # noqa: E402
from mixprec_runtime.packing.generated import generated_layer  # noqa: E402
from mixprec_runtime.planning.ranks import AXES, WHOLE  # noqa: E402
from mixprec_runtime.reference.dequantize import dequantize  # noqa: E402

HIDDEN, MIDDLE, EXPERTS = 128, 256, 3
FP8: dict[str, Any] = {"kind": FormatKind.FP8, "bits": 8, "dtype": "F8_E4M3"}
FORMATS = {
    "gptq": Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True),
    "gptq-order": Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True, act_order=True),
    "awq": Format(kind=FormatKind.AWQ, bits=4, group=64, symmetric=False),
    "w4a16": Format(kind=FormatKind.PACKED, bits=4, group=32, symmetric=True),
    "w4a16-zeros": Format(kind=FormatKind.PACKED, bits=4, group=64, symmetric=False),
    "int8": Format(kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", symmetric=True),
    "fp8": Format(**FP8, scale="tensor", activation=Activation.STATIC),
    "fp8-channel": Format(**FP8, scale="channel", activation=Activation.DYNAMIC),
    "fp8-block": Format(**FP8, scale="block", block=(128, 128), activation=Activation.DYNAMIC),
}


@dataclass(frozen=True)
class Asked:
    format: Format
    shape: LinearShape


def kernels(part: ExpertPart) -> list[str]:
    """The portable kernels that take one of the part's matrices on a CPU, in BF16."""
    shape = LinearShape(
        inputs=part.inputs, outputs=part.widths, full_inputs=part.inputs, full_outputs=part.widths
    )  # fmt: skip
    asked = portable_refusals(Asked(part.format, shape), dtype="bfloat16", device="cpu", capability=None)
    return [name for name, reasons in asked if not reasons]


def made(form: Format, name: str) -> tuple[ExpertPart, list[list[dict[str, torch.Tensor]]]]:
    """A part, and the tensors of its matrices for each expert."""
    outputs, inputs = (MIDDLE, HIDDEN) if name == INNER else (HIDDEN, MIDDLE)
    widths = [outputs] * (2 if name == INNER else 1)
    matrices = [generated_layer(form, widths, inputs, seed=seed) for seed in range(EXPERTS)]
    names = {dtype: text for text, dtype in DTYPES.items()}
    stored = {suffix: (names[tensor.dtype], tuple(tensor.shape)) for suffix, tensor in matrices[0][0].items()}
    return ExpertPart(name=name, format=form, stored=stored, outputs=outputs, inputs=inputs), matrices


def filled(part: ExpertPart, matrices: list[list[dict[str, torch.Tensor]]]) -> dict[str, torch.Tensor]:
    """The parameters with each matrix in its place, along the outputs."""
    found = {}
    for tensor in part_tensors(part, EXPERTS):
        parameter = torch.empty(tensor.shape, dtype=tensor.dtype)
        out_axis = AXES.get(part.format.kind, WHOLE).get(tensor.suffix, (None, None))[0]
        for expert in range(EXPERTS) if parameter.numel() else ():
            for number, matrix in enumerate(matrices[expert]):
                value, place = matrix[tensor.suffix], parameter[expert]
                if tensor.suffix in ORDERS or (tensor.marks.get("quant_method") == "tensor" and part.count > 1):
                    place = place[number]
                elif out_axis is not None and place.dim() == value.dim() and value.dim():
                    size = place.shape[out_axis] // part.count
                    place = place.narrow(out_axis, number * size, size)
                place.copy_(value)
        found[tensor.suffix] = parameter
    return found


def cases() -> Iterator[tuple[str, str]]:
    for name in FORMATS:
        for part in (INNER, OUTER):
            yield name, part


@pytest.mark.parametrize(("name", "which"), list(cases()))
def test_every_expert_computes_what_its_own_tensors_mean(name: str, which: str) -> None:
    form = FORMATS[name]
    part, matrices = made(form, which)
    x = torch.randn(5, part.inputs, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    found = kernels(part)
    assert found
    for kernel in found:
        kept, numbers = expert_states(part, kernel, filled(part, matrices), torch.bfloat16)
        run = linear_of(part, kernel)
        for expert in range(EXPERTS):
            state = {name: value[expert] for name, value in kept.items()}
            right = x.float() @ torch.cat([dequantize(form, matrix) for matrix in matrices[expert]]).t()
            error = float((run(x, {**state, **numbers}).float() - right).norm() / right.norm())
            assert error < bound_of(form), kernel


@pytest.mark.parametrize("name", ["gptq", "awq", "w4a16", "fp8-channel", "fp8-block"])
def test_ranks_share_the_outputs_of_gate_and_up_and_the_inputs_of_down(name: str) -> None:
    for which in (INNER, OUTER):
        part, _ = made(FORMATS[name], which)
        shared = {"outputs": part.outputs // 2} if which == INNER else {"inputs": part.inputs // 2}
        half = ExpertPart(**{**vars(part), **shared, "ranks": 2})
        whole = {tensor.name: tensor.shape for tensor in part_tensors(part, EXPERTS)}
        weight = next(each for each in whole if each.endswith(("qweight", "w13_weight", "w2_weight", "weight_packed")))
        found = {tensor.name: tensor.shape for tensor in part_tensors(half, EXPERTS)}
        assert torch.Size(found[weight]).numel() * 2 == torch.Size(whole[weight]).numel()


def test_ranks_that_would_cut_a_group_or_an_order_are_refused() -> None:
    part, _ = made(FORMATS["fp8-block"], OUTER)
    cut = ExpertPart(**{**vars(part), "inputs": part.inputs // 4, "ranks": 4})
    with pytest.raises(ValueError, match="4 ranks with 2 rows of weight_scale_inv"):
        list(part_tensors(cut, EXPERTS))
    ordered, _ = made(FORMATS["gptq-order"], OUTER)
    with pytest.raises(ValueError, match="act-order with tensor parallelism"):
        list(part_tensors(ExpertPart(**{**vars(ordered), "inputs": MIDDLE // 2, "ranks": 2}), EXPERTS))


def test_an_order_that_says_nothing_needs_no_room() -> None:
    part, _ = made(FORMATS["gptq"], INNER)
    assert {tensor.name: tensor.shape for tensor in part_tensors(part, EXPERTS)}["w13_g_idx"] == (0,)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("on_input", [False, True])
def test_tokens_get_their_own_experts_with_the_routers_weights(everywhere: bool, on_input: bool) -> None:
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(2))
    ids = torch.tensor([[0, 2], [1, 0], [2, 7], [1, -1]])  # of 7 another rank takes care, -1 is none
    weights = torch.tensor([[0.75, 0.25], [0.5, 0.5], [1.0, 3.0], [2.0, 9.0]])
    matrices = [torch.randn(8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]

    def one(expert: int, tokens: torch.Tensor) -> torch.Tensor:
        return torch.tanh(tokens @ matrices[expert])

    right = torch.zeros_like(x)
    for token in range(4):
        for weight, expert in zip(weights[token].tolist(), ids[token].tolist(), strict=True):
            if 0 <= expert < 3:
                given = x[token] * weight if on_input else x[token]
                right[token] += one(expert, given) * (1.0 if on_input else weight)
    found = experts_output(x, weights, ids, experts=range(3), one=one, on_input=on_input, everywhere=everywhere)
    assert torch.allclose(found, right, atol=1e-5)
