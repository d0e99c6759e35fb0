"""The matrix as text, JSON, Markdown and HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mixprec_doctor.records.matrix import Matrix
from mixprec_doctor.records.role import Role
from mixprec_doctor.reports.matrices import FORMS, format_of, render_matrix
from mixprec_doctor.reports.page import Page
from mixprec_doctor.version import __version__
from tests.doctor.matrices import found, matrix_of, missing, parameter, release

BITS, GROUP = parameter("weight_bits", annotation="int"), parameter("group_size", "128", "int")
EVIL = "</script><script>alert(1)</script><!--|`*"


@pytest.fixture
def matrix() -> Matrix:
    """A class that was renamed and moved, after a release that cannot be read, and lost another role."""
    loader = found("get_model_loader", "vllm.loader", role=Role.GET_MODEL_LOADER)
    return matrix_of(
        release("0.8.0", found(parameters=[BITS]), loader),
        release("0.9.0", found(parameters=[BITS, GROUP]), loader),
        release("0.10.0", found(parameters=[BITS, GROUP]), loader),
        release("0.11.0", faults=["the index answered 503"]),
        release("0.12.0", found("AutoGPTQConfig", "vllm.auto", [BITS, GROUP]), missing(Role.GET_MODEL_LOADER)),
    )


def page_data(text: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert match
    data = json.loads(match[1])
    assert isinstance(data, dict)
    return data


def texts_of(matrix: Matrix) -> list[str]:
    texts = page_data(render_matrix(matrix, "html"))["texts"]
    assert isinstance(texts, list)
    return texts


# ---- text


def test_text_shows_ranges_imports_and_what_changed_between_them(matrix: Matrix) -> None:
    assert render_matrix(matrix, "text") == (
        "vllm 0.8.0 … 0.12.0, 5 releases\n"
        "  ? 0.11.0: the index answered 503\n"
        "\n"
        "gptq.config\n"
        "  ✓ 0.8.0           from vllm.gptq import GPTQConfig\n"
        "        GPTQConfig(weight_bits: int)\n"
        "  ✓ 0.9.0 … 0.10.0  from vllm.gptq import GPTQConfig\n"
        "        + group_size: int = 128\n"
        "  ? 0.11.0          could not be read\n"
        "  ✓ 0.12.0          from vllm.auto import AutoGPTQConfig\n"
        "        was GPTQConfig before\n"
        "        moved here from vllm.gptq\n"
        "        AutoGPTQConfig(weight_bits: int, group_size: int = 128)\n"
        "\n"
        "get_model_loader\n"
        "  ✓ 0.8.0 … 0.10.0  from vllm.loader import get_model_loader\n"
        "        get_model_loader()\n"
        "  ? 0.11.0          could not be read\n"
        "  ✗ 0.12.0          missing\n"
        "        is gone\n"
        "\n"
        "✗ vllm 0.12.0 has nothing for get_model_loader; 0.10.0 has it\n"
        "✗ 5 releases, 1 could not be read, 1 role lost in the newest (0.5 s)\n"
    )


def test_text_fits_a_hundred_columns() -> None:
    module = "vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors"
    many = [parameter(f"a_parameter_of_some_length_{at}", "None", "Optional[Dict[str, int]]") for at in range(40)]
    lines = render_matrix(matrix_of(release("0.10.0.post1", found("CompressedTensorsConfig", module, many))), "text")
    assert max(map(len, lines.splitlines())) <= 100
    assert "… 40 parameters in all (--format json or html shows them)" in lines


def test_colour_only_paints_the_text(matrix: Matrix) -> None:
    painted = render_matrix(matrix, "text", Page(width=100, colour=True))
    assert re.sub(r"\033\[[\d;]*m", "", painted) == render_matrix(matrix, "text", Page(width=100))
    assert painted != render_matrix(matrix, "text", Page(width=100))


# ---- JSON


def test_json_starts_like_every_document_and_leaves_no_key_out(matrix: Matrix) -> None:
    document = json.loads(render_matrix(matrix, "json"))
    assert list(document) == ["schema", "mixprec", "engines", "seconds"]
    assert (document["schema"], document["mixprec"]) == ("mixprec.matrix/1", __version__)
    (engine,) = document["engines"]
    assert list(engine) == ["engine", "distribution", "releases", "rows"]
    assert [each["version"] for each in engine["releases"]] == ["0.8.0", "0.9.0", "0.10.0", "0.11.0", "0.12.0"]
    assert engine["releases"][3]["faults"] == ["the index answered 503"]
    row = engine["rows"][0]
    assert {tuple(cell) for cell in row["cells"]} == {tuple(row["cells"][0])}
    unread = row["cells"][3]
    assert {key for key, value in unread.items() if value is not None} == {"version", "changes"}


def test_json_tells_signature_since_and_changes_of_a_cell(matrix: Matrix) -> None:
    row = json.loads(render_matrix(matrix, "json"))["engines"][0]["rows"][0]
    second, third = row["cells"][1:3]
    assert second["import"] == "from vllm.gptq import GPTQConfig"
    assert second["signature"] == "GPTQConfig(weight_bits: int, group_size: int = 128)"
    assert [each["name"] for each in second["parameters"]] == ["weight_bits", "group_size"]
    assert second["changes"] == [
        {"kind": "parameter_added", "parameter": "group_size", "before": None, "after": "group_size: int = 128"}
    ]
    assert (third["since"], third["changes"]) == ("0.9.0", [])


# ---- Markdown


def test_markdown_is_a_table_of_ranges(matrix: Matrix) -> None:
    lines = render_matrix(matrix, "markdown").splitlines()
    assert lines[0] == f"### mixprec matrix {__version__}"
    assert "- vllm 0.12.0 has nothing for get\\_model\\_loader; 0.10.0 has it" in lines
    assert "|  | 0.9.0 … 0.10.0 | ✓ | `from vllm.gptq import GPTQConfig` | `+ group_size: int = 128` |" in lines


def test_markdown_keeps_its_table_whatever_a_default_says() -> None:
    odd = [parameter("a", "'|`\\n'", "Literal['a\n|b']")]
    text = render_matrix(matrix_of(release("1", found()), release("2", found("A|B`", parameters=odd))), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {6}
    assert all(line.count("`") % 2 == 0 for line in rows)


# ---- HTML


class Reader(HTMLParser):
    """Notes what a browser would see of a page before any script runs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "style")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given.get("content") or ""


