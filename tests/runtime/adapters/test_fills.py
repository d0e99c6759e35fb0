"""Fills are observed at the dispatcher: each element once, whoever writes it and through whatever view."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.adapters.fills import FillRecorder, Region, _tile, _tiles  # noqa: E402


def parameter(*shape: int, dtype: object = None) -> object:
    return torch.nn.Parameter(torch.zeros(*shape, dtype=dtype or torch.float32), requires_grad=False)


def test_a_copy_of_the_whole_is_one_fill() -> None:
    p = parameter(4, 6)
    with FillRecorder({"p": p}) as recorder:
        recorder.current = "a.weight"
        p.data.copy_(torch.ones(4, 6))
    assert recorder.faults() == {} and recorder.written == {"a.weight": 24}


def test_a_parameter_that_nothing_wrote_is_missing() -> None:
    with FillRecorder({"p": parameter(2), "q": parameter(0)}) as recorder:
        torch.ones(2).mul_(3)
    assert recorder.faults() == {"p": "was never filled"}


def test_a_part_that_nothing_wrote_is_counted() -> None:
    p = parameter(4, 6)
    with FillRecorder({"p": p}) as recorder:
        p.data[:, :4].copy_(torch.ones(4, 4))
    assert recorder.faults() == {"p": "has 8 of 24 elements that no tensor filled"}


def test_a_part_that_was_written_twice_is_counted() -> None:
    p = parameter(4, 6)
    with FillRecorder({"p": p}) as recorder:
        p.data.copy_(torch.ones(4, 6))
        p.data[1].fill_(2)
    assert recorder.faults() == {"p": "has 6 of 24 elements that were filled more than once"}


def test_shards_of_a_fused_parameter_fill_it_together() -> None:
    p = parameter(8, 6)
    with FillRecorder({"p": p}) as recorder:
        for name, begin, rows in (("k", 4, 2), ("q", 0, 4), ("v", 6, 2)):
            recorder.current = name
            p.data.narrow(0, begin, rows).copy_(torch.ones(rows, 6))
    assert recorder.faults() == {} and recorder.written == {"q": 24, "k": 12, "v": 12}


def test_columns_fill_a_parameter_together() -> None:
    p = parameter(4, 6)
    with FillRecorder({"p": p}) as recorder:
        p.data[:, :3] = 1.0
        p.data[:, 3:] = torch.ones(4, 3)
    assert recorder.faults() == {}


def test_every_way_to_write_in_place_is_seen() -> None:
    names = ["fill_", "zero_", "setitem", "out", "foreach", "index_copy_", "t", "copy_view"]
    ps = {name: parameter(2, 2) for name in names}
    with FillRecorder(ps) as recorder:
        ps["fill_"].data.fill_(1)
        ps["zero_"].data.zero_()
        ps["setitem"].data[...] = 1
        torch.add(torch.ones(2, 2), 1, out=ps["out"].data)
        torch._foreach_copy_([ps["foreach"].data], [torch.ones(2, 2)])
        ps["t"].data.t().copy_(torch.ones(2, 2))
        ps["copy_view"].data.view(-1).copy_(torch.ones(4))
        ps["index_copy_"].data.index_copy_(0, torch.tensor([0, 1]), torch.ones(2, 2))
    assert recorder.faults() == {}


def test_nothing_is_noted_before_and_after() -> None:
    p = parameter(2)
    recorder = FillRecorder({"p": p})
    p.data.fill_(1)
    with recorder:
        pass
    p.data.fill_(1)
    assert recorder.faults() == {"p": "was never filled"}


def test_a_change_of_type_is_counted() -> None:
    p = parameter(4, dtype=torch.bfloat16)
    with FillRecorder({"p": p}) as recorder:
        p.data.copy_(torch.ones(4, dtype=torch.float16))
    assert recorder.converted == {"float16 -> bfloat16": 4}


def test_a_write_through_a_view_of_another_type_is_one() -> None:
    p = parameter(4, 4, dtype=torch.int32)
    with FillRecorder({"p": p}) as recorder:
        p.data.view(torch.uint8)[:2].copy_(torch.ones(2, 16, dtype=torch.uint8))
        p.data.view(torch.int16)[2:].copy_(torch.ones(2, 8, dtype=torch.int16))
    assert recorder.faults() == {}
    with FillRecorder({"p": p}) as recorder:
        p.data.view(torch.uint8)[:2].copy_(torch.ones(2, 16, dtype=torch.uint8))
    assert recorder.faults() == {"p": "has 8 of 16 elements that no tensor filled"}


def test_a_parameter_that_is_part_of_a_storage_counts_its_own_elements() -> None:
    storage = torch.zeros(4, 8)
    padded = storage[:, :5]
    with FillRecorder({"p": padded}) as recorder:
        padded.copy_(torch.ones(4, 5))
    assert recorder.faults() == {}
    with FillRecorder({"p": padded}) as recorder:
        storage.fill_(1)
    assert recorder.faults() == {}
    with FillRecorder({"p": storage[1:3]}) as recorder:
        storage[:2].fill_(1)
    assert recorder.faults() == {"p": "has 8 of 16 elements that no tensor filled"}


def test_a_transposed_parameter_is_filled_like_any_other() -> None:
    p = torch.zeros(4, 6).t()
    with FillRecorder({"p": p}) as recorder:
        p.copy_(torch.ones(6, 4))
    assert recorder.faults() == {}


@pytest.mark.parametrize("region, interval", [
    (Region(5, (2, 3), (3, 1)), (5, 11)), (Region(0, (), ()), (0, 1)), (Region(0, (1, 3), (99, 1)), (0, 3)),
    (Region(0, (2, 3), (4, 1)), None), (Region(0, (3, 2), (1, 3)), None),
])  # fmt: skip
def test_a_region_is_a_run_or_it_is_not(region: Region, interval: tuple[int, int] | None) -> None:
    assert region.interval == interval


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.randoms())
def test_pieces_of_a_whole_tile_it_in_any_order_and_no_others_do(sizes: list[int], random: object) -> None:
    ends = [sum(sizes[: at + 1]) for at in range(len(sizes))]
    pieces: list[tuple[int, int] | None] = [(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    random.shuffle(pieces)  # type: ignore[attr-defined]
    assert _tiles(pieces, ends[-1])
    assert not _tiles(pieces[1:], ends[-1])
    assert not _tiles([*pieces, pieces[0]], ends[-1])
    assert not _tiles([*pieces, None], ends[-1])
    assert not _tiles(pieces, ends[-1] + 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 5), st.integers(0, 5)), max_size=6))
def test_what_is_recorded_is_what_was_written(boxes: list[tuple[int, int, int, int]]) -> None:
    p, counts = parameter(4, 5), torch.zeros(4, 5)
    recorder = FillRecorder({"p": p})
    for top, bottom, left, right in boxes:
        with recorder:
            p.data[top:bottom, left:right].copy_(torch.ones(p.data[top:bottom, left:right].shape))
        counts[top:bottom, left:right] += 1
    assert (recorder.verdict("p") is None) == bool((counts == 1).all())


def test_rework_of_what_the_same_tensor_filled_is_no_second_fill() -> None:
    p = parameter(4)
    with FillRecorder({"p": p}) as recorder:
        recorder.current = "A_log"
        p.data.copy_(torch.ones(4))
        p.data.copy_(-torch.exp(p.data))
        p.data.mul_(2)
    assert recorder.faults() == {} and list(recorder.reworked) == ["p"] and recorder.written == {"A_log": 4}


def test_the_same_tensor_handed_over_again_is_a_second_fill() -> None:
    p = parameter(4)
    with FillRecorder({"p": p}) as recorder:
        for _ in range(2):
            recorder.current = "weight"
            p.data.copy_(torch.ones(4))
    assert recorder.faults() == {"p": "has 4 of 4 elements that were filled more than once"}


def test_arithmetic_on_what_nothing_filled_is_no_fill() -> None:
    p = parameter(4)
    with FillRecorder({"p": p}) as recorder:
        recorder.current = "weight"
        p.data.add_(torch.ones(4))
    assert recorder.faults() == {"p": "was never filled"} and recorder.written == {}


def test_parameters_that_share_their_memory_are_filled_by_one_write() -> None:
    storage = torch.zeros(8)
    with FillRecorder({"whole": storage, "half": storage[4:]}) as recorder:
        storage.copy_(torch.ones(8))
    assert recorder.faults() == {}


@pytest.mark.parametrize("region, box", [
    (Region(0, (4, 6), (6, 1)), ((0, 4), (0, 6))), (Region(3, (4, 3), (6, 1)), ((0, 4), (3, 6))),
    (Region(12, (6,), (1,)), ((2, 3), (0, 6))), (Region(2, (4,), (6,)), ((0, 4), (2, 3))), (Region(7, (), ()), ((1, 2), (1, 2))),
    (Region(3, (6, 4), (1, 6)), None), (Region(0, (12,), (1,)), None), (Region(0, (2, 3), (12, 1)), None),
])  # fmt: skip
def test_a_region_is_a_box_of_the_parameter_or_it_is_not(region: Region, box: object) -> None:
    assert region.box((4, 6)) == box


def test_columns_and_experts_are_judged_without_counting_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FillRecorder, "_counts", lambda self, name: pytest.fail("counted"))
    columns, experts = parameter(8, 6), parameter(4, 6, 5)
    with FillRecorder({"columns": columns, "experts": experts}) as recorder:
        columns.data[:, 4:].copy_(torch.ones(8, 2))
        columns.data[:, :4].copy_(torch.ones(8, 4))
        for expert in range(4):
            for half in (0, 3):
                experts.data[expert][half : half + 3].copy_(torch.ones(3, 5))
    assert recorder.faults() == {}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.randoms())
def test_boxes_that_are_cut_from_a_shape_tile_it_and_fewer_or_more_do_not(data: st.DataObject, random: object) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    boxes: list[tuple[tuple[int, int], ...]] = [()]
    for size in shape:
        cut = data.draw(st.integers(0, size))
        parts = [(begin, end) for begin, end in ((0, cut), (cut, size)) if begin < end]
        boxes = [(*box, part) for box in boxes for part in parts]
    random.shuffle(boxes)  # type: ignore[attr-defined]
    assert _tile(boxes, shape)
    assert not _tile(boxes[1:], shape)
    assert not _tile([*boxes, boxes[0]], shape)
    assert not _tile([*boxes[1:], None], shape)


def test_a_constant_fills_and_is_nothing_of_the_tensor_on_its_way() -> None:
    p = parameter(4, 6)
    with FillRecorder({"p": p}) as recorder:
        recorder.current = "weight"
        p.data[:3].copy_(torch.ones(3, 6))
        p.data[3:].fill_(0)
    assert recorder.faults() == {} and recorder.written == {"weight": 18}


def test_indices_are_no_values_of_another_type() -> None:
    p = parameter(4)
    with FillRecorder({"p": p}) as recorder:
        recorder.current = "weight"
        p.data[torch.tensor([0, 1, 2, 3])] = torch.ones(4)
    assert recorder.converted == {} and recorder.written == {"weight": 4}
