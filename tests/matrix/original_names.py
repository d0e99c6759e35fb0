"""What the original names do to live models of the bound engine, as data that a test judges.

The checkpoints are tiny: a Llama in five formats, and a Qwen2 (biases of q, k and v) whose AWQ was smoothed, so that
the plan takes its norms too.
"""

from __future__ import annotations

__all__ = ["MakeModel", "answers", "write_checkpoints"]

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import mixprec_runtime as mixprec
from mixprec_doctor.errors import MixprecError
from mixprec_runtime.adapters.making import first
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.packing.announced import quantization_config
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.reference.weights import float32_mixture
from tests.matrix.generated_mixture import write_mixture
from tests.matrix.tiny import AWQ, write_base, write_quantized

MakeModel = Callable[[Path], torch.nn.Module]
"""A model of the engine for a plain checkpoint, made and not loaded."""
DOWN, QKV = "model.layers.0.mlp.down_proj", "model.layers.1.self_attn.qkv_proj"
SMOOTHED = r"""model: base
sources: {awq: {path: awq}}
rules: [{targets: ['re:model\.layers\.1\..*_proj$'], source: awq}]
ignore: [lm_head]
"""


def write_checkpoints(root: Path) -> None:
    """The two mixtures, below ``llama`` and ``qwen2``."""
    (root / "llama").mkdir()
    write_mixture(root / "llama")
    base = write_base(root / "qwen2" / "base", "qwen2", num_hidden_layers=2)
    write_quantized(
        root / "qwen2" / "awq", base, lambda name: AWQ if name.endswith("_proj") else None,
        quantization_config(AWQ) or {}, smoothed=True,
    )  # fmt: skip
    (root / "qwen2" / "mixture.yaml").write_text(SMOOTHED, encoding="utf-8")


def answers(make: MakeModel, linear: type, root: Path, *, portable: bool) -> dict[str, Any]:
    """All that was asked of the names; ``portable`` where the engine's own kernels cannot run."""
    file = root / "llama" / "mixture.yaml"
    plan = make_plan(read_mix(file))
    found: dict[str, Any] = {"real subclass": issubclass(mixprec.MixedPrecisionLinear, linear)}
    model = make(root / "llama" / "base")
    model.aside = [model.get_submodule(DOWN)]  # a place that PyTorch does not see
    model.twice = model.get_submodule(DOWN)
    told = mixprec.replace_linear_with_mixed_precision(model, plan, portable=portable)
    found["replaced"] = json.loads(json.dumps(told.to_json()))
    found["one layer in all places"] = model.aside[0] is model.twice is model.get_submodule(DOWN)
    found["are mixed"] = sum(isinstance(module, mixprec.MixedPrecisionLinear) for module in model.modules())
    found["before loading"] = refusal(lambda: first(model.get_submodule(DOWN)(torch.randn(1, 512))))
    seen: list[tuple[int, int]] = []
    del model.aside, model.twice
    account = mixprec.load_model_weights(model, plan, progress=lambda done, total: seen.append((done, total)))
    found["account"] = json.loads(json.dumps(account.to_json()))
    found["progress"] = [seen[-1], len(seen)]
    found["planned bytes"] = plan.totals.bytes
    found["errors"] = errors(model, linear, plan)
    found["again"] = json.loads(
        json.dumps(mixprec.replace_linear_with_mixed_precision(model, file, portable=portable).to_json())
    )
    layer = model.get_submodule(DOWN)
    found["memory"] = [layer.memory().source, layer.memory().format, layer.memory().loaded_bytes]
    found["module bytes"] = sum(p.nbytes for p in layer.parameters())
    found["some"] = some_layers(model, plan, portable=portable)
    found["alone"] = alone(model, plan, portable=portable)
    found["refusals"] = refusals(make, root, plan, portable=portable)
    found["smoothed"] = smoothed(make, linear, root / "qwen2", portable=portable)
    return found


def some_layers(model: torch.nn.Module, plan: Plan, *, portable: bool) -> dict[str, Any]:
    """One layer made anew and filled beside others that stay as they are."""
    x = torch.randn(3, 256)
    qkv, other = model.get_submodule(QKV), model.get_submodule("model.layers.0.self_attn.qkv_proj")
    before, aside = first(qkv(x)), first(other(x))
    made = mixprec.initialize_specific_layers(model, plan, ["model.layers.1.self_attn.k_proj"], portable=portable)
    empty = [name for name, _ in qkv.named_parameters()]
    account = mixprec.load_model_weights(model, plan, layers=made.layers)
    return {
        "layers": made.layers,
        "same object": model.get_submodule(QKV) is qkv,
        "parameters": sorted(empty),
        "tensors": {name: read.tensors for name, read in account.sources.items()},
        "as before": torch.equal(first(qkv(x)), before) and torch.equal(first(other(x)), aside),
    }


