"""YAML with marks: places, doubles, bombs, and nothing but InvalidMix for whatever is no YAML."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.mixfile.errors import InvalidMix
from mixprec_runtime.mixfile.marked_yaml import MAX_BYTES, Marked, read_yaml


def faults(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "mix.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidMix) as caught:
        read_yaml(file)
    assert caught.value.exit_code == 2
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


def test_every_place_has_its_mark(tmp_path: Path) -> None:
    file = tmp_path / "mix.yaml"
    file.write_text("model: x\nrules:\n  - {targets: [a, b], source: s}\n")
    document = read_yaml(file)
    assert document.value == {"model": "x", "rules": [{"targets": ["a", "b"], "source": "s"}]}
    places = {path: (mark.line, mark.column) for path, mark in document.marks.items()}
    assert places[("model",)] == (1, 1)
    assert places[("rules", 0)] == (3, 5)
    assert places[("rules", 0, "targets", 1)] == (3, 19)
    assert places[("rules", 0, "source")] == (3, 23)


def test_an_unknown_place_has_the_mark_of_the_nearest_above(tmp_path: Path) -> None:
    file = tmp_path / "mix.yaml"
    file.write_text("a:\n  b: {c: 1}\n")
    document = read_yaml(file)
    assert document.mark(("a", "b", "nothing", 7)) == document.marks["a", "b"]
    assert document.mark(("nothing",)).line == 1


def test_a_key_that_stands_twice_names_both_places(tmp_path: Path) -> None:
    assert faults(tmp_path, "model: a\ndefault: b\nmodel: c\n") == [
        f"mix.yaml:3:1: key 'model' stands here again; first {tmp_path}/mix.yaml:1:1"
    ]


def test_every_double_is_listed(tmp_path: Path) -> None:
    found = faults(tmp_path, "a: 1\na: 2\nb: {c: 1, c: 2, 'c': 3}\n")
    assert [fault.partition(": ")[0] for fault in found] == ["mix.yaml:2:1", "mix.yaml:3:11", "mix.yaml:3:17"]


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (fault,) = faults(tmp_path, "\n".join(lines))
    assert "by aliases" in fault


def test_a_bomb_of_merge_keys_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    (fault,) = faults(tmp_path, "\n".join(lines))
    assert "by aliases" in fault


def test_a_bomb_inside_a_key_is_refused(tmp_path: Path) -> None:
    parts = ["&a0 [x, x]", *(f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    (fault,) = faults(tmp_path, f"? [{', '.join(parts)}]\n: 1\n")
    assert "mix.yaml:1:3: a key is plain text" in fault


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "&a {b: *a}\n", "? &a [*a]\n: 1\n", "&a [&b [*a, *b]]\n"])
def test_a_document_that_holds_itself_is_refused(tmp_path: Path, text: str) -> None:
    faults(tmp_path, text)


@pytest.mark.parametrize("text", ["[" * 3000, "{a: " * 3000, "- " * 3000, "[" * 200 + "]" * 200])
def test_nesting_without_end_is_refused(tmp_path: Path, text: str) -> None:
    faults(tmp_path, text)


@pytest.mark.parametrize("text, words", [
    ("", "is empty"),
    ("# nothing\n", "is empty"),
    ("a: [1,\nb: 2\n", "is no YAML"),
    ("a: b: c\n", "mix.yaml:1:5: is no YAML: mapping values are not allowed here"),
    ("a: 1\n--- \nb: 2\n", "is no YAML"),
    ("a: *nothing\n", "found undefined alias"),
    ("a: !!python/object/apply:os.system ['true']\n", "mix.yaml:1:4: is no YAML: could not determine a constructor"),
    ("a: !!int ''\n", "is no YAML"),
    ("a: !!float ''\n", "is no YAML"),
    ("a: !!bool maybe\n", "is no YAML"),
    ("a: !!timestamp soon\n", "is no YAML"),
    ("a: 2000-13-45\n", "is no YAML"),
    ("a: \x07\n", "is no YAML"),
    (b"\xff\xfe\xff", "cannot be read"),
    ("a: '" + "x" * MAX_BYTES + "'", "is longer than"),
    ("a: 1" + ":1" * 50_000 + "\n", "is longer than 10,000 characters"),
    ("x" * 20_000 + ": 1\n", "is"),
    ("a: " + "9" * 5000 + "\n", "is no YAML"),
])  # fmt: skip
def test_what_is_no_document_says_where_and_why(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert words in faults(tmp_path, text)[0]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidMix, match=r"nowhere\.yaml:1:1: there is no such file"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_a_folder_is_no_mix_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidMix, match="cannot be read"):
        read_yaml(tmp_path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(InvalidMix, match="is longer than"):
        read_yaml(Path("/dev/zero"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_process_substitution_is_read() -> None:
    read, write = os.pipe()
    os.write(write, b"model: x\n")
    os.close(write)
    try:
        assert read_yaml(Path(f"/dev/fd/{read}")).value == {"model": "x"}
    finally:
        os.close(read)


def outcome(text: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mix.yaml"
        file.write_text(text, encoding="utf-8", newline="")
        try:
            return read_yaml(file)
        except InvalidMix as invalid:
            assert all(fault.mark.line >= 1 and fault.mark.column >= 1 for fault in invalid.faults)
            return None


pieces = st.sampled_from([
    "a", "b: ", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "&x ", "*x", "!!int ", "!!set ", "!!omap ", "!x ",
    "'", '"', "|\n", ">", "# ", "? ", "<<: ", "1", "1:2", "~", "yes", "%YAML 1.1\n", "---\n", "...", "2001-01-01", "\t",
    "\ufeff", "=", "!!binary ", "!!pairs ", "!!null ", ".inf", "0x", "0b", "_", "@", "`",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=14).map("".join) | st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_is_a_document_or_an_invalid_mix(text: str) -> None:
    found = outcome(text)
    assert found is None or isinstance(found, Marked)
