"""Reports of a fit: text that fits a terminal, JSON that says it all, a picture that is true and safe."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_json import fit_document
from mixprec_runtime.reports.fit_look import colours, grid_of, letters
from mixprec_runtime.reports.fit_text import fit_text
from tests.runtime.fitting.reported import report

LONG = {"gptq": "a-very-long-source-name-of-a-gptq-checkpoint-with-group-size-64", "int8": "int8 [bold]<&>"}


def printed(made: FitReport, width: int) -> list[str]:
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as caught:
        console.print(fit_text(made))
    return caught.get().splitlines()


@pytest.mark.parametrize("layers", [1, 80])
def test_text_keeps_within_the_terminal(layers: int) -> None:
    made = report(layers=layers, names=LONG)
    for width in (40, 60, 80, 100):
        assert max(map(len, printed(made, width))) <= width


def test_the_map_shows_each_unit_in_its_place() -> None:
    made = report(layers=30)
    signs = letters(made.sources)
    lines = printed(made, 80)
    for kind in ("self_attn.qkv_proj", "mlp.down_proj"):
        (row,) = (line for line in lines if line.startswith(kind))
        wanted = [signs[made.chosen.sources[f"model.layers.{layer}.{kind}"]] for layer in range(30)]
        assert row.split()[1] == "".join(wanted)
    (head,) = (line for line in lines if line.startswith("lm_head"))
    assert head.split() == ["lm_head", signs[made.chosen.sources["lm_head"]]]


def test_text_says_what_was_found_what_was_measured_and_what_was_left_out() -> None:
    made = report(layers=8)
    said = "\n".join(printed(made, 80))
    figures = f"{made.chosen.bytes / 1e6:.1f} MB"
    assert f"found: {figures}" in said
    assert re.search(rf"this mixture +{figures} +\S+ +\S+ +{made.measured[0].perplexity:.4g}", said)
    assert re.search(rf"→ +{figures}", said)
    assert "no kernel of the engine takes it here" in said
    assert f"{len(made.front)} of {made.front_points}" in said
    assert "measuring units 41.2 s" in said
    assert "some of the best" in "\n".join(printed(replace(made, front_points=None), 80))


def test_a_loss_that_was_estimated_is_marked() -> None:
    made = report(layers=8)
    everything = frozenset((unit.name, each.source) for unit in made.problem.units for each in unit.options)
    marked = replace(made, losses=replace(made.losses, scaled=everything))
    assert "~" in "\n".join(printed(marked, 80))
    assert "~" not in "\n".join(printed(replace(made, losses=replace(made.losses, scaled=frozenset())), 80))


def test_json_has_every_unit_with_its_options_and_no_number_that_json_lacks() -> None:
    made = report(layers=3)
    unit = made.problem.units[0]
    odd = replace(made.losses, alone={**made.losses.alone, (unit.name, "awq"): float("inf")})
    document = json.loads(json.dumps(fit_document(replace(made, losses=odd)), allow_nan=False))
    assert document["schema"] == "mixprec.fit/1"
    assert document["chosen"]["bytes"] == made.chosen.bytes
    assert document["chosen"]["sources"] == dict(made.chosen.sources)
    assert [each["unit"] for each in document["units"]] == [each.name for each in made.problem.units]
    first = document["units"][0]
    assert first["chosen"] == made.chosen.sources[unit.name]
    assert [each["source"] for each in first["options"]] == ["model", "int8", "gptq", "awq"]
    assert [each["loss"] for each in first["options"]][3] is None
    total = document["fixed_bytes"] + sum(
        next(each["bytes"] for each in unit["options"] if each["source"] == unit["chosen"])
        for unit in document["units"]
    )
    assert total == document["chosen"]["bytes"]
    assert [each["name"] for each in document["measured"]][:2] == ["mixture", "all model"]


def test_letters_and_colours_tell_sources_apart() -> None:
    assert letters(["awq", "awq2", "a", "…"]) == {"awq": "A", "awq2": "W", "a": "B", "…": "C"}
    made = report(layers=2, names={"gptq": "first", "awq": "second"})
    assert len(set(colours(made).values())) == 4
    assert colours(made)["model"] == "plain"
    assert grid_of(made.problem).layers == (0, 1, None)
