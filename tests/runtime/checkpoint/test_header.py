"""Safetensors headers: what is read, and that nothing else than BrokenSafetensors ever comes out of bad bytes."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.checkpoint.errors import BrokenSafetensors
from mixprec_runtime.checkpoint.header import MAX_HEADER, read_header
from mixprec_runtime.records.checkpoint import DTYPE_BITS
from tests.runtime.builders import Tensor, encode, raw_file

ENTRY = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def fault_of(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(BrokenSafetensors) as caught:
        read_header(file)
    assert str(file) in str(caught.value)
    return caught.value.fault


def outcome(content: bytes) -> object:
    """What reading gives: tensors, or None for a BrokenSafetensors."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.safetensors"
        file.write_bytes(content)
        try:
            return read_header(file)
        except BrokenSafetensors as fault:
            assert str(fault)
            return None


def test_offsets_count_from_the_start_of_the_file(file: Path) -> None:
    tensors = {"a": Tensor("U8", (2, 3)), "b": Tensor("BF16", (4,))}
    file.write_bytes(encode(tensors, metadata={"format": "pt"}))
    content = file.read_bytes()
    for name, header in read_header(file).items():
        assert content[header.begin : header.end] == tensors[name].content
        assert (header.dtype, header.shape) == (tensors[name].dtype, tensors[name].shape)
        assert header.file == file


def test_tensors_come_in_the_order_of_their_bytes(file: Path) -> None:
    header = {
        "later": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]},
        "first": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    }
    file.write_bytes(raw_file(header, b"ab"))
    assert list(read_header(file)) == ["first", "later"]


def test_a_scalar_and_an_empty_tensor_are_tensors(file: Path) -> None:
    file.write_bytes(encode({"none": Tensor("F32", (0, 7)), "one": Tensor("F32", ())}))
    assert {name: header.nbytes for name, header in read_header(file).items()} == {"none": 0, "one": 4}


def test_the_library_reads_what_we_read(file: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    numpy = pytest.importorskip("numpy")
    safetensors.save_file({"a": numpy.arange(6, dtype="int32").reshape(2, 3)}, file, metadata={"k": "v"})
    header = read_header(file)["a"]
    assert (header.dtype, header.shape) == ("I32", (2, 3))
    assert file.read_bytes()[header.begin : header.end] == numpy.arange(6, dtype="int32").tobytes()


def test_a_truncated_file_says_how_much_is_there(file: Path) -> None:
    whole = encode({"a": Tensor("U8", (100,))})
    fault = fault_of(file, whole[:-40])
    assert "is cut off" in fault and f"need {len(whole)} bytes" in fault and f"has {len(whole) - 40}" in fault


@pytest.mark.parametrize("kept", [0, 3, 7])
def test_a_file_without_a_length_is_refused(file: Path, kept: int) -> None:
    assert f"has {kept} bytes" in fault_of(file, encode({"a": Tensor("U8", (1,))})[:kept])


def test_a_file_cut_off_inside_its_header_is_refused(file: Path) -> None:
    assert "header needs" in fault_of(file, encode({"a": Tensor("U8", (1,))})[:20])


def test_an_absurd_header_length_is_not_read(file: Path) -> None:
    assert "no safetensors file" in fault_of(file, struct.pack("<Q", MAX_HEADER + 1) + b"{}")


@pytest.mark.parametrize("header, words", [
    (b"{", "no JSON"),
    (b"\xff\xfe\xfd", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    ([1, 2], "no JSON object"),
    ({"a": 5}, "not by an object"),
    ({"a": {**ENTRY, "dtype": "F7"}}, "unknown type 'F7'"),
    ({"a": {**ENTRY, "dtype": ["U8"]}}, "unknown type"),
    ({"a": {**ENTRY, "shape": [-1, -2]}}, "the shape [-1, -2]"),
    ({"a": {**ENTRY, "shape": [True, 2]}}, "the shape"),
    ({"a": {**ENTRY, "shape": [2.0]}}, "the shape"),
    ({"a": {**ENTRY, "shape": None}}, "the shape None"),
    ({"a": {**ENTRY, "data_offsets": [0]}}, "the offsets [0]"),
    ({"a": {**ENTRY, "data_offsets": [2, 0]}}, "gives tensor 'a' -2 bytes; U8 [2] needs 2"),
    ({"a": {**ENTRY, "shape": [3]}}, "U8 [3] needs 3"),
    ({"a": ENTRY, "b": ENTRY}, "overlaps the tensor before it: 'b'"),
    ({"a": {**ENTRY, "data_offsets": [1, 3]}}, "leaves a hole before it: 'a'"),
    ({}, "has 2 bytes after its last tensor"),
])  # fmt: skip
def test_a_header_that_contradicts_itself_is_refused(file: Path, header: object, words: str) -> None:
    assert words in fault_of(file, raw_file(header, b"\x00\x00"))


def test_numbers_without_end_are_refused_at_once(file: Path) -> None:
    huge = int("9" * 4000)
    fault_of(file, raw_file({"a": {**ENTRY, "shape": [huge, huge]}}, b"\0\0"))
    fault_of(file, raw_file({"a": {**ENTRY, "data_offsets": [0, huge]}}, b"\0\0"))
    fault_of(file, raw_file({"a": {**ENTRY, "shape": [2**62] * 200_000}}, b"\0\0"))
    fault_of(file, raw_file(b'{"a": {"dtype": "U8", "shape": [' + b"9" * 10_000 + b"]}}", b"\0\0"))


def test_a_name_that_no_text_can_hold_is_refused(file: Path) -> None:
    assert "name" in fault_of(file, raw_file(b'{"\\ud800": ' + json.dumps(ENTRY).encode() + b"}", b"\0\0"))


def test_a_name_that_would_drive_a_terminal_is_refused(file: Path) -> None:
    assert "name" in fault_of(file, raw_file({"a\x1b[2J": ENTRY}, b"\0\0"))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").mkdir()
    with pytest.raises(BrokenSafetensors, match="cannot be read"):
        read_header(tmp_path / "x.safetensors")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=64))
