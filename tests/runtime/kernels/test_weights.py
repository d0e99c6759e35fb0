"""Weights in one form for all formats: what engines' fused tensors mean, and which are refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="kernels need torch")

from mixprec_doctor.records.format import Format, FormatKind  # noqa: E402
from mixprec_runtime.kernels.errors import UnpreparableWeight  # noqa: E402
from mixprec_runtime.kernels.portable import apply, prepare  # noqa: E402
from mixprec_runtime.kernels.tiles import STEP, TILE_BYTES, tile_rows  # noqa: E402
from mixprec_runtime.kernels.weights import channel_scales, grouped_weight  # noqa: E402
from tests.runtime.kernels.drawn import make_layer  # noqa: E402

BLOCKS = Format(kind=FormatKind.FP8, bits=8, scale="block", block=(4, 8))
ORDERED = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True, act_order=True)


def test_blocks_start_anew_with_every_part() -> None:
    fused = {
        "weight": torch.ones(12, 8).to(torch.float8_e4m3fn),
        "weight_scale_inv": torch.tensor([[1.0], [2.0], [3.0], [4.0]]),
    }
    found = grouped_weight("test", BLOCKS, fused, (6, 6)).scales[:, 0].tolist()
    assert found == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4]


def test_blocks_that_span_parts_are_counted_through() -> None:
    fused = {
        "weight": torch.ones(12, 8).to(torch.float8_e4m3fn),
        "weight_scale_inv": torch.tensor([[1.0], [2.0], [3.0]]),
    }
    assert grouped_weight("test", BLOCKS, fused, (6, 6)).scales[:, 0].tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_inputs_beyond_the_last_whole_block_belong_to_a_smaller_one() -> None:
    fused = {"weight": torch.ones(4, 10).to(torch.float8_e4m3fn), "weight_scale": torch.tensor([[1.0, 100.0]])}
    state = prepare("portable tiles", BLOCKS, fused, (4,), torch.float32)
    assert apply("portable tiles", torch.ones(1, 10), state)[0].tolist() == [208.0] * 4


def test_an_order_that_is_the_inputs_own_is_forgotten() -> None:
    layer = make_layer(ORDERED, (16,), 64)
    in_order = {**layer.fused, "g_idx": torch.arange(64, dtype=torch.int32) // 32}
    assert grouped_weight("test", ORDERED, in_order, (16,)).order is None
    assert grouped_weight("test", ORDERED, layer.fused, (16,)).order is not None


def test_a_rank_s_part_of_an_act_order_layer_is_served_by_tiles() -> None:
    """Half of the inputs, with the scales of all groups: the groups are of no one size any more."""
    layer = make_layer(ORDERED, (16,), 128)
    half = {**layer.fused, "qweight": layer.fused["qweight"][:8], "g_idx": layer.fused["g_idx"][:64]}
    x = torch.randn(3, 64)
    state = prepare("portable tiles", ORDERED, half, (16,), torch.float32)
    torch.testing.assert_close(apply("portable tiles", x, state), x @ layer.weight[:, :64].t())
    with pytest.raises(UnpreparableWeight, match="no order of groups"):
        prepare("portable int4", ORDERED, half, (16,), torch.float32)


def test_an_empty_g_idx_counts_as_left_out() -> None:
    form = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True)
    layer = make_layer(form, (16,), 64)
    assert (
        grouped_weight("test", form, {**layer.fused, "g_idx": torch.empty(0, dtype=torch.int32)}, (16,)).order is None
    )


def test_gptq_v2_has_zero_points_as_they_are() -> None:
    old = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=False)
    new = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=False, variant="gptq_v2")
    tensors = make_layer(old, (16,), 64).fused
    one_less, as_they_are = (grouped_weight("test", form, tensors, (16,)).zeros for form in (old, new))
    assert one_less.equal((as_they_are + 1) & 15)


@pytest.mark.parametrize("change, words", [
    ({"scales": torch.empty(0)}, "wanted a tensor scales, found g_idx, qweight, qzeros"),
    ({"g_idx": torch.full((64,), 9, dtype=torch.int32)}, "g_idx names groups that have no scale"),
    ({"qweight": torch.zeros(8, 24, dtype=torch.int32)}, "wanted 16 outputs, found"),
])  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(change: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(UnpreparableWeight, match=words):
        grouped_weight("test", ORDERED, {**make_layer(ORDERED, (16,), 64).fused, **change}, (16,))


def test_an_order_that_is_not_known_is_refused() -> None:
    form = Format(kind=FormatKind.AWQ, bits=4, group=32, variant="gemv")
    with pytest.raises(UnpreparableWeight, match="gemv"):
        grouped_weight("test", form, {}, (16,))


@pytest.mark.parametrize("scale, wanted", [
    (torch.tensor(2.0), [2, 2, 2, 2, 2]),
    (torch.tensor([2.0, 3.0]), [2, 2, 2, 3, 3]),
    (torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), [1, 2, 3, 4, 5]),
    (torch.ones(2, 2), None),
])  # fmt: skip
def test_scales_become_one_per_channel(scale: torch.Tensor, wanted: list[float] | None) -> None:
    found = channel_scales(scale, (3, 2))
    assert (None if found is None else found.tolist()) == wanted


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("out, inputs", [(32, 64), (1536, 576), (4096, 4096), (128256, 8192)])
def test_a_tile_is_never_all_of_a_weight_and_fits_its_cache(out: int, inputs: int, device: str) -> None:
    rows = tile_rows(out, inputs, itemsize=2, device=device)
    assert rows % STEP == 0 and rows < out
    assert rows * inputs * 2 <= TILE_BYTES[device] + STEP * inputs * 2
