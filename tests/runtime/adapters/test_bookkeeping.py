"""A load is a stream that accounts for every tensor and every parameter."""

from __future__ import annotations

import json
import struct
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

from mixprec_runtime.adapters.bookkeeping import (  # noqa: E402
    Bookkeeper,
    StrictLoadingError,
    memory_in_use,
    module_bytes,
)
from mixprec_runtime.adapters.tensors import TensorMismatch, group_order_is_trivial, read_tensors  # noqa: E402
from mixprec_runtime.loading.state import ProgressFile, read_progress  # noqa: E402
from mixprec_runtime.records.account import LoadFault, SourceRead  # noqa: E402
from mixprec_runtime.runfolder import RunTensor  # noqa: E402

ORDER = torch.arange(8, dtype=torch.int32) // 4


@pytest.fixture
def planned(tmp_path: Path) -> tuple[RunTensor, ...]:
    """Three tensors of two sources; their files hold others too."""
    save_file({"a": torch.ones(2, 3), "unplanned": torch.ones(5)}, tmp_path / "base.safetensors")
    save_file({"b": torch.full((2, 3), 2.0), "b.g_idx": ORDER}, tmp_path / "gptq.safetensors")
    made = {"source": "base", "format": "f32", "dtype": "F32", "shape": (2, 3), "bytes": 24, "droppable": False}
    base = RunTensor(name="a", file=str(tmp_path / "base.safetensors"), **made)
    gptq = replace(base, name="b", source="gptq", file=str(tmp_path / "gptq.safetensors"))
    g_idx = replace(gptq, name="b.g_idx", dtype="I32", shape=(8,), bytes=32, droppable=True)
    return base, gptq, g_idx


@pytest.fixture
def books(planned: tuple[RunTensor, ...], tmp_path: Path) -> Bookkeeper:
    parameters = {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)}
    total = sum(tensor.bytes for tensor in planned)
    return Bookkeeper(planned=planned, parameters=parameters, progress=ProgressFile(tmp_path, rank=0, total=total))


def load(books: Bookkeeper, take: Callable[[str], str | None] = lambda name: name) -> tuple[str, ...]:
    """Copy each tensor into the parameter that ``take`` names; what the account finds wrong."""
    with books.recorder:
        for name, data in books.stream():
            target = take(name)
            if target in books.parameters:
                books.parameters[target].copy_(data)
    books.close()
    return tuple(f"{fault.name} {fault.text}" for fault in books.faults)


def test_a_whole_load_has_no_faults(books: Bookkeeper, tmp_path: Path) -> None:
    assert load(books) == ()
    account = books.account(rank=0, world_size=1)
    assert account.sources == {"base": SourceRead(tensors=1, bytes=24), "gptq": SourceRead(tensors=2, bytes=56)}
    assert (account.parameters, account.parameter_bytes, account.redundant) == (2, 48, ("b.g_idx",))
    assert read_progress(tmp_path) == (80, 80)
    assert books.parameters["b"].eq(2).all()


def test_a_tensor_that_nothing_takes_is_a_fault(books: Bookkeeper) -> None:
    assert load(books, lambda name: None if name == "b" else name) == (
        "b (source gptq) was not taken by any parameter",
        "parameter b was never filled",
    )


def test_a_parameter_that_two_tensors_fill_is_a_fault(books: Bookkeeper) -> None:
    assert load(books, lambda name: None if name == "b.g_idx" else "a") == (
        "parameter a has 6 of 6 elements that were filled more than once",
        "parameter b was never filled",
    )


def test_a_group_order_that_matters_must_not_be_left_out(books: Bookkeeper, tmp_path: Path) -> None:
    save_file({"b": torch.ones(2, 3), "b.g_idx": ORDER.flip(0).contiguous()}, tmp_path / "gptq.safetensors")
    assert load(books) == ("b.g_idx (source gptq) orders groups in a way that the engine leaves out",)


def test_a_tensor_of_another_rank_s_layers_may_be_left_out(books: Bookkeeper) -> None:
    books.elsewhere = lambda name: name == "b"
    assert load(books, lambda name: None if name == "b" else name) == ("parameter b was never filled",)


