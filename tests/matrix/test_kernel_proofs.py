"""Kernels proved with the real engine's own layers: every format, crashes, ranks, time, and what the engine is handed."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.probe import usual_limits
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict
from mixprec_doctor.records.workload import Workload
from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.demo.mixture import mix_text
from mixprec_runtime.planning.workload import read_workload
from mixprec_runtime.verifying import prove, standard_workload
from mixprec_runtime.verifying.standard import STANDARD_FORMATS

pytestmark = pytest.mark.engine

torch = pytest.importorskip("torch", reason="layers are tried with torch")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

BUDGET = 90.0  # seconds for a whole model on two cores, engine import included
FP8_STATIC, FP8_CHANNEL = (
    next(form for form in STANDARD_FORMATS if (form.kind, form.scale, form.activation) == (FormatKind.FP8, *wanted))
    for wanted in (("tensor", Activation.STATIC), ("channel", Activation.DYNAMIC))
)
PLUGIN = """
import os

def register():
    from vllm.model_executor.kernels.linear import _POSSIBLE_FP8_KERNELS

    for kernels in _POSSIBLE_FP8_KERNELS.values():
        for kernel in kernels:
            kernel.apply_weights = lambda *args, **kwargs: os.abort()
"""


def proved(workload: Workload) -> tuple[KernelChoice, ...]:
    import sys

    return prove(workload, python=sys.executable, engine="vllm", limits=usual_limits())


def natives(choice: KernelChoice) -> list[Verdict]:
    return [each for each in choice.verdicts if each.tier is Tier.NATIVE]


@pytest.fixture(scope="module")
def standard() -> dict[Format, KernelChoice]:
    """What came of a generated layer of each format."""
    return {choice.format: choice for choice in proved(standard_workload())}


@pytest.fixture(scope="module")
def mix(demo: DemoCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("proofs") / "five.yaml"
    file.write_text(mix_text(demo, port=8000), encoding="utf-8")
    return file


@pytest.mark.parametrize("form", STANDARD_FORMATS, ids=lambda form: f"{form.name} {form.details}".strip())
def test_every_format_has_a_kernel_that_gives_right_numbers(standard: dict[Format, KernelChoice], form: Format) -> None:
    choice = standard[form]
    assert choice.winner is not None
    assert choice.winner.tier in (Tier.NATIVE, Tier.PORTABLE), choice.winner
    proof = choice.winner.proof
    assert proof is not None
    assert proof.error is not None
    assert proof.bound is not None
    assert 0 < proof.error <= proof.bound
    assert len(proof.timings) == 2
    assert proof.held_bytes


@pytest.mark.parametrize("form", STANDARD_FORMATS, ids=lambda form: f"{form.name} {form.details}".strip())
def test_a_portable_kernel_serves_only_where_the_engines_own_did_not(
    standard: dict[Format, KernelChoice], form: Format
) -> None:
    choice = standard[form]
    if choice.winner is not None and choice.winner.tier is Tier.PORTABLE:
        assert natives(choice)
        assert all(each.accepted is False and each.reasons for each in natives(choice))


def test_a_portable_kernel_keeps_weights_compressed(standard: dict[Format, KernelChoice]) -> None:
    for form, choice in standard.items():
        winner = choice.winner
        if winner is not None and winner.tier is Tier.PORTABLE and winner.proof and winner.proof.held_bytes:
            weights = choice.shape.inputs * choice.shape.out * form.bits / 8
            assert winner.proof.held_bytes < 1.2 * weights, form


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has kernels for it")
def test_fp8_that_the_engine_accepts_and_cannot_run_goes_to_the_portable_kernel(
    standard: dict[Format, KernelChoice],
) -> None:
    if torch.cpu._is_amx_tile_supported():
        pytest.skip("this CPU has AMX, and the engine a kernel for it")
    choice = standard[FP8_STATIC]
    assert choice.winner is not None
    assert choice.winner.tier is Tier.PORTABLE
    assert any("static_scaled_fp8_quant" in reason for each in natives(choice) for reason in each.reasons)
    assert choice.passed_over


def test_a_kernel_that_aborts_is_a_verdict_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aborting_kernels.py").write_text(PLUGIN)
    metadata = tmp_path / "aborting_kernels-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: aborting-kernels\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[vllm.general_plugins]\naborting = aborting_kernels:register\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    int4 = next(form for form in STANDARD_FORMATS if form.kind is FormatKind.GPTQ)
    first, second = proved(standard_workload((FP8_CHANNEL, int4)))
    crashed = [each for each in natives(first) if any("SIGABRT" in reason for reason in each.reasons)]
    assert crashed
    assert crashed[0].candidate in first.passed_over
    for choice in (first, second):
        assert choice.winner is not None
        assert choice.winner.proof is not None
        assert choice.winner.proof.worked


def test_a_whole_mixture_is_proved_in_its_time(mix: Path) -> None:
    began = time.monotonic()
    workload = read_workload(mix)
    choices = proved(workload)
    taken = time.monotonic() - began
    assert {choice.format.kind for choice in choices} == {
        FormatKind.PLAIN, FormatKind.FP8, FormatKind.INT8, FormatKind.GPTQ, FormatKind.AWQ,
    }  # fmt: skip
    assert all(each.winner and each.winner.proof and each.winner.proof.weights == "checkpoint" for each in choices)
    assert sum(len(choice.modules) for choice in choices) == 210
    assert taken < BUDGET


def test_a_rank_of_three_is_proved_with_its_part_of_the_checkpoint(mix: Path) -> None:
    workload = read_workload(mix, ranks=3)
    down = next(layer for layer in workload.layers if layer.format.kind is FormatKind.AWQ)
    qkv = next(layer for layer in workload.layers if len(layer.shape.outputs) == 3)
    assert (down.shape.inputs, qkv.shape.outputs) == (512, (192, 64, 64))
    choices = proved(replace(workload, layers=(down, qkv)))
    for choice in choices:
        assert choice.winner is not None
        assert choice.winner.proof is not None
        assert choice.winner.proof.weights == "checkpoint"


@pytest.fixture(scope="module")
def surroundings() -> Iterator[None]:
    """What the engine's layers expect, in this process."""
    from mixprec_runtime.adapters.vllm.scene import scene

    with scene("bfloat16"):
        yield


