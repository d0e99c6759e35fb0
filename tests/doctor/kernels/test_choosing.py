"""Choices over a small engine: each verdict follows from what its source and its libraries say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.kernels.choosing import choose
from mixprec_doctor.kernels.engine import EngineKernels
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.workload import LinearShape
from tests.doctor.kernels.small_engine import GPTQ as GPTQ_MODULE
from tests.doctor.kernels.small_engine import LISTS, kernels_of, machine, write_engine, write_library

GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write_engine(tmp_path)


def shape_of(inputs: int = 4096, *, full: int | None = None) -> LinearShape:
    return LinearShape(inputs=inputs, outputs=(4096,), full_inputs=full or inputs, full_outputs=(4096,))


def chosen(
    kernels: EngineKernels,
    on: Machine,
    *,
    form: Format = GPTQ,
    shape: LinearShape | None = None,
    dtype: str = "bfloat16",
) -> KernelChoice:
    return choose(form, shape or shape_of(), dtype, on, kernels)


def natives(choice: KernelChoice) -> dict[str, Verdict]:
    return {each.candidate: each for each in choice.verdicts if each.tier is Tier.NATIVE}


def test_the_first_kernel_that_its_checks_accept_wins(engine: Path) -> None:
    choice = chosen(kernels_of(engine), machine("9.0"))
    assert choice.winner is not None
    assert (choice.winner.candidate, choice.winner.accepted, choice.winner.foreseen) == ("HopperKernel", True, True)
    assert list(natives(choice)) == ["HopperKernel", "MarlinKernel", "LibraryKernel"]


def test_a_capability_that_is_too_low_is_told_with_both_numbers(engine: Path) -> None:
    choice = chosen(kernels_of(engine), machine("8.0"))
    assert natives(choice)["HopperKernel"].reasons == ("needs compute capability 9.0, this machine has 8.0",)
    assert choice.winner is not None and choice.winner.candidate == "MarlinKernel"


def test_a_shape_that_does_not_divide_is_refused_in_the_engines_own_words(engine: Path) -> None:
    form = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)
    choice = chosen(kernels_of(engine), machine("9.0"), form=form, shape=shape_of(576))
    assert natives(choice)["HopperKernel"].reasons == ("in_features 576 must be divisible by 128",)
    assert choice.winner is not None and choice.winner.candidate == "MarlinKernel"


def test_what_a_rank_holds_counts_and_not_the_whole_layer(engine: Path) -> None:
    choice = chosen(kernels_of(engine), machine("9.0"), shape=shape_of(192, full=768))
    assert natives(choice)["HopperKernel"].accepted is False


def test_a_library_that_may_be_there_leaves_the_verdict_open(engine: Path) -> None:
    verdict = natives(chosen(kernels_of(engine), machine("9.0")))["LibraryKernel"]
    assert (verdict.accepted, verdict.reasons) == (None, ("not known: whether conch is installed",))


def test_a_group_that_does_not_divide_the_inputs_ends_the_making_of_weights(engine: Path) -> None:
    form = Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True)
    choice = chosen(kernels_of(engine), machine("8.0"), form=form, shape=shape_of(576))
    assert natives(choice)["MarlinKernel"].reasons == ("ValueError: 576 is not divisible by group 128",)


def test_bits_that_a_config_refuses_reject_the_method_itself(engine: Path) -> None:
    form = Format(kind=FormatKind.GPTQ, bits=3, group=64, symmetric=True)
    verdict = natives(chosen(kernels_of(engine), machine("9.0"), form=form))["GPTQMarlinLinearMethod"]
    assert (verdict.accepted, verdict.reasons) == (False, ("ValueError: Unsupported bits: 3",))


def test_an_activation_type_that_a_config_does_not_take_is_named(engine: Path) -> None:
    verdict = natives(chosen(kernels_of(engine), machine("9.0"), dtype="float32"))["GPTQMarlinLinearMethod"]
    assert verdict.reasons == ("GPTQMarlinConfig takes activations of float16, bfloat16, not of float32",)


LOOKUP = """
from .gptq_marlin import GPTQMarlinConfig
METHODS = {"gptq_marlin": GPTQMarlinConfig}
NEEDING = %s

def get_quantization_config(quantization):
    if quantization not in METHODS:
        raise ValueError(f"Invalid quantization method: {quantization}")
    if quantization in NEEDING:
        raise ValueError(f"{quantization} needs another package")
    return METHODS[quantization]
