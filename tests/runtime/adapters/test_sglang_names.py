"""What SGLang is asked for after its first choice failed, and by what name a layer's kernel is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mixprec_runtime.adapters.sglang.methods import kernel_name, method_name
from mixprec_runtime.adapters.sglang.ways import ways

KNOWN = frozenset({"awq", "awq_marlin", "fp8", "gptq", "gptq_marlin"})


def names(own: str, *, device: str = "cuda", blocks: bool = False, known: frozenset[str] = KNOWN) -> list[str]:
    return [way.name for way in ways(own, known=known, device=device, blocks=blocks)]


class Method:
    """A linear method that keeps what it is given."""

    def __init__(self, **kept: Any) -> None:
        self.__dict__.update(kept)


class Scheme(Method):
    """A scheme beside it."""


class SomeLinearKernel:
    """An object that computes."""


def some_block_product() -> None:
    """A function that computes."""


def layer(scheme: object = None, **kept: Any) -> SimpleNamespace:
    return SimpleNamespace(quant_method=Method(**kept), scheme=scheme)


@pytest.mark.parametrize(("own", "plain"), [("gptq_marlin", "gptq"), ("awq_marlin", "awq")])
def test_behind_marlin_comes_the_plain_method(own: str, plain: str) -> None:
    found = ways(own, known=KNOWN, device="cuda", blocks=False)
    assert [(way.name, way.quantization) for way in found] == [(own, None), (plain, plain)]


def test_a_plain_method_that_the_release_has_not_is_no_way() -> None:
    assert names("gptq_marlin", known=KNOWN - {"gptq"}) == ["gptq_marlin"]


def test_fp8_by_blocks_has_triton_and_fp8_has_marlin_behind_the_first_choice() -> None:
    assert names("fp8", blocks=True) == ["fp8", "fp8 through Triton", "fp8 through Marlin"]
    assert names("fp8") == ["fp8", "fp8 through Marlin"]
    assert names("compressed_tensors", blocks=True) == ["compressed_tensors", "compressed_tensors through Triton"]


def test_without_a_gpu_only_the_engines_own_choice_is_left() -> None:
    assert names("fp8", device="cpu", blocks=True) == ["fp8"]


def test_an_object_of_a_scheme_is_the_kernel_and_the_scheme_the_method() -> None:
    made = layer(scheme=Scheme(quant_config=Method(), kernel=SomeLinearKernel()))
    assert (kernel_name(made), method_name(made)) == ("SomeLinearKernel", "Scheme")


def test_a_function_for_blocks_is_the_kernel_only_where_there_are_blocks() -> None:
    assert (
        kernel_name(layer(weight_block_size=[128, 128], w8a8_block_linear=some_block_product)) == "some_block_product"
    )
    assert kernel_name(layer(weight_block_size=None, w8a8_block_linear=some_block_product)) == "Method"


def test_marlin_as_a_switch_of_a_method_is_another_kernel_than_the_method_without_it() -> None:
    assert kernel_name(layer(use_marlin=True)) != kernel_name(layer(use_marlin=False)) == "Method"


def test_a_method_of_ours_names_its_own_kernel() -> None:
    assert kernel_name(layer(mixprec_kernel="portable tiles")) == "portable tiles"
