"""The memory report's forms: a picture true to the byte, safe whatever names say, and text and pages that agree with it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.memory import memory_report
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.uniform import uniform_models
from mixprec_runtime.records.memory import MemoryReport, UniformMemory, UnitMemory
from mixprec_runtime.reports.memory_columns import columns_of, series_of
from mixprec_runtime.reports.memory_forms import MEMORY_FORMATS, render_memory
from mixprec_runtime.reports.memory_style import colour_classes
from mixprec_runtime.reports.memory_svg import memory_svg
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import steps
from tests.runtime.giants import LAYOUTS, llama_70b, write_giant

SVG = "{http://www.w3.org/2000/svg}"
RULES = (
    "rules:\n  - {targets: ['re:model.layers.(0|79).*'], source: model}\n  - {targets: ['re:.*mlp.*'], source: gptq}\n"
)


def unit(name: str, form: str = "bf16", *, size: int = 1000, loaded: int | None = None, ranks: int = 1) -> UnitMemory:
    """A unit whose loaded bytes are ``loaded`` and whose repacked bytes are twice that, on every rank."""
    return UnitMemory(
        unit=name, modules=(name,), source="src", format=form, method=None, file_bytes=size * ranks,
        bf16_bytes=4 * size * ranks, uniform={"src": size * ranks}, planned=(size,) * ranks,
        loaded=None if loaded is None else (loaded,) * ranks,
        held=None if loaded is None else (2 * loaded,) * ranks,
    )  # fmt: skip


def report_of(*units: UnitMemory, ranks: int = 1, mix: str = "mix.yaml") -> MemoryReport:
    uniform = UniformMemory(
        source="src", formats=("int8-channel",), by_format={"int8-channel": 900}, bytes=900,
        bytes_per_rank=(900,) * ranks, taken=1, kept=2,
    )  # fmt: skip
    measured = all(each.loaded is not None for each in units)
    grown = (7,) * ranks if measured else None
    return MemoryReport(
        mix=mix, world=ranks, linear=("int8-channel",), units=units, uniform=(uniform,), grown=grown
    )  # fmt: skip


def model(*, loaded: bool = False, ranks: int = 1) -> MemoryReport:
    """Three layers: attention in INT8, MLPs of GPTQ; loading adds a hundredth, so that it can be told from the plan."""
    names = [(f"model.layers.{at}.{part}", form) for at in range(3)
             for part, form in (("self_attn.qkv_proj", "int8-channel"), ("mlp.down_proj", "gptq-int4-g64"))]  # fmt: skip
    units = [unit(name, form, loaded=1010 if loaded else None, ranks=ranks) for name, form in names]
    return report_of(
        unit("model.embed_tokens", size=3000, loaded=3000 if loaded else None, ranks=ranks), *units, ranks=ranks
    )


def drawn(report: MemoryReport) -> ET.Element:
    return ET.fromstring(memory_svg(report))  # noqa: S314  made by the code under test


def of_class(root: ET.Element, name: str, kind: str = "rect") -> list[ET.Element]:
    return [each for each in root.iter(f"{SVG}{kind}") if each.get("class") == name]


def axis(root: ET.Element) -> float:
    """Pixels per byte of the first panel, as its figures and lines say."""
    lines = {float(line.get("y1", 0)) for line in (*of_class(root, "grid", "line"), *of_class(root, "base", "line"))}
    values = {"0": 0, "1 kB": 1000, "2 kB": 2000, "3 kB": 3000, "4 kB": 4000, "8 kB": 8000, "10 kB": 10000}
    marks = {
        values[each.text or ""]: float(each.get("y", 0)) - 4 for each in of_class(root, "soft end", "text")
        if each.text in values
    }  # fmt: skip
    assert all(any(abs(y - line) < 0.02 for line in lines) for y in marks.values())
    (low, high) = min(marks), max(marks)
    return (marks[low] - marks[high]) / (high - low)


def test_a_column_is_as_high_as_its_bytes() -> None:
    root = drawn(model(loaded=True))
    per_byte = axis(root)
    heights = [float(each.get("height", 0)) for each in of_class(root, "c2")]
    columns = [height / per_byte for height in heights if height not in (12, 16)]  # those of the legend and of bars
    assert columns == pytest.approx([1010] * 3, rel=0.01)
    outlines = [float(e.get("height", 0)) for e in of_class(root, "planned") if float(e.get("width", 0)) != 11]
    assert sorted(height / per_byte for height in outlines) == pytest.approx([1000] * 6 + [3000], rel=0.01)


def test_a_plan_is_drawn_as_fills_without_outlines() -> None:
    root = drawn(model())
    assert of_class(root, "planned") == [] and of_class(root, "held", "line") == []
    assert len([e for e in of_class(root, "c2") if float(e.get("height", 0)) not in (12, 16)]) == 3
    assert len(of_class(root, "bf16", "line")) == 4 + 1  # a column each, and the legend's


@pytest.mark.parametrize("name", ['<script>alert("x")</script>', "a&b'c\"d", "m.\x00\x1b[31m\ud800", "a]]>b", "моё.层"])
@pytest.mark.parametrize("form", ["svg", "html"])
def test_names_are_text_and_nothing_else(name: str, form: str) -> None:
    report = report_of(
        unit(f"model.layers.0.{name}", loaded=5), unit(name, loaded=5), mix=f"/{name.replace('/', '')}.yaml"
    )
    text = render_memory(replace(report, uniform=(replace(report.uniform[0], source=name),)), form)
    text.encode("utf-8")
    assert "<script" not in text and "\x1b" not in text and "\x00" not in text
    if form == "svg":
        shown = "".join(ET.fromstring(text).itertext())  # noqa: S314
        assert "script" not in name or "<script>" in shown


@pytest.mark.parametrize("form", ["svg", "html"])
def test_a_picture_loads_nothing_and_runs_nothing(form: str) -> None:
    text = render_memory(model(loaded=True), form).replace("http://www.w3.org/2000/svg", "")
    for word in ("http:", "https:", "url(", "href", "@import", "<script", "src=", "javascript", "<foreignObject"):
        assert word not in text


def test_a_picture_says_in_words_what_it_shows() -> None:
    root = drawn(model(loaded=True))
    named = (root.get("aria-labelledby") or "").split()
    told = {each.get("id"): each.text or "" for each in root if each.get("id")}
    assert root.get("role") == "img" and named == list(told)
    assert "mix.yaml" in told[named[0]]
    for words in (
        "9.0 kB in the checkpoints",
        "25.0 % of BF16",
        "loaded 9.1 kB",
        "int8-channel 3.0 kB",
        "src alone 900 B",
    ):
        assert words in told[named[1]]
    tips = [each.text or "" for each in root.iter(f"{SVG}title")]
    assert any(
        "model.layers.1.mlp.down_proj\ngptq-int4-g64 from src\nplanned 1.0 kB, loaded 1.0 kB" in tip for tip in tips
    )


def test_ranks_that_hold_the_same_share_a_panel() -> None:
    alike = model(ranks=4)
    assert series_of(alike) == ((0, 1, 2, 3),)
    texts = [each.text for each in drawn(alike).iter(f"{SVG}text")]
    assert "Bytes of each layer on each of the ranks 0 to 3" in texts
    other = replace(alike, units=tuple(replace(u, planned=(1000, 1000, 500, 500)) for u in alike.units))
    assert series_of(other) == ((0, 1), (2, 3))
    texts = [each.text for each in drawn(other).iter(f"{SVG}text")]
    assert "Bytes of each layer on each of the ranks 2, 3" in texts


def test_an_embedding_far_above_the_layers_is_cut_and_its_bytes_are_told() -> None:
    report = report_of(unit("model.embed_tokens", size=90_000), *(unit(f"model.layers.{at}.x") for at in range(3)))
    root = drawn(report)
    assert len(of_class(root, "break", "polyline")) == 1
    assert human_bytes(90_000) in [each.text for each in of_class(root, "mid", "text")]
    assert not of_class(drawn(model()), "break", "polyline")


def test_layers_stand_in_order_whatever_order_files_have() -> None:
    names = [
        "lm_head",
        "vision.blocks.1.a",
        "model.layers.10.a",
        "model.layers.2.a",
        "model.embed_tokens",
        "vision.blocks.0.a",
    ]
    columns = columns_of(report_of(*(unit(name) for name in names)))
    assert [(column.stack, column.label) for column in columns] == [
        (None, "lm_head"), ("vision.blocks", "0"), ("vision.blocks", "1"), ("model.layers", "2"), ("model.layers", "10"),
        (None, "embed_tokens"),
    ]  # fmt: skip
    assert sum(column.planned for column in columns) == 6000


def test_small_things_outside_of_the_layers_share_a_column() -> None:
    units = [unit("model.layers.0.a", size=100_000), unit("model.norm", size=400), unit("extra.scale", size=300)]
    (*_, last) = columns_of(report_of(*units))
    assert (last.label, last.planned) == ("rest", 700)
    assert "rest" not in [column.label for column in columns_of(report_of(units[0], unit("model.norm", size=9)))]


def test_formats_keep_their_colours_and_none_is_used_twice() -> None:
    names = [
        "bf16",
        "fp8-channel",
        "fp8-block",
        "gptq-int4-g64",
        "gptq-int4-g128",
        "awq-int4-g64",
        "int8-channel",
        "other",
    ]
    classes = colour_classes(names)
    assert len(set(classes.values())) == len(names)
    assert classes["gptq-int4-g64"] == colour_classes(["gptq-int4-g64"])["gptq-int4-g64"]
    many = colour_classes([f"fp8-{at}" for at in range(30)])
    assert len(many) == 30 and len(set(many.values())) == 10


@pytest.mark.parametrize("largest", [1, 3, 7.08e6, 2.1e9, 999, 1000, 1.5e14])
def test_steps_of_an_axis_reach_the_largest_and_are_round(largest: float) -> None:
    found = steps(largest)
    assert found[0] == 0 and found[-2] < largest <= found[-1] and 3 <= len(found) <= 7
    widths = {round(later - before, 6) for before, later in pairwise(found)}
    assert len(widths) == 1 and f"{widths.pop():e}"[0] in "125"
    assert steps(0) == (0.0, 1.0)


def test_text_agrees_with_the_record() -> None:
    text = render_memory(model(loaded=True, ranks=2), "text", every_layer=True)
    rows = {line[:16].strip(): line.split() for line in text.splitlines() if line.strip()}
    assert rows["this mixture"][2:7] == ["18.0", "kB", "25.0", "%", "9.0"]
    assert "2 it lacks are the base's" in text
    assert text.count("2 x 1.0 kB") >= 6
    (rank,) = [line.split() for line in text.splitlines() if line.split()[:1] == ["1"]]
    assert rank == ["1", "9.0", "kB", "9.1", "kB", "18.1", "kB", "7", "B"]
    assert "nothing has been loaded" in render_memory(model(), "text")


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        title = dict(attrs).get("title")
        if tag == "td" and title:
            self.rows[-1].append(title)


def test_the_page_has_every_figure_to_the_byte() -> None:
    report = model(loaded=True)
    parser = _Cells()
    parser.feed(render_memory(report, "html"))
    assert len(parser.rows) == 1 + len(report.units)
    assert parser.rows[1] == ["3,000 bytes", "3,000 bytes", "6,000 bytes", "12,000 bytes", "3,000 bytes"]


@pytest.mark.parametrize("form", MEMORY_FORMATS)
def test_a_report_of_nothing_can_be_written(form: str) -> None:
    empty = MemoryReport(mix="m", world=0, linear=(), units=(), uniform=(), grown=None)
    assert render_memory(empty, form)


def test_a_70b_model_has_a_column_per_layer(tmp_path: Path) -> None:
    for name, (layout, quantization) in LAYOUTS.items():
        write_giant(
            tmp_path / name, llama_70b(layout), quantization=quantization, num_attention_heads=64,
            num_key_value_heads=8, num_hidden_layers=80, hidden_size=8192, vocab_size=128256,
        )  # fmt: skip
    file = tmp_path / "big.yaml"
    file.write_text(
        f"model: base\nsources: {{fp8: {{path: fp8}}, gptq: {{path: gptq}}}}\ndefault: fp8\n{RULES}ignore: [lm_head]\n"
    )
    mix = read_mix(file)
    plan = make_plan(mix, tensor_parallel_size=4)
    assert plan.valid
    report = memory_report(plan, uniform=uniform_models(mix, plan))
    assert (report.bf16_bytes, len(columns_of(report, rank=0))) == (141_107_412_992, 82)
    assert report.file_bytes == plan.totals.bytes
    root = drawn(report)
    numbers = [each.text for each in of_class(root, "soft mid", "text")]
    assert "78" in numbers and "77" not in numbers and "layer" in numbers
    width = float(root.get("width") or 0)
    for rect in root.iter(f"{SVG}rect"):
        if rect.get("x") is not None:
            left = float(rect.get("x", 0))
            assert left >= 0 and left + float(rect.get("width", 0)) <= width
    assert len(memory_svg(report)) < 300_000


def test_panels_of_ranks_have_the_same_columns_and_one_scale() -> None:
    units = [replace(each, planned=(9000, 10) if at % 2 else (0, 700)) for at, each in enumerate(model(ranks=2).units)]
    report = replace(model(ranks=2), units=tuple(units))
    first, second = (columns_of(report, rank=rank) for rank in (0, 1))
    assert [column.label for column in first] == [column.label for column in second]
    figures = [
        each.text for each in of_class(drawn(report), "soft end", "text") if (each.text or "").endswith(("B", "0"))
    ]
    assert len(series_of(report)) == 2 and figures[: len(figures) // 2] == figures[len(figures) // 2 :]
