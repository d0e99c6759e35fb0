"""The picture of a fit: true to what was chosen and lost, complete in itself, safe whatever names say."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_html import fit_html
from mixprec_runtime.reports.fit_look import colours, layer_losses
from mixprec_runtime.reports.fit_svg import fit_svg
from mixprec_runtime.reports.scales import log_or_linear, spread
from tests.runtime.fitting.reported import report

SVG = "{http://www.w3.org/2000/svg}"
ODD = {"gptq": 'x"><script>alert(1)</script>&', "awq": "long-" * 30, "int8": "[bold]\x07"}


def drawn(made: FitReport) -> ET.Element:
    return ET.fromstring(fit_svg(made))  # noqa: S314  made here


def titled(picture: ET.Element, name: str) -> list[tuple[str, ET.Element]]:
    """Elements that say something when pointed at, with what they say."""
    found = [(each, each.find(f"{SVG}title")) for each in picture.iter(f"{SVG}{name}")]
    return [(title.text or "", each) for each, title in found if title is not None]


def test_each_unit_is_a_cell_in_the_colour_of_its_source() -> None:
    made = report(layers=5)
    classes = colours(made)
    cells = {
        said.splitlines()[0]: each.find(f"{SVG}rect")
        for said, each in titled(drawn(made), "g") if each.get("class") == "cell"
    }  # fmt: skip
    assert set(cells) == {unit.name for unit in made.problem.units}
    for name, box in cells.items():
        assert box is not None
        assert box.get("class") == classes[made.chosen.sources[name]]


def test_layers_stand_in_order_and_kinds_below_each_other() -> None:
    boxes = {
        said.splitlines()[0]: each.find(f"{SVG}rect")
        for said, each in titled(drawn(report(layers=4)), "g") if each.get("class") == "cell"
    }  # fmt: skip
    at = {name: (float(box.get("x", "")), float(box.get("y", ""))) for name, box in boxes.items() if box is not None}
    across = [at[f"model.layers.{layer}.mlp.down_proj"] for layer in range(4)]
    assert across == sorted(across)
    assert len({y for _, y in across}) == 1
    assert at["model.layers.0.self_attn.qkv_proj"][1] < at["model.layers.0.mlp.down_proj"][1] < at["lm_head"][1]
    assert at["lm_head"][0] > across[-1][0]


def test_curves_rise_with_the_loss_of_a_layer() -> None:
    made = report(layers=6)
    wanted = layer_losses(made, "gptq")
    points = {
        int(match[1]): float(each.get("cy", ""))
        for said, each in titled(drawn(made), "circle")
        if (match := re.match(r"layer (\d+) from gptq", said))
    }
    assert sorted(points, key=lambda layer: -points[layer]) == sorted(points, key=lambda layer: wanted[layer])
    assert len(points) == 6


def test_an_estimated_loss_is_an_open_circle() -> None:
    made = report(layers=6)
    (name, source) = next(iter(made.losses.scaled))
    layer = made.problem.unit(name).layer
    opened = [
        said for said, each in titled(drawn(made), "circle") if "open" in each.get("class", "") and "layer" in said
    ]
    assert [said.split(":")[0] for said in opened] == [f"layer {layer} from {source}"]
    assert "~" in opened[0]
    assert "estimated from another source" in "".join(drawn(made).itertext())


def test_the_picture_says_the_figures_of_every_whole_model() -> None:
    made = report(layers=6)
    words = [each.text or "" for each in drawn(made).iter(f"{SVG}text")]
    for size in (made.chosen.bytes, *(made.alone(source).bytes for source in made.sources)):
        assert f"{size / 1e6:.1f} MB" in words
    assert f"{made.measured[0].perplexity:.4g}" in words
    assert "measured" not in [each.text for each in drawn(replace(made, measured=())).iter(f"{SVG}text")]


@pytest.mark.parametrize("layers", [1, 12, 80])
@pytest.mark.parametrize("sources", [("model", "awq"), ("model", "int8", "fp8", "gptq", "awq")])
def test_everything_stands_within_the_picture(layers: int, sources: tuple[str, ...]) -> None:
    picture = drawn(report(layers=layers, sources=sources, names={"gptq": "a-source-with-a-long-name" * 3}))
    width, height = float(picture.get("width", "")), float(picture.get("height", ""))
    for box in picture.iter(f"{SVG}rect"):
        place = [float(box.get(name, "0")) for name in ("x", "y", "width", "height")]
        assert all(math.isfinite(each) for each in place)
        assert place[0] + place[2] <= width
        assert place[1] + place[3] <= height + 1
        assert min(place[2:]) > 0
    for words in picture.iter(f"{SVG}text"):
        assert float(words.get("y", "0")) <= height
        room = width - float(words.get("x", "0"))
        assert "end" in words.get("class", "") or room >= 0


def test_names_cannot_leave_their_place_and_nothing_is_loaded_from_anywhere() -> None:
    made = report(layers=3, names=ODD)
    for markup in (fit_svg(made), fit_html(made)):
        assert "<script" not in markup
        assert re.findall(r"https?://[^\"' ]+", markup) == ["http://www.w3.org/2000/svg"]
        assert not re.search(r"url\(|@import|\shref=|\ssrc=|\son\w+=", markup)
    picture = drawn(made)
    names = [each.get("id") for each in picture.iter() if each.get("id")]
    assert picture.get("aria-labelledby", "").split() == names
    assert picture.find(f"{SVG}title") is not None
    assert picture.find(f"{SVG}desc") is not None


def test_a_fit_that_measured_nothing_and_has_no_front_is_drawn_all_the_same() -> None:
    made = replace(report(layers=2, method="error", measured=False), front=(), front_points=None, notes=(), seconds={})
    words = "".join(drawn(made).itertext())
    assert "relative squared error" in words
    assert "relative squared error" in fit_html(made)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -0.25])
def test_losses_that_are_no_numbers_or_below_zero_leave_the_picture_whole(odd: float) -> None:
    made = report(layers=3)
    name = made.problem.units[1].name
    losses = replace(made.losses, alone={**made.losses.alone, (name, "awq"): odd})
    markup = fit_svg(replace(made, losses=losses))
    assert not re.search(r'="[^"]*\b(nan|inf)\b', markup)
    assert len([said for said, _ in titled(ET.fromstring(markup), "circle") if "from awq" in said]) >= 3  # noqa: S314


class _Rows(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

        self.open = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.rows[-1][-1] += data


def test_the_page_lists_every_unit_with_what_each_source_would_cost_and_lose() -> None:
    made = report(layers=3)
    reader = _Rows()
    reader.feed(fit_html(made))
    rows = {row[0]: row for row in reader.rows if row}
    for unit in made.problem.units:
        row = rows[unit.name]
        assert row[1] == made.chosen.sources[unit.name]
        assert row[3::2].count("–") == len(made.sources) - len(unit.options)
    assert any("no kernel of the engine takes it here" in row for row in reader.rows)


@given(st.lists(st.floats(-1, 1e6) | st.floats(0, 1e-6), min_size=1, max_size=20))
def test_a_scale_of_losses_keeps_their_order_and_shows_a_mark_above_all(values: list[float]) -> None:
    scale = log_or_linear(values, start=200.0, end=10.0)
    places = [scale.at(value) for value in sorted(values)]
    assert places == sorted(places, reverse=True)
    assert all(10.0 <= place <= 200.0 for place in places)
    assert len(scale.marks) >= 2
    assert list(scale.marks) == sorted(set(scale.marks))
    assert all(10.0 - 1e-6 <= scale.at(mark) <= 200.0 for mark in scale.marks)


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=9))
def test_a_scale_of_bytes_holds_all_of_them_between_marks(values: list[int]) -> None:
    scale = spread(values, start=0.0, end=100.0)
    assert scale.low <= min(values)
    assert scale.high >= max(values)
    assert 2 <= len(scale.marks) <= 14