def test_an_engine_that_stops_is_noted_with_the_tensor(books: Bookkeeper) -> None:
    with pytest.raises(KeyError) as caught, books.recorder:
        for name, _ in books.stream():
            raise KeyError(f"{name} is unknown. The available parameters are a, b, c")
    books.interrupted(caught.value)
    (fault,) = books.faults
    assert fault.name == "a" and fault.text == "stopped the engine: KeyError: 'a is unknown."


def filled(books: Bookkeeper, fill: Callable[[torch.Tensor, torch.Tensor], None]) -> tuple[str, ...]:
    """A load in which ``fill(parameter, tensor)`` is what the engine does; its faults."""
    with books.recorder:
        for name, data in books.stream():
            if name in books.parameters:
                fill(books.parameters[name], data)
    books.close()
    return tuple(f"{fault.name} {fault.text}" for fault in books.faults)


def test_an_operator_that_leaves_elements_out_is_found_out(books: Bookkeeper) -> None:
    rows = torch.tensor([0])
    assert filled(books, lambda parameter, data: parameter.index_copy_(0, rows, data[rows])) == (
        "parameter a has 12 bytes that hold what they held before loading",
        "parameter b has 12 bytes that hold what they held before loading",
    )


def test_a_single_row_that_an_operator_leaves_out_of_a_large_parameter_is_found_out(tmp_path: Path) -> None:
    rows = torch.arange(4096)
    for left in (0, 1234):
        save_file({"w": torch.ones(4096, 512, dtype=torch.bfloat16)}, tmp_path / "w.safetensors")
        made = {"source": "base", "format": "bf16", "dtype": "BF16", "shape": (4096, 512), "bytes": 1 << 22}
        tensor = RunTensor(name="w", file=str(tmp_path / "w.safetensors"), droppable=False, **made)
        books = Bookkeeper(
            planned=(tensor,),
            parameters={"w": torch.zeros(4096, 512, dtype=torch.bfloat16)},
            progress=ProgressFile(tmp_path, rank=0, total=1),
        )
        taken = rows[rows != left]
        with books.recorder:
            for _, data in books.stream():
                books.parameters["w"].index_copy_(0, taken[:2000], data[taken[:2000]])
                books.parameters["w"][taken[2000:]] = data[taken[2000:]]
        books.close()
        words = [f"{fault.name} {fault.text}" for fault in books.faults]
        assert "parameter w has 1,024 bytes that hold what they held before loading" in words


def test_what_goes_round_the_dispatcher_is_not_taken_for_filled(books: Bookkeeper) -> None:
    def behind_the_back(parameter: torch.Tensor, data: torch.Tensor) -> None:
        parameter.numpy()[...] = data.numpy()

    assert filled(books, behind_the_back) == (
        "a (source base) was not taken by any parameter",
        "b (source gptq) was not taken by any parameter",
        "parameter a was not filled by anything that mixprec can watch",
        "parameter b was not filled by anything that mixprec can watch",
    )


def test_adding_to_a_parameter_does_not_fill_it(books: Bookkeeper) -> None:
    words = filled(books, lambda parameter, data: parameter.add_(data))
    assert "a (source base) was not taken by any parameter" in words and len(words) == 4
    assert "parameter a was changed in place and never filled" in words


def test_a_tensor_of_which_only_a_part_goes_in_is_a_fault_on_a_single_rank(books: Bookkeeper) -> None:
    books.whole = True
    assert filled(books, lambda parameter, data: parameter[:, :2].copy_(data[:, :2])) == (
        "a (source base) went in with 4 of 6 elements",
        "b (source gptq) went in with 4 of 6 elements",
        "parameter a has 2 of 6 elements that no tensor filled",
        "parameter b has 2 of 6 elements that no tensor filled",
    )


def test_parameters_that_are_exchanged_while_loading_are_refused(books: Bookkeeper) -> None:
    with books.recorder:
        for name, data in books.stream():
            if name in books.parameters:
                books.parameters[name].copy_(data)
    books.close({"a": torch.ones(2, 3), "c": torch.ones(1)})
    assert [f"{fault.name} {fault.text}" for fault in books.faults] == [
        "parameter a was replaced by another tensor while it was loaded",
        "parameter b was filled and then taken out of the model",
        "parameter c came into the model while it was loaded, and nothing watched it",
    ]