def handed_config(demo: DemoCheckpoints, entry: dict[str, object]) -> dict[str, object]:
    folder = demo.gptq
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    module = "model.layers.0.mlp.down_proj"
    whole = {"without": [], "inputs": 1536, "outputs": [576], "reasons": ["Some: does not work"], **entry}
    return {
        "sources": {"gptq": {"path": str(folder), "quantization_config": raw}},
        "modules": {module: "gptq"},
        "formats": {module: "gptq"},
        "kernels": {module: whole},
    }


def made_by_the_engine(config: dict[str, object], inputs: int = 1536) -> torch.nn.Module:
    from vllm.model_executor.layers.linear import RowParallelLinear

    from mixprec_runtime.adapters.vllm.quantization import MixprecConfig

    made: torch.nn.Module = RowParallelLinear(
        inputs, 576, bias=False, params_dtype=torch.bfloat16, quant_config=MixprecConfig.from_config(config),
        prefix="model.layers.0.mlp.down_proj",
    )  # fmt: skip
    return made


def test_the_engine_is_given_the_portable_method_that_was_proved(surroundings: None, demo: DemoCheckpoints) -> None:
    made = made_by_the_engine(handed_config(demo, {"tier": "portable", "kernel": "portable int4"}))
    assert type(made.quant_method).__name__ == "PortableLinearMethod"
    assert made.quant_method.mixprec_kernel == "portable int4"
    assert {name for name, _ in made.named_parameters()} == {"qweight", "qzeros", "scales"}


@pytest.mark.parametrize("handed", [True, False], ids=["handed over", "tried as it is made"])
def test_the_portable_method_loads_and_computes_a_real_layer(
    surroundings: None, demo: DemoCheckpoints, handed: bool
) -> None:
    from safetensors import safe_open

    from mixprec_runtime.reference.dequantize import decode_gptq

    config = handed_config(demo, {"tier": "portable", "kernel": "portable int4"})
    if not handed:
        if hasattr(torch.ops._C, "cpu_gemm_wna16") or torch.cuda.is_available():
            pytest.skip("the engine has a kernel of its own here")
        del config["kernels"]
    made = made_by_the_engine(config)
    with safe_open(demo.gptq / "model.safetensors", framework="pt") as stream:
        names = ("qweight", "qzeros", "scales", "g_idx")
        tensors = {name: stream.get_tensor(f"model.layers.0.mlp.down_proj.{name}") for name in names}
    for name, parameter in made.named_parameters():
        parameter.weight_loader(parameter, tensors[name])
    made.quant_method.process_weights_after_loading(made)
    x = torch.randn(3, 1536, generator=torch.Generator().manual_seed(1), dtype=torch.float32).to(torch.bfloat16)
    right = x.to(torch.float32) @ decode_gptq(tensors).t()
    found, _ = made(x)
    assert float((found.to(torch.float32) - right).norm() / right.norm()) < 0.01
    assert made.quant_method.mixprec_kernel == "portable int4"


def test_a_layer_of_another_shape_than_was_proved_is_tried_as_it_is_made(
    surroundings: None, demo: DemoCheckpoints
) -> None:
    made = made_by_the_engine(handed_config(demo, {"tier": "portable", "kernel": "portable int4"}), inputs=768)
    assert type(made.quant_method).__name__ != "PortableLinearMethod"


def test_the_engine_is_kept_from_kernels_that_failed_only_while_it_chooses(
    surroundings: None, demo: DemoCheckpoints
) -> None:
    entry = {"tier": "native", "kernel": "SomeKernel", "without": ["CPUWNA16LinearKernel", "MarlinLinearKernel"]}
    with pytest.raises(ValueError, match="disabled by environment variable"):
        made_by_the_engine(handed_config(demo, entry))
    assert "VLLM_DISABLED_KERNELS" not in os.environ


def test_a_placeholder_loads_and_raises_when_it_is_used(surroundings: None, demo: DemoCheckpoints) -> None:
    from mixprec_runtime.kernels.placeholder import PlaceholderUsed

    made = made_by_the_engine(handed_config(demo, {"tier": "placeholder", "kernel": "placeholder"}))
    made.quant_method.process_weights_after_loading(made)
    with pytest.raises(PlaceholderUsed, match=r"down_proj.*gptq-int4-g64[^!]*Some: does not work"):
        made(torch.zeros(1, 1536, dtype=torch.bfloat16))