def read_page(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def test_page_needs_nothing_beside_it(matrix: Matrix) -> None:
    text = render_matrix(matrix, "html")
    reader = read_page(text)
    assert reader.links == []
    assert "{{" not in text
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|document\.write|eval\(", text)


def test_page_allows_only_its_own_script_and_style(matrix: Matrix) -> None:
    text = render_matrix(matrix, "html")
    policy = read_page(text).policy
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        match = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert match
        digest = base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("evil", [EVIL, "{{script}}", "\u2028", "&lt;/script&gt;", "<!--<script>"])
def test_page_is_not_entered_by_names_of_a_release(evil: str) -> None:
    plain = render_matrix(matrix_of(release("1", found(parameters=[BITS]))), "html")
    odd = release(evil, found(evil, evil, [parameter(evil, evil, evil)]), faults=[evil], distribution=evil)
    text = render_matrix(matrix_of(odd), "html")
    assert read_page(text).tags == read_page(plain).tags
    data = page_data(text)
    engines, texts = data["engines"], data["texts"]
    assert isinstance(engines, list)
    assert isinstance(texts, list)
    assert engines[0]["distribution"] == evil
    assert evil in texts


def test_page_data_tells_where_what_changed(matrix: Matrix) -> None:
    data = page_data(render_matrix(matrix, "html"))
    engines, texts = data["engines"], data["texts"]
    assert isinstance(engines, list)
    assert isinstance(texts, list)
    gptq = engines[0]["rows"][0]
    assert gptq["cells"] == [0, 1, 1, -1, 2]
    assert {at: change["weight"] for at, change in gptq["changes"].items()} == {"1": "call", "4": "place"}
    assert [texts[number] for _, _, number, _ in gptq["changes"]["4"]["words"]] == [
        "was GPTQConfig before", "moved here from vllm.gptq",
    ]  # fmt: skip


def test_page_keeps_equal_signatures_once() -> None:
    many = [parameter(f"parameter_{at}", "None", "Optional[str]") for at in range(300)]
    once = len(render_matrix(matrix_of(release("1", found(parameters=many))), "html"))
    releases = [release(f"1.{at}", found(parameters=many[: 300 - at])) for at in range(100)]
    assert len(render_matrix(matrix_of(*releases), "html")) < once + 100 * 300 * 6


def test_page_clips_help_texts_in_annotations_and_json_does_not() -> None:
    helpful = parameter("dtype", "None", f"Arg(help={'text ' * 200!r})")
    matrix = matrix_of(release("1", found()), release("2", found(parameters=[helpful])))
    assert max(len(each) for each in texts_of(matrix)) < 200
    assert "text " * 200 in render_matrix(matrix, "json")


# ---- all


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_room_for_nothing(form: str) -> None:
    assert render_matrix(matrix_of(), form)
    assert "503" in render_matrix(matrix_of(release("1", faults=["503"])), form)


@pytest.mark.parametrize("name, form", [
    ("a.html", "html"), ("a.HTM", "html"), ("a.md", "markdown"), ("a.json", "json"), ("a.txt", "text"), ("a", "text"),
])  # fmt: skip
def test_the_form_follows_the_suffix(name: str, form: str) -> None:
    assert format_of(Path(name)) == form
    assert format_of(None) == "text"