def test_a_parameter_that_may_be_kept_is_neither_poisoned_nor_missed(
    planned: tuple[RunTensor, ...], tmp_path: Path
) -> None:
    parameters = {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3), "k_scale": torch.tensor(-1.0)}
    books = Bookkeeper(
        planned=planned,
        parameters=parameters,
        progress=ProgressFile(tmp_path, rank=0, total=80),
        kept={"k_scale": "a default of the engine"},
    )
    assert load(books) == () and float(parameters["k_scale"]) == -1


def test_bytes_that_changed_under_the_same_size_and_time_are_told_by_their_digests(
    books: Bookkeeper, planned: tuple[RunTensor, ...], tmp_path: Path
) -> None:
    books.digesting = True
    assert load(books) == () and books.account(rank=0, world_size=1).digests == "first"
    before = dict(books.digests)
    assert set(before) == {"a", "b", "b.g_idx"}
    file = Path(planned[0].file)
    again = Bookkeeper(
        planned=planned,
        parameters={"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)},
        progress=books.progress,
        digesting=True,
        digests_before=before,
    )
    file.write_bytes(file.read_bytes()[:-24] + bytes(24))
    (fault,) = load(again)
    assert fault.startswith(f"a (source base) has other bytes than when {file} was first loaded (SHA-256 ")
    assert again.account(rank=0, world_size=1).digests == "same"


def test_a_refusal_lists_its_faults() -> None:
    text = str(StrictLoadingError(tuple(LoadFault(name=f"t{n}", text="is missing") for n in range(25))))
    assert "25 faults" in text and "t19 is missing" in text and "t20" not in text and "and 5 more" in text


@pytest.mark.parametrize("change, words", [
    ({"shape": (3, 2)}, r"planned F32\[3, 2\], found F32\[2, 3\]"),
    ({"dtype": "BF16"}, r"planned BF16\[2, 3\], found F32\[2, 3\]"),
    ({"name": "c"}, "c in .*base.safetensors: is missing, though it was planned"),
])  # fmt: skip
def test_a_tensor_that_is_not_as_planned_stops_the_stream(
    planned: tuple[RunTensor, ...], change: dict[str, object], words: str
) -> None:
    with pytest.raises(TensorMismatch, match=words):
        list(read_tensors((replace(planned[0], **change),)))


def test_only_planned_tensors_come_each_once_as_they_lie(planned: tuple[RunTensor, ...]) -> None:
    mixed = (planned[2], planned[0], planned[1])
    assert [tensor.name for tensor, _ in read_tensors(mixed)] == ["a", "b", "b.g_idx"]


def test_a_scalar_and_an_empty_tensor_are_read(tmp_path: Path, planned: tuple[RunTensor, ...]) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"one": torch.tensor(2.0), "none": torch.zeros(0, 3)}, file)
    tensors = tuple(
        replace(planned[0], name=name, file=str(file), shape=shape) for name, shape in (("one", ()), ("none", (0, 3)))
    )
    assert [tuple(data.shape) for _, data in read_tensors(tensors)] == [(), (0, 3)]