def test_arbitrary_bytes_give_nothing_but_a_broken_file(content: bytes) -> None:
    outcome(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*DTYPE_BITS, "F7"]) | json_values,
        "shape": st.lists(st.integers(-1, 5) | st.integers(), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(0, 40) | st.integers(), min_size=1, max_size=3) | json_values,
    },
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=5), entries | json_values, max_size=3) | json_values, st.binary(max_size=40))
def test_arbitrary_headers_give_tensors_that_tile_the_file_or_a_fault(header: object, data: bytes) -> None:
    content = raw_file(header, data)
    read = outcome(content)
    if isinstance(read, dict):
        assert sum(tensor.nbytes for tensor in read.values()) == len(data)


names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=8).filter(
    lambda name: name != "__metadata__"
)
tensor_dicts = st.dictionaries(
    names,
    st.builds(
        Tensor,
        st.sampled_from([name for name, bits in DTYPE_BITS.items() if bits % 8 == 0]),
        st.lists(st.integers(0, 4), max_size=3).map(tuple),
    ),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(tensor_dicts)
def test_what_is_written_is_read(tensors: dict[str, Tensor]) -> None:
    content = encode(tensors)
    read = outcome(content)
    assert isinstance(read, dict)
    found = {name: Tensor(h.dtype, h.shape, content[h.begin : h.end]) for name, h in read.items()}
    assert found == {name: Tensor(t.dtype, t.shape, t.content) for name, t in tensors.items()}


@settings(max_examples=60, deadline=None)
@given(tensor_dicts.filter(lambda tensors: any(t.content for t in tensors.values())), st.data())
def test_a_file_cut_off_anywhere_is_refused(tensors: dict[str, Tensor], data: st.DataObject) -> None:
    content = encode(tensors)
    kept = data.draw(st.integers(0, len(content) - 1))
    assert outcome(content[:kept]) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(BrokenSafetensors, match="no regular file"):
        read_header(tmp_path / "x.safetensors")