def alone(model: torch.nn.Module, plan: Plan, *, portable: bool) -> dict[str, float]:
    """Layers of their own beside the same ones in the model: the largest difference of their outputs."""
    differences = {}
    for name in (DOWN, QKV, "model.layers.2.mlp.gate_up_proj", "model.layers.3.mlp.down_proj"):
        there: Any = model.get_submodule(name)
        made = mixprec.MixedPrecisionLinear.from_plan(plan, name, portable=portable)
        x = torch.randn(3, there.input_size)
        differences[name] = float((first(made(x)) - first(there(x))).abs().max())
    return differences


def refusals(make: MakeModel, root: Path, plan: Plan, *, portable: bool) -> dict[str, list[str]]:
    """What is said of calls that cannot be right."""
    said = {}
    model = make(root / "llama" / "base")
    unknown = ["model.layers.7.mlp.down_proj"]
    said["unknown layer"] = refusal(
        lambda: mixprec.replace_linear_with_mixed_precision(model, plan, layers=unknown, portable=portable)
    )
    said["nothing changed"] = [
        str(any(isinstance(module, mixprec.MixedPrecisionLinear) for module in model.modules()))
    ]  # fmt: skip
    mixprec.replace_linear_with_mixed_precision(model, plan, layers=r"re:.*layers\.[123]\.", portable=portable)
    said["a block was left out"] = refusal(lambda: mixprec.load_model_weights(model, plan))
    said["no plan"] = refusal(lambda: mixprec.load_model_weights(model, root / "llama" / "base"))
    said["not planned"] = refusal(
        lambda: mixprec.MixedPrecisionLinear.from_plan(plan, "model.layers.7.mlp.down_proj", portable=portable)
    )
    said["bare"] = []
    mixprec.replace_linear_with_mixed_precision(model, plan, initialize=False, portable=portable)
    said["bare"] = refusal(lambda: first(model.get_submodule(DOWN)(torch.randn(1, 512))))
    return said


def smoothed(make: MakeModel, linear: type, root: Path, *, portable: bool) -> dict[str, Any]:
    """Layers with biases, of a source that changed the norms before them."""
    plan = make_plan(read_mix(root / "mixture.yaml"))
    model = make(root / "base")
    told = mixprec.replace_linear_with_mixed_precision(model, plan, portable=portable)
    halves = refusal(lambda: mixprec.load_model_weights(model, plan, layers=told.layers))
    account = mixprec.load_model_weights(model, plan, layers=r"re:model\.layers\.1\.")
    then = mixprec.load_model_weights(model, plan, layers=told.layers)
    whole = mixprec.load_model_weights(model, plan)
    return {
        "layers": told.layers,
        "halves": halves,
        "block": account.parameters,
        "then": then.parameters,
        "whole": whole.parameters,
        "all": len(list(make(root / "base").parameters())),
        "errors": errors(model, linear, plan),
    }


def errors(model: torch.nn.Module, linear: type, plan: Plan) -> dict[str, float]:
    """Each layer's distance from what its planned tensors mean in float32, relative to that."""
    folders = {name: source.path for name, source in plan.sources.items()}
    moved = {layer.layer: folders[layer.source] for layer in plan.layers if layer.source != "model"}
    wanted = float32_mixture(folders["model"], moved)
    united = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
    found = {}
    for name, module in model.named_modules():
        if not isinstance(module, linear):
            continue
        parent, _, leaf = name.rpartition(".")
        members = [f"{parent}.{part}" for part in united.get(leaf, (leaf,))]
        weight = torch.cat([wanted[f"{member}.weight"] for member in members])
        bias = torch.cat([wanted[f"{m}.bias"] for m in members]) if f"{members[0]}.bias" in wanted else 0
        x = torch.randn(8, weight.shape[1], generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
        right = x.to(torch.float32) @ weight.t() + bias
        with torch.no_grad():
            given = first(module(x)).to(torch.float32)
        found[name] = float((given - right).norm() / right.norm())
    return found


def refusal(call: Callable[[], object]) -> list[str]:
    """The error's class and its lines; empty where there was none."""
    try:
        call()
    except MixprecError as fault:
        return [type(fault).__name__, *str(fault).splitlines()]
    return []
