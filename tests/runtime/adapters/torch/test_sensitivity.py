"""Sensitivities: what a unit is said to lose is what the whole model loses with it, however the model was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="sensitivities are measured with torch and transformers")
pytest.importorskip("transformers", reason="sensitivities are measured with torch and transformers")

from mixprec_runtime.adapters.torch.sensitivity import staged  # noqa: E402
from mixprec_runtime.adapters.torch.sensitivity.divergence import Foreseen, divergence  # noqa: E402
from mixprec_runtime.adapters.torch.sensitivity.errors import weight_errors  # noqa: E402
from mixprec_runtime.adapters.torch.sensitivity.layers import Measured, UnitChoices, measure_layer  # noqa: E402
from mixprec_runtime.adapters.torch.sensitivity.skeleton import skeleton  # noqa: E402
from mixprec_runtime.adapters.torch.sensitivity.staged import StagedModel  # noqa: E402
from mixprec_runtime.adapters.torch.sensitivity.weights import Weights  # noqa: E402
from mixprec_runtime.fitting.choices import problem_of  # noqa: E402
from mixprec_runtime.mixfile.read import read_mix  # noqa: E402
from mixprec_runtime.planning.planner import make_plan  # noqa: E402
from mixprec_runtime.records.fit import Problem  # noqa: E402
from mixprec_runtime.reference.weights import float32_weights  # noqa: E402
from tests.runtime.adapters.torch.mixtures import FORMATS, Made, write_mixture  # noqa: E402
from tests.runtime.adapters.torch.test_loading import EXPERTS  # noqa: E402

IDS = torch.randint(3, 96, (3, 16), generator=torch.Generator().manual_seed(5))
WHOLE = 1 << 40
MODELS: Mapping[str, dict[str, Any]] = {
    "llama": {},
    "qwen2, with biases and a tied head": {
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True,
    },
    "gemma 2, with windows in every other layer and capped logits": {
        "model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True, "sliding_window": 8,
    },
    "gemma 3": {
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True, "sliding_window": 8,
    },
    "mixtral, with experts": EXPERTS["mixtral"],
    "qwen 2, with a shared expert": EXPERTS["qwen 2, with a shared expert"],
}  # fmt: skip


class Bench:
    """A generated model with two sources, and all that can be chosen of it."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        formats = {name: FORMATS[name] for name in ("awq", "int8")}
        rules = "[{targets: ['re:.*layers.*(_proj|w[123])$'], source: awq}, {targets: [model.norm], source: model}]"
        self.made: Made = write_mixture(folder, formats, rules=rules, **config)
        file = folder / "sources.yaml"
        file.write_text("model: base\nsources: {awq: {path: awq}, int8: {path: int8}}\n", encoding="utf-8")
        self.mix = read_mix(file)
        self.problem: Problem = problem_of(self.mix)
        self.folders = {name: folder / name for name in formats} | {"model": folder / "base"}
        self.units = [
            UnitChoices(
                name=unit.name,
                layer=unit.layer,
                modules={o.source: (*unit.modules, *o.follows) for o in unit.options if o.source != "model"},
            )
            for unit in self.problem.units
        ]

    def model(self, most_bytes: int = WHOLE) -> StagedModel:
        return StagedModel(Weights(skeleton(self.folders["model"]), self.folders), most_bytes=most_bytes)

    def reference(self, chosen: Mapping[str, str]) -> torch.Tensor:
        """Logits of a choice, by a model that is built and run as a whole."""
        names = {module: chosen[unit.name] for unit in self.problem.units for module in unit.modules}
        plan = make_plan(read_mix(self._file(names)))
        assert plan.valid, plan.findings
        return Made(self.made.file, plan).reference(IDS)

    def _file(self, names: Mapping[str, str]) -> Path:
        rules = ", ".join(f"{{targets: ['{m}'], source: {s}}}" for m, s in names.items())
        file = self.made.file.parent / "chosen.yaml"
        file.write_text(
            f"model: base\nsources: {{awq: {{path: awq}}, int8: {{path: int8}}}}\nrules: [{rules}]\n", encoding="utf-8"
        )
        return file


@pytest.fixture(scope="module", params=MODELS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), MODELS[request.param])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("llama"), {})


def kl(base: torch.Tensor, other: torch.Tensor) -> float:
    """As the definition has it, in double precision."""
    of, to = (torch.log_softmax(each.double(), -1) for each in (base, other))
    return float((of.exp() * (of - to)).sum(-1).mean())


def all_base(problem: Problem) -> dict[str, str]:
    return {unit.name: "model" for unit in problem.units}


def measured(bench: Bench, model: StagedModel, *, share: float = 0.0) -> dict[tuple[str, str], Measured]:
    reading = model.read(IDS)
    layers: dict[int | None, list[UnitChoices]] = {}
    for unit in bench.units:
        layers.setdefault(unit.layer, []).append(unit)
    found = []
    for units in layers.values():
        found += measure_layer(model, reading, units, {}, share=share, moved=lambda _: None)
    return {(each.unit, each.source): each for each in found}


