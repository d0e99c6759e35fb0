"""A mixture of five checkpoints in a real model of SGLang: every tensor in its place, and the numbers it stands for."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.adapters.bookkeeping import StrictLoadingError
from mixprec_runtime.adapters.making import first
from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.packing.generated_model import write_generated_model
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.reference.weights import float32_mixture
from mixprec_runtime.runfolder import write_run_folder
from tests.matrix.generated_mixture import CONFIG, write_mixture

pytestmark = pytest.mark.engine

Load = Callable[[Path], torch.nn.Module]
BLOCK = Format(kind=FormatKind.FP8, bits=8, scale="block", block=(128, 128), activation=Activation.DYNAMIC)
BOUND = 0.05  # relative error of a layer's output; rounding activations to FP8 or INT8 costs 0.03 at most


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model of the engine with the plan that it was loaded by, and the account of it."""

    model: torch.nn.Module
    plan: Plan
    account: LoadAccount


def planned(file: Path, root: Path) -> tuple[Plan, Path]:
    """The plan of a mix file and its run folder."""
    plan = make_plan(read_mix(file))
    assert plan.valid, plan.findings
    return plan, write_run_folder(plan, root=root)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, load: Load) -> Loaded:
    folder = tmp_path_factory.mktemp("mixture")
    plan, run = planned(write_mixture(folder), folder / "runs")
    model = load(run)
    account = LoadAccount.from_json(json.loads((run / "account.rank0.json").read_text(encoding="utf-8")))
    return Loaded(model=model, plan=plan, account=account)


def test_every_planned_byte_was_read_once_and_every_parameter_filled(loaded: Loaded) -> None:
    assert loaded.account.faults == ()
    assert sum(read.bytes for read in loaded.account.sources.values()) == sum(
        tensor.nbytes for layer in loaded.plan.layers for tensor in layer.tensors
    )
    assert set(loaded.account.sources) == {"model", "gptq", "awq", "int8", "fp8"}
    assert loaded.account.parameters > 20


def test_each_layer_is_accounted_to_its_source_and_keeps_its_weights_compressed(loaded: Loaded) -> None:
    layers = {layer.layer: layer for layer in loaded.account.layers}
    wanted = {0: ("gptq", 4), 1: ("awq", 4), 2: ("int8", 8), 3: ("fp8", 8)}
    for number, (source, bits) in wanted.items():
        layer = layers[f"model.layers.{number}.mlp.gate_up_proj"]
        assert layer.source == source
        plain = 2 * 2 * 512 * 256
        assert layer.held_bytes < plain * (bits + 1) / 16, (number, layer)
    attention = layers["model.layers.3.self_attn.qkv_proj"]
    assert (attention.source, attention.method) == ("model", "UnquantizedLinearMethod")


def _linear(loaded: Loaded) -> list[tuple[str, torch.nn.Module]]:
    from sglang.srt.layers.linear import LinearBase

    return [(name, module) for name, module in loaded.model.named_modules() if isinstance(module, LinearBase)]


def test_every_layer_computes_what_its_checkpoint_means(loaded: Loaded) -> None:
    folders = {name: source.path for name, source in loaded.plan.sources.items()}
    moved = {layer.layer: folders[layer.source] for layer in loaded.plan.layers if layer.source != "model"}
    wanted = float32_mixture(folders["model"], moved)
    config: Any = next(
        m.quant_config for m in loaded.model.modules() if isinstance(getattr(m, "quant_config", None), Mixture)
    )
    errors = {}
    for name, module in _linear(loaded):
        weight = torch.cat([wanted[f"{member}.weight"] for member in config.planned_members(name)])
        x = torch.randn(8, weight.shape[1], generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
        right = x.to(torch.float32) @ weight.t()
        with torch.no_grad():
            given = first(module(x)).to(torch.float32)
        errors[name] = float((given - right).norm() / right.norm())
    assert len(errors) == 16
    assert max(errors.values()) < BOUND, errors


def test_a_tensor_that_the_engine_renames_to_a_name_that_no_parameter_has_is_refused_by_name(
    tmp_path: Path, load: Load
) -> None:
    """Models of Llama's kind rename ``weight_scale_inv`` to ``weight_scale``: the engine alone warns and serves noise."""
    if "weight_scale_inv" not in Path(str(importlib.import_module("sglang.srt.models.llama").__file__)).read_text():
        pytest.skip("the Llama of this release renames nothing")
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1}
    write_generated_model({**CONFIG, **sizes}, tmp_path / "base")
    write_generated_model({**CONFIG, **sizes}, tmp_path / "blocks", format=BLOCK)
    file = tmp_path / "mix.yaml"
    file.write_text(
        "model: base\nsources: {blocks: {path: blocks}}\ndefault: blocks\nignore: [lm_head]\n", encoding="utf-8"
    )
    _, run = planned(file, tmp_path / "runs")
    with pytest.raises(StrictLoadingError) as refused:
        load(run)
    told = {fault.name: fault.text for fault in refused.value.faults}
    for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
        assert "was not taken by any parameter" in told[f"model.layers.0.self_attn.{part}.weight_scale_inv"]
    assert "parameter model.layers.0.mlp.gate_up_proj.weight_scale_inv" in told
    kept = json.loads((run / "account.rank0.json").read_text(encoding="utf-8"))
    assert len(kept["faults"]) == len(told)


def test_a_module_at_the_end_of_a_name_is_renamed_as_the_model_renames_its_tensors(loaded: Loaded) -> None:
    utils = pytest.importorskip("sglang.srt.models.utils")
    if not hasattr(utils, "WeightsMapper"):
        pytest.skip("this release of SGLang has no mapper of names")
    from mixprec_runtime.adapters.sglang.quantization import MixprecConfig

    config = MixprecConfig({"lm_head": "model", "model.norm": "model"}, {"lm_head": "plain", "model.norm": "plain"}, {})
    config.apply_weight_name_mapper(
        utils.WeightsMapper(orig_to_new_prefix={"lm_head.": "language_model.lm_head.", "model.": "language_model."})
    )
    assert config.source_of("language_model.lm_head") == "model"
    assert config.planned_members("language_model.norm") == ("model.norm",)