def test_every_type_is_read_as_the_safetensors_library_reads_it(tmp_path: Path, planned: tuple[RunTensor, ...]) -> None:
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "I32": "int32"}
    names |= {"F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "I8": "int8", "U8": "uint8", "BOOL": "bool"}
    made = {stored: torch.arange(6).to(getattr(torch, name)).reshape(2, 3) for stored, name in names.items()}
    file = tmp_path / "types.safetensors"
    save_file(made, file)
    tensors = tuple(replace(planned[0], name=stored, file=str(file), dtype=stored) for stored in names)
    for tensor, data in read_tensors(tensors):
        wanted = made[tensor.name]
        assert data.dtype == wanted.dtype and torch.equal(data.view(torch.uint8), wanted.view(torch.uint8))


def test_a_tensor_that_lies_askew_is_read(tmp_path: Path, planned: tuple[RunTensor, ...]) -> None:
    header = {"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}
    header["b"] = {"dtype": "F32", "shape": [2], "data_offsets": [3, 11]}
    text = json.dumps(header).encode()
    file = tmp_path / "askew.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"abc" + struct.pack("<2f", 1.5, -2))
    ((_, data),) = read_tensors((replace(planned[0], name="b", file=str(file), shape=(2,)),))
    assert data.tolist() == [1.5, -2]


def test_writing_to_a_tensor_changes_no_file(planned: tuple[RunTensor, ...]) -> None:
    before = Path(planned[0].file).read_bytes()
    for _, data in read_tensors(planned[:1]):
        data.zero_()
    assert Path(planned[0].file).read_bytes() == before


@pytest.mark.parametrize("g_idx, trivial", [
    ([0, 0, 1, 1], True), ([0, 0, 0, 0], True), ([0, 1, 2, 3], True), ([0, 1, 0, 1], False), ([1, 1, 0, 0], False),
    ([0, 0, 0, 1], False), ([0, 0, 2, 2], False), ([], False), ([-1, -1], False), ([0, 0, 1], False),
])  # fmt: skip
def test_a_group_order_is_trivial_when_it_counts_up_evenly(g_idx: list[int], trivial: bool) -> None:
    assert group_order_is_trivial(torch.tensor(g_idx, dtype=torch.int32)) is trivial


def test_a_module_s_bytes_count_each_storage_once() -> None:
    module = torch.nn.Linear(4, 8)
    module.register_buffer("table", torch.zeros(16, dtype=torch.int8))
    module.alias = module.weight.data.t()
    module.extra = torch.zeros(10)
    module.nowhere = torch.zeros(10, device="meta")
    seen: set[int] = set()
    assert module_bytes(module, seen) == 4 * 32 + 4 * 8 + 16 + 40
    assert module_bytes(module, seen) == 0


def test_memory_in_use_grows_with_what_is_held() -> None:
    before = memory_in_use()
    held = torch.ones(64 << 20)  # so large that the allocator takes no memory for it that others have left
    assert memory_in_use() - before > held.nbytes // 2


def fused(tmp_path: Path, suffix: str, first: torch.Tensor, second: torch.Tensor) -> tuple[str, ...]:
    """Two parts of a fused layer, both written into the one parameter that the engine keeps for them."""
    names = [f"mlp.gate.{suffix}", f"mlp.up.{suffix}"]
    save_file(dict(zip(names, (first, second), strict=True)), tmp_path / "fused.safetensors")
    tensors = tuple(
        RunTensor(
            name=name,
            source="s",
            format="gptq-int4-g4",
            file=str(tmp_path / "fused.safetensors"),
            dtype="I32",
            shape=tuple(first.shape),
            bytes=first.numel() * 4,
            droppable=False,
        )
        for name in names
    )
    parameters = {f"gate_up.{suffix}": torch.zeros_like(first)}
    books = Bookkeeper(planned=tensors, parameters=parameters, progress=ProgressFile(tmp_path, rank=0, total=64))
    return load(books, lambda name: f"gate_up.{suffix}")


def test_parts_of_a_fused_layer_may_share_one_group_order(tmp_path: Path) -> None:
    assert fused(tmp_path, "g_idx", ORDER, ORDER.clone()) == ()


def test_parts_of_a_fused_layer_must_agree_on_the_group_order(tmp_path: Path) -> None:
    assert fused(tmp_path, "g_idx", ORDER, ORDER.flip(0)) == (
        "parameter gate_up.g_idx has 8 of 8 elements that were filled more than once",
    )


def test_shapes_that_no_engine_uses_may_replace_each_other(tmp_path: Path) -> None:
    shapes = torch.tensor([4, 8], dtype=torch.int32), torch.tensor([2, 8], dtype=torch.int32)
    assert fused(tmp_path, "weight_shape", *shapes) == ()


def test_weights_are_never_shared(tmp_path: Path) -> None:
    assert fused(tmp_path, "qweight", ORDER, ORDER.clone()) == (
        "parameter gate_up.qweight has 8 of 8 elements that were filled more than once",
    )


def test_parameters_that_were_let_go_are_freed_and_the_account_still_counts_them(books: Bookkeeper) -> None:
    assert load(books) == ()
    before = books.account(rank=0, world_size=1)
    watched = [weakref.ref(parameter) for parameter in books.parameters.values()]
    books.let_go()
    assert [ref() for ref in watched] == [None, None]
    assert books.account(rank=0, world_size=1) == before