"""
HOME = "model_executor_layers_quantization___init___py"


def test_a_method_that_the_engine_lists_and_refuses_is_not_the_engines(tmp_path: Path) -> None:
    choice = chosen(kernels_of(write_engine(tmp_path, **{HOME: LOOKUP % "['gptq_marlin']"})), machine("9.0"))
    (verdict,) = natives(choice).values()
    assert (verdict.accepted, verdict.reasons) == (False, ("ValueError: gptq_marlin needs another package",))
    assert choice.winner is not None
    assert choice.winner.tier is Tier.PORTABLE


@pytest.mark.parametrize("lookup", [LOOKUP % "[]", LOOKUP.replace('"gptq_marlin":', '"gptq":') % "[]"])
def test_a_method_that_the_engine_gives_or_does_not_list_by_that_name_is_judged_by_its_classes(
    tmp_path: Path, lookup: str
) -> None:
    choice = chosen(kernels_of(write_engine(tmp_path, **{HOME: lookup})), machine("9.0"))
    assert choice.winner is not None
    assert choice.winner.tier is Tier.NATIVE


def test_activation_types_are_read_of_a_method_of_objects_too(tmp_path: Path) -> None:
    of_class = "    @classmethod\n    def get_supported_act_dtypes(cls):\n        return [torch.half, torch.bfloat16]"
    assert of_class in GPTQ_MODULE
    text = GPTQ_MODULE.replace(of_class, "    def get_supported_act_dtypes(self):\n        return [torch.half]")
    kernels = kernels_of(write_engine(tmp_path, model_executor_layers_quantization_gptq_marlin_py=text))
    verdict = natives(chosen(kernels, machine("9.0")))["GPTQMarlinLinearMethod"]
    assert verdict.reasons == ("GPTQMarlinConfig takes activations of float16, not of bfloat16",)
    winner = chosen(kernels, machine("9.0"), dtype="float16").winner
    assert winner is not None
    assert winner.tier is Tier.NATIVE


def test_plain_layers_are_the_unquantized_method(engine: Path) -> None:
    choice = chosen(kernels_of(engine), machine(), form=Format(kind=FormatKind.PLAIN, bits=16, dtype="BF16"))
    assert [(each.candidate, each.accepted) for each in choice.verdicts] == [
        ("UnquantizedLinearMethod", True),
        ("placeholder", False),
    ]


def test_an_operator_that_the_loaded_library_lacks_rejects_the_kernel(engine: Path) -> None:
    write_library(engine, "_C_AVX2.abi3.so", "something(Tensor x) -> Tensor")
    write_library(engine, "_C.abi3.so", "cpu_gemm(Tensor x, Tensor w) -> Tensor")
    choice = chosen(kernels_of(engine, build="cpu"), machine())
    assert natives(choice)["CpuKernel"].reasons == ("operator _C::cpu_gemm is not in vllm/_C_AVX2.abi3.so",)
    assert choice.winner is not None and choice.winner.tier is Tier.PORTABLE


def test_the_cpu_decides_which_library_is_asked(engine: Path) -> None:
    write_library(engine, "_C_AVX2.abi3.so", "something(Tensor x) -> Tensor")
    write_library(engine, "_C.abi3.so", "cpu_gemm(Tensor x, Tensor w) -> Tensor")
    better = machine(None, "avx512f", "avx512vl", "avx512bw", "avx512dq")
    assert natives(chosen(kernels_of(engine, build="cpu"), better))["CpuKernel"].accepted is True


def test_an_operator_that_takes_no_arguments_is_a_placeholder(engine: Path) -> None:
    write_library(engine, "_C_AVX2.abi3.so", "cpu_gemm() -> ()")
    (reason,) = natives(chosen(kernels_of(engine, build="cpu"), machine()))["CpuKernel"].reasons
    assert reason.endswith("it is registered as a placeholder")


def test_an_operator_of_a_path_that_is_not_taken_does_not_count(engine: Path) -> None:
    write_library(engine, "_C_AVX2.abi3.so", "cpu_gemm(Tensor x, Tensor w) -> Tensor")  # and no cpu_half
    assert natives(chosen(kernels_of(engine, build="cpu"), machine()))["CpuKernel"].accepted is True


def test_an_operator_on_some_paths_leaves_the_verdict_open(tmp_path: Path) -> None:
    source = LISTS.replace("if x.dtype == torch.float16:", "if layer.scale > 3:")
    engine = write_engine(tmp_path, model_executor_kernels_linear___init___py=source)
    write_library(engine, "_C_AVX2.abi3.so", "cpu_gemm(Tensor x, Tensor w) -> Tensor")
    verdict = natives(chosen(kernels_of(engine, build="cpu"), machine()))["CpuKernel"]
    assert verdict.accepted is None
    assert "operator _C::cpu_half is not in" in verdict.reasons[0] and "layer.scale > 3" in verdict.reasons[0]


def test_a_library_that_changes_is_read_anew(engine: Path) -> None:
    write_library(engine, "_C_AVX2.abi3.so", "something(Tensor x) -> Tensor")
    assert natives(chosen(kernels_of(engine, build="cpu"), machine()))["CpuKernel"].accepted is False
    write_library(engine, "_C_AVX2.abi3.so", "cpu_gemm(Tensor x, Tensor w) -> Tensor", "more(Tensor x) -> Tensor")
    assert natives(chosen(kernels_of(engine, build="cpu"), machine()))["CpuKernel"].accepted is True


def test_lists_without_platforms_are_followed_too(tmp_path: Path) -> None:
    source = LISTS.replace(
        "_POSSIBLE_KERNELS: dict[PlatformEnum, list[type]] = {\n    PlatformEnum.CUDA: [", "_POSSIBLE_KERNELS = ["
    )
    source = source.replace("LibraryKernel],\n    PlatformEnum.CPU: [CpuKernel],\n}", "LibraryKernel, CpuKernel]")
    source = source.replace("_POSSIBLE_KERNELS.get(current_platform._enum, [])", "_POSSIBLE_KERNELS")
    engine = write_engine(tmp_path, model_executor_kernels_linear___init___py=source)
    choice = chosen(kernels_of(engine), machine("8.0"))
    assert list(natives(choice)) == ["HopperKernel", "MarlinKernel", "LibraryKernel", "CpuKernel"]
    assert natives(choice)["CpuKernel"].reasons == ("only on a CPU",)


def test_an_order_that_the_engine_makes_while_it_chooses_is_its_order(tmp_path: Path) -> None:
    source = LISTS.replace("    reasons = []\n", "    reasons = []\n    _POSSIBLE = 1\n").replace(
        "for kernel in _POSSIBLE_KERNELS.get(current_platform._enum, []):",
        "for kernel in sorted(_POSSIBLE_KERNELS.get(current_platform._enum, []), key=lambda k: k.__name__, reverse=True):",
    )
    engine = write_engine(tmp_path, model_executor_kernels_linear___init___py=source)
    assert list(natives(chosen(kernels_of(engine), machine("9.0")))) == [
        "MarlinKernel",
        "LibraryKernel",
        "HopperKernel",
    ]


def test_the_same_question_has_the_same_answer_whatever_was_asked_before(engine: Path) -> None:
    kernels = kernels_of(engine)
    first = chosen(kernels, machine("9.0"))
    for capability in ("8.0", "7.0", None):
        chosen(kernels, machine(capability), shape=shape_of(576))
    assert chosen(kernels, machine("9.0")) == first == chosen(kernels_of(engine), machine("9.0"))


def test_many_layers_use_up_nothing(engine: Path) -> None:
    kernels = kernels_of(engine)
    answers = {str(natives(chosen(kernels, machine("9.0"), shape=shape_of(128 * (at + 1))))) for at in range(60)}
    assert len(answers) == 1


def test_a_format_that_an_engine_has_nothing_for_goes_to_mixprecs_own_kernels(engine: Path) -> None:
    form = Format(kind=FormatKind.INT8, bits=8, scale="block", block=(128, 128), activation=Activation.DYNAMIC)
    choice = chosen(kernels_of(engine), machine("9.0"), form=form)
    assert not natives(choice)
    assert choice.winner is not None and choice.winner.tier is Tier.PORTABLE
    assert choice.verdicts[-1].reasons == ("raises when it is used",)


def test_nothing_of_the_engine_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    bomb = f"open({str(mark)!r}, 'w').close()\n"
    engine = write_engine(tmp_path, **{name: bomb + text for name, text in {
        "__init___py": "", "model_executor_kernels_linear___init___py": LISTS,
    }.items()})  # fmt: skip
    assert chosen(kernels_of(engine), machine("9.0")).winner is not None
    assert not mark.exists()


def test_source_that_never_ends_is_given_up(tmp_path: Path) -> None:
    source = LISTS.replace(
        "        if c.partition_weight_shape[0] % 128 != 0:",
        "        while True:\n            c = c\n        if False:",
    )
    engine = write_engine(tmp_path, model_executor_kernels_linear___init___py=source)
    assert natives(chosen(kernels_of(engine), machine("9.0")))["HopperKernel"].accepted is not False