def test_a_unit_loses_what_the_whole_model_loses_with_it(bench: Bench) -> None:
    found = measured(bench, bench.model())
    base = bench.reference(all_base(bench.problem))
    for unit in (bench.problem.units[0], bench.problem.units[-1]):
        for source in ("awq", "int8"):
            wanted = kl(base, bench.reference({**all_base(bench.problem), unit.name: source}))
            assert found[unit.name, source].nats == pytest.approx(wanted, rel=2e-3)


def test_a_mixture_is_as_far_from_the_base_as_when_it_is_run_as_a_whole(bench: Bench) -> None:
    chosen = {unit.name: ("awq", "int8", "model")[at % 3] for at, unit in enumerate(bench.problem.units)}
    model = bench.model()
    swaps: dict[int | None, list[staged.Swap]] = {}
    for unit in bench.units:
        if (source := chosen[unit.name]) != "model":
            swaps.setdefault(unit.layer, []).append((source, unit.modules[source]))
    apart, nats = model.mixture(model.read(IDS), swaps)
    logits = bench.reference(chosen)
    assert apart == pytest.approx(kl(bench.reference(all_base(bench.problem)), logits), rel=2e-3)
    lost = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    assert nats == pytest.approx(float(lost), rel=1e-4)


def test_what_was_swapped_in_is_swapped_out_again(bench: Bench) -> None:
    model = bench.model()
    reading = model.read(IDS)
    before = model.mixture(reading, {})
    first = [unit for unit in bench.units if unit.layer == 0]
    measure_layer(model, reading, first, {}, share=0.0, moved=lambda _: None)
    assert before == model.mixture(reading, {}) == (0.0, pytest.approx(reading.nats))


def test_a_model_that_is_read_layer_by_layer_gives_the_same_numbers_and_keeps_no_layer(bench: Bench) -> None:
    whole, streamed = bench.model(), bench.model(most_bytes=0)
    assert whole.whole
    assert not streamed.whole
    ones, others = measured(bench, whole), measured(bench, streamed)
    assert {key: each.nats for key, each in ones.items()} == {key: each.nats for key, each in others.items()}
    assert all(parameter.is_meta for parameter in streamed.stack.parameters())
    assert not any(parameter.is_meta for parameter in whole.stack.parameters())


def test_units_of_a_layer_are_measured_together_too(llama: Bench) -> None:
    found = measured(llama, llama.model())
    base = all_base(llama.problem)
    inside = {unit.name: "awq" for unit in llama.problem.units if unit.layer == 1}
    wanted = kl(llama.reference(base), llama.reference({**base, **inside}))
    assert found["1*", "awq"].nats == pytest.approx(wanted, rel=2e-3)


def test_a_source_that_changes_much_less_is_not_followed(llama: Bench) -> None:
    model = llama.model()
    found = measured(llama, model, share=0.2)
    sources = {each.source for each in found.values() if each.nats is not None and each.unit in names(llama, 0)}
    assert sources == {"awq"}
    assert all(each.change > 0 for each in found.values())


def test_what_is_known_is_not_measured_again(llama: Bench) -> None:
    model = llama.model()
    units = [unit for unit in llama.units if unit.layer == 1]
    reading = model.read(IDS)
    first = measure_layer(model, reading, units, {}, share=0.2, moved=lambda _: None)
    known = {(each.unit, each.source): each for each in first}
    lost = known.pop((units[0].name, "awq"))
    again = measure_layer(model, reading, units, known, share=0.2, moved=lambda _: None)
    assert again == [lost]


def test_likely_tokens_stand_for_the_vocabulary(llama: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    model = llama.model()
    reading = model.read(IDS)
    with torch.no_grad():
        away = reading.inputs[-1] * 1.01
    whole = model.compare(reading, away)
    assert whole == model.judge(reading, away)[0]
    monkeypatch.setattr(staged, "LIKELY", 64)
    reading = model.read(IDS)
    assert 0.8 < reading.covered < 1
    assert model.compare(reading, away) == pytest.approx(whole, rel=0.3)
    assert model.model.get_output_embeddings().weight.shape[0] == 96


def test_small_divergences_keep_their_digits() -> None:
    base = torch.randn(4, 50_000, generator=torch.Generator().manual_seed(1)) * 3
    other = base + 1e-3 * torch.randn(4, 50_000, generator=torch.Generator().manual_seed(2))
    found = float(divergence(Foreseen.of(base), other).mean())
    assert found == pytest.approx(kl(base, other), rel=1e-3)
    assert float(divergence(Foreseen.of(base), base + 7.0).abs().max()) < 1e-9


def test_errors_of_weights_are_relative_to_the_weights(llama: Bench) -> None:
    found = {(unit, source): error for unit, source, error in weight_errors(llama.folders, llama.units)}
    unit = next(each for each in llama.problem.units if each.kind == "mlp.down_proj")
    name = f"{unit.modules[0]}.weight"
    own, its = (float32_weights(llama.folders[each])[name].double() for each in ("model", "awq"))
    wanted = float((own - its).square().sum() / own.square().sum()) * own.numel()
    assert found[unit.name, "awq"] == pytest.approx(wanted, rel=1e-4)
    assert found[unit.name, "int8"] < found[unit.name, "awq"] / 50


def names(bench: Bench, layer: int) -> set[str]:
    return {unit.name for unit in bench.units if unit.layer == layer}
