"""Layers between which a smoothing quantizer moved scales come from one source, or are refused."""

from __future__ import annotations

import random
import struct

import pytest

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import HIDDEN, LINEAR, Tensor, Tensors, Workshop, model_tensors, write_checkpoint

MIX = "model: base\nsources: {smooth: {path: smooth}}\nrules:\n- {targets: ['re:.*(gate|up)_proj$'], source: smooth}\n"
NORM = "model.layers.{}.post_attention_layernorm.weight"
STATED = {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {}, "ignore": ["re:.*"]}


def bf16(values: list[float], shape: tuple[int, ...]) -> Tensor:
    return Tensor("BF16", shape, b"".join(struct.pack("<f", value)[2:] for value in values))


def drawn(name: str, shape: tuple[int, ...]) -> list[list[float]]:
    draw = random.Random(name)  # noqa: S311
    return [[draw.gauss(0, 1) for _ in range(shape[1])] for _ in range(shape[0])]


def checkpoint(shop: Workshop, name: str, *, smoothing: float = 1.0, folded: float = 1.0, other: str = "") -> None:
    """Norms divided by ``smoothing``, the columns behind them multiplied with it, outputs of up_proj times ``folded``."""
    tensors: Tensors = dict(model_tensors())
    for at in range(2):
        tensors[NORM.format(at)] = bf16([1.0 / smoothing] * HIDDEN, (HIDDEN,))
        for leaf in ("mlp.gate_proj", "mlp.up_proj"):
            rows = drawn(f"{other}{at}{leaf}", LINEAR[leaf])
            factor = smoothing * (folded if leaf == "mlp.up_proj" else 1.0)
            flat = [value * factor for row in rows for value in row]
            tensors[f"model.layers.{at}.{leaf}.weight"] = bf16(flat, LINEAR[leaf])
    write_checkpoint(shop.root / name, tensors, quantization=None if name == "base" else STATED)


def found(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if finding.code == "MP637"]


@pytest.fixture
def shop_with_base(shop: Workshop) -> Workshop:
    checkpoint(shop, "base")
    return shop


def test_a_pair_with_scales_between_its_layers_is_refused_when_split(shop_with_base: Workshop) -> None:
    checkpoint(shop_with_base, "smooth", smoothing=2.0, folded=0.5)
    plan = shop_with_base.plan(MIX)
    assert not plan.valid
    (finding,) = found(plan)
    assert finding.severity is Severity.ERROR and "source 'smooth' has scales between layers" in finding.summary
    text = "\n".join(finding.evidence)
    assert "outputs of the first, some of them: times 0.50, 0.50" in text
    assert f"model.layers.0.mlp.up_proj: the rule at {shop_with_base.root}/mix.yaml:4:3 (source smooth)" in text
    assert "model.layers.0.mlp.down_proj: default (source model)" in text
    assert finding.remedy and "(up_proj|down_proj)" in finding.remedy.text


def test_smoothing_of_norms_alone_splits_no_pair(shop_with_base: Workshop) -> None:
    checkpoint(shop_with_base, "smooth", smoothing=2.0)
    plan = shop_with_base.plan(MIX)
    assert plan.valid and not found(plan)


def test_a_pair_from_one_source_may_have_any_scales(shop_with_base: Workshop) -> None:
    checkpoint(shop_with_base, "smooth", smoothing=2.0, folded=0.5)
    assert shop_with_base.plan(MIX.replace("gate|up", "gate|up|down")).valid


def test_a_source_that_was_not_smoothed_is_not_looked_at(shop_with_base: Workshop) -> None:
    checkpoint(shop_with_base, "smooth", folded=0.5)
    assert not found(shop_with_base.plan(MIX))


def test_weights_that_do_not_resemble_the_base_s_tell_nothing(shop_with_base: Workshop) -> None:
    checkpoint(shop_with_base, "smooth", smoothing=2.0, other="others ")
    (finding,) = found(shop_with_base.plan(MIX))
    assert finding.severity is Severity.WARNING and "may have scales" in finding.summary


def test_the_second_of_a_pair_is_judged_by_the_first_of_its_own_source(shop_with_base: Workshop) -> None:
    """down_proj from the smoothed source, up_proj from the base: its inputs are scaled for another up_proj."""
    checkpoint(shop_with_base, "smooth", smoothing=2.0, folded=0.5)
    plan = shop_with_base.plan(MIX.replace("(gate|up)", "(down)"))
    assert [finding.severity for finding in found(plan)] == [Severity.ERROR]
