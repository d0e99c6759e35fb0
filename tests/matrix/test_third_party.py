"""Checkpoints that other people's tools made, unchanged, mixed in one model and served: ``nox -s third_party``."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.records.finding import Severity
from mixprec_runtime.cache import cache_folder
from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.plan import Plan
from tests.matrix.agreement import account, log_probabilities, mixture_in_float32, reference_log_probabilities
from tests.matrix.launches import Launched, start
from tests.matrix.third_party.recipes import RECIPES, folder_of, is_current

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

torch = pytest.importorskip("torch", reason="the float32 reference needs torch")
ABSENT = [recipe.name for recipe in RECIPES if not is_current(cache_folder(), recipe)]
if ABSENT:
    pytest.skip(f"nox -s third_party makes {', '.join(ABSENT)}", allow_module_level=True)

TOLERANCE = 2.0
"""Mean |log-probability - float32 reference| per token, in times of what BF16 arithmetic alone costs on this text.

Measured on a CPU with AVX2: 0.088 (BF16 alone 0.090, the unquantized model 1.62 away) and 0.186 (0.121, 0.82) nats.
"""
MIXTURES: dict[str, tuple[tuple[str, str], ...]] = {
    # A block of 128 ends inside q and k of this model (576 and 192 outputs), which no engine can fuse; elsewhere it fits.
    "layouts": (
        (r"re:model\.layers\.[0-5]\.(self_attn\.o_proj|mlp\..*)", "fp8-block"),
        (r"re:model\.layers\.([6-9]|10)\.self_attn\..*", "fp8-static"),
        (r"re:model\.layers\.1[1-5]\..*_proj$", "int4-act-order"),
        (r"re:model\.layers\.(1[6-9]|20)\..*_proj$", "int4-asymmetric"),
        (r"re:model\.layers\.2[1-5]\..*_proj$", "autoround-awq"),
        ("re:.*_proj$", "autoround-gptq"),
    ),
    "smoothed": (
        (r"re:model\.layers\.([0-9]|1[0-4])\..*_proj$", "w8a8-smoothed"),
        ("re:.*_proj$", "int4-awq"),
    ),
}


@pytest.fixture(scope="module", params=list(MIXTURES))
def mix(request: pytest.FixtureRequest, demo: DemoCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mix file; rules name checkpoints as their recipes do."""
    rules = MIXTURES[request.param]
    folders = {recipe.name: folder_of(cache_folder(), recipe) for recipe in RECIPES}
    file: Path = tmp_path_factory.mktemp("third") / f"{request.param}.yaml"
    sources = {name: {"path": str(folders[name])} for _, name in rules}
    content = {
        "model": str(demo.base),
        "sources": sources,
        "rules": [{"targets": [target], "source": name} for target, name in rules],
        "ignore": ["lm_head"],
        "serve": {"port": 8000, "max_model_len": 512, "dtype": "bfloat16", "enforce_eager": True},
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def plan(mix: Path) -> Plan:
    made = make_plan(read_mix(mix))
    assert made.valid, [finding.summary for finding in made.findings]
    return made


@pytest.fixture(scope="module")
def served(plan: Plan, mix: Path) -> Iterator[Launched]:
    launched = start(mix, mix.parent)
    try:
        launched.wait_until_healthy()
        yield launched
    finally:
        if launched.process.poll() is None:
            launched.stop(signal.SIGTERM)


def test_every_layer_comes_from_the_checkpoint_that_its_rule_names(plan: Plan, mix: Path) -> None:
    taken = {layer.source for layer in plan.layers if layer.layer.endswith("_proj")}
    assert taken - {"model"} == set(json.loads(mix.read_text(encoding="utf-8"))["sources"])


def test_smoothed_layers_have_the_norms_that_were_smoothed_with_them(plan: Plan, mix: Path) -> None:
    if mix.stem != "smoothed":
        pytest.skip("nothing of this mixture is smoothed")
    sources = {layer.layer: layer.source for layer in plan.layers}
    for at in range(30):
        for norm, partner in (("input_layernorm", "self_attn.q_proj"), ("post_attention_layernorm", "mlp.up_proj")):
            assert sources[f"model.layers.{at}.{norm}"] == sources[f"model.layers.{at}.{partner}"]


@pytest.mark.parametrize(
    "target, splits", [("down", True), ("(gate|up)", True), ("o", False), ("(gate|up|down)", False)]
)
def test_layers_that_awq_scaled_against_each_other_are_not_split(
    target: str, splits: bool, demo: DemoCheckpoints, tmp_path: Path
) -> None:
    """llm-compressor moves scales from up to down; from v to o it does not, where there are fewer heads of v."""
    (recipe,) = [each for each in RECIPES if each.name == "int4-awq"]
    content = {
        "model": str(demo.base),
        "sources": {"awq": {"path": str(folder_of(cache_folder(), recipe))}},
        "rules": [{"targets": [f"re:.*{target}_proj$"], "source": "awq"}],
    }
    file = tmp_path / "split.yaml"
    file.write_text(json.dumps(content), encoding="utf-8")
    findings = make_plan(read_mix(file)).findings
    assert ("MP637" in {each.code for each in findings if each.severity is Severity.ERROR}) is splits


def test_it_foresees_a_text_as_the_same_weights_do_in_float32(
    served: Launched, mix: Path, demo: DemoCheckpoints, record_property: Any
) -> None:
    from mixprec_runtime.reference.weights import float32_model, float32_weights

    ids, engine = log_probabilities(served)
    measured = torch.tensor(engine)
    reference = mixture_in_float32(mix)
    right = reference_log_probabilities(reference, ids)
    own = (measured - right).abs().mean().item()
    unquantized = float32_model(demo.base, float32_weights(demo.base))
    other = (measured - reference_log_probabilities(unquantized, ids)).abs().mean().item()
    yardstick = (reference_log_probabilities(reference.to(torch.bfloat16), ids) - right).abs().mean().item()
    told = f"mean |log-probability - reference|: {own:.4f}; BF16 alone {yardstick:.4f}; unquantized base {other:.4f}"
    record_property(mix.stem, told)
    print(told)
    assert own < TOLERANCE * yardstick
    assert own < other / 2, "the engine is no nearer to the mixture than to the unquantized model"


def test_every_parameter_is_filled_once_and_weights_stay_compressed(served: Launched, mix: Path) -> None:
    found = account(mix)
    assert found.faults == ()
    linear = [layer for layer in found.layers if layer.layer.endswith("_proj")]
    assert len(linear) == 4 * 30
    assert all(layer.held_bytes < 1.1 * layer.loaded_bytes for layer in linear if "portable" in layer.method)
