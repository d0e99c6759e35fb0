"""Portable kernels beside 16 bits, per format, at the sizes of decoding and of prefill: one run, one table.

``python -m benchmarks.kernels [--device cuda] [--shape 4096x11008] [--rows 1 256] [--json FILE]``; needs torch only.
Weights are taken in turn from several copies, more than a cache holds, as they are met in a model; a kernel and 16 bits
run in turns too, so that what disturbs one disturbs both. On a GPU a CUDA graph of all copies is timed, as engines
replay them. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from mixprec_doctor.kernels.portable import PORTABLE, refusals
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.kernels.portable import State, apply, prepare, state_bytes
from mixprec_runtime.packing.errors import UnpackableShape
from mixprec_runtime.packing.fusing import fused_layer
from mixprec_runtime.packing.generated import generated_layer
from mixprec_runtime.reference.dequantize import dequantize
from mixprec_runtime.verifying.standard import STANDARD_FORMATS

SHAPES = {
    "cpu": ((576, 1536), (1536, 576), (4096, 4096)),
    "cuda": ((576, 1536), (4096, 4096), (4096, 14336), (14336, 4096)),
}
FORMATS = (
    *STANDARD_FORMATS[1:],
    Format(kind=FormatKind.NVFP4, bits=4, group=16),
    Format(kind=FormatKind.MXFP4, bits=4, group=32),
)
CACHE = {"cpu": 256 << 20, "cuda": 256 << 20}
"""Bytes of copies of the 16-bit weight that are walked through: more than any level of a cache."""
MOST_COPIES = 32
ERROR_ROWS = 16

Runs = Sequence[Callable[[torch.Tensor], torch.Tensor]]
Made = tuple[str, Runs, "float | None"]
"""A kernel's name, copies of a layer ready to run, and the bits that it holds per weight where that is known."""
Native = Callable[[Format, LinearShape, "torch.dtype", "torch.device", int], Made]
"""An engine's own kernel, made for a format and shape, so many copies of it."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One kernel at one format and shape; ``seconds`` and ``plain_seconds`` are medians, one for each of ``rows``."""

    format: str
    inputs: int
    outputs: int
    kernel: str
    bits: float | None = None  # held per weight
    error: float | None = None  # of 16 rows, relative to float32, Frobenius norms
    rows: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    plain_seconds: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()  # times as long as 16 bits: medians of the ratios of each turn
    fault: str | None = None


def measure(
    shapes: Sequence[tuple[int, int]],
    *,
    device: torch.device,
    dtype: torch.dtype,
    rows: Sequence[int],
    native: Native | None = None,
) -> Iterator[Figure]:
    """A figure for each shape, format and kernel that takes it, as they come."""
    for inputs, outputs in shapes:
        copies = min(MOST_COPIES, 1 + CACHE[device.type] // (inputs * outputs * dtype.itemsize))
        weights = [torch.randn(outputs, inputs, device=device, dtype=dtype) * 0.02 for _ in range(copies)]
        plain = [lambda x, weight=weight: torch.nn.functional.linear(x, weight) for weight in weights]
        shape = LinearShape(inputs=inputs, outputs=(outputs,), full_inputs=inputs, full_outputs=(outputs,))
        for form in map(lambda form: _fitting(form, inputs), FORMATS):  # noqa: C417  reads as it runs
            try:
                (part,) = generated_layer(form, (outputs,), inputs, seed=1)
            except UnpackableShape as fault:
                yield Figure(
                    format=_name(form), inputs=inputs, outputs=outputs, kernel="", fault=str(fault).partition("\n")[0]
                )
                continue
            wanted = dequantize(form, part).to(device)
            fused = {name: tensor.to(device) for name, tensor in fused_layer([part]).items()}
            made: list[tuple[str, Callable[[], Made]]] = [
                (kernel.name, partial(_portable, kernel.name, form, fused, shape, dtype, copies))
                for kernel in PORTABLE
                if not _refused(kernel, form, shape, device=device, dtype=dtype)
            ]
            if native is not None:
                made.append(("native", partial(native, form, shape, dtype, device, copies)))
            for label, make in made:
                try:
                    name, runs, bits = make()
                    yield _figure(form, shape, name, runs, plain, wanted, dtype=dtype, rows=rows, bits=bits)
                except Exception as fault:  # noqa: BLE001  whatever a kernel raises is the figure
                    words = " ".join(f"{type(fault).__name__}: {fault}".split())[:120]
                    yield Figure(format=_name(form), inputs=inputs, outputs=outputs, kernel=label, fault=words)


def _portable(
    kernel: str, form: Format, fused: dict[str, torch.Tensor], shape: LinearShape, dtype: torch.dtype, copies: int
) -> Made:
    state = prepare(kernel, form, fused, shape.outputs, dtype)
    return kernel, _copies(kernel, state, copies), state_bytes(state) * 8 / (shape.inputs * shape.out)


def _fitting(form: Format, inputs: int) -> Format:
    """Groups of 64 where a shape has none of 128."""
    return replace(form, group=64) if form.group == 128 and inputs % 128 else form


def _refused(kernel: object, form: Format, shape: LinearShape, *, device: torch.device, dtype: torch.dtype) -> bool:
    capability = None
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        capability = 10 * major + minor
    place = "rocm" if device.type == "cuda" and torch.version.hip else device.type
    return bool(
        refusals(
            kernel,  # type: ignore[arg-type]
            form,
            shape,
            dtype=str(dtype).removeprefix("torch."),
            device=place,
            capability=capability,
            operators=None,
        )
    )


def _copies(kernel: str, state: State, count: int) -> Runs:
    states = [
        {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
        for _ in range(count)
    ]
    return [lambda x, each=each: apply(kernel, x, each) for each in states]


def _figure(
    form: Format,
    shape: LinearShape,
    kernel: str,
    runs: Runs,
    plain: Runs,
    wanted: torch.Tensor,
    *,
    dtype: torch.dtype,
    rows: Sequence[int],
    bits: float | None,
) -> Figure:
    x = torch.randn(ERROR_ROWS, shape.inputs, device=wanted.device).to(dtype)
    right = x.to(torch.float32) @ wanted.t()
    error = float((runs[0](x).to(torch.float32) - right).norm() / right.norm())
    times, plains, ratios = [], [], []
    for count in rows:
        x = torch.randn(count, shape.inputs, device=wanted.device).to(dtype)
        turns = _turns(runs, plain, x)
        times.append(statistics.median(mine for mine, _ in turns))
        plains.append(statistics.median(theirs for _, theirs in turns))
        ratios.append(statistics.median(mine / theirs for mine, theirs in turns))
    return Figure(
        format=_name(form), inputs=shape.inputs, outputs=shape.out, kernel=kernel, bits=bits, error=error,
        rows=tuple(rows), seconds=tuple(times), plain_seconds=tuple(plains), ratios=tuple(ratios),
    )  # fmt: skip


def _turns(runs: Runs, plain: Runs, x: torch.Tensor) -> list[tuple[float, float]]:
    """Seconds of one product, kernel and 16 bits in turns: 5 to 15 of them, about 2 s in all."""
    timed = _graphs if x.device.type == "cuda" else _clock
    mine, theirs = timed(runs, x), timed(plain, x)
    began = time.perf_counter()
    turns: list[tuple[float, float]] = []
    while len(turns) < 5 or (len(turns) < 15 and time.perf_counter() - began < 2):
        turns.append((mine(), theirs()))
    return turns


def _clock(runs: Runs, x: torch.Tensor) -> Callable[[], float]:
    at = 0
    began = time.perf_counter()
    runs[0](x)
    count = max(1, min(50, int(0.05 / max(time.perf_counter() - began, 1e-6))))

    def once() -> float:
        nonlocal at
        began = time.perf_counter()
        for _ in range(count):
            runs[at % len(runs)](x)
            at += 1
        return (time.perf_counter() - began) / count

    return once


def _graphs(runs: Runs, x: torch.Tensor) -> Callable[[], float]:
    """All copies in one graph, as an engine replays its layers."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for run in runs[:3]:
            run(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [run(x) for run in runs]
    graph.replay()

    def once() -> float:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / len(kept)

    return once


def _name(form: Format) -> str:
    return f"{form.name} {form.details}".strip()


def markdown(figures: Sequence[Figure], rows: Sequence[int]) -> str:
    """The figures as tables, one for each shape; times as long as 16 bits."""
    lines: list[str] = []
    for inputs, outputs in dict.fromkeys((figure.inputs, figure.outputs) for figure in figures):
        of_shape = [figure for figure in figures if (figure.inputs, figure.outputs) == (inputs, outputs)]
        heads = [f"{count} row{'s' * (count > 1)}" for count in rows]
        plain = next((figure.plain_seconds for figure in of_shape if figure.seconds), ())
        beside = ", ".join(f"{second * 1e3:.3f} ms at {head}" for second, head in zip(plain, heads, strict=False))
        lines += ["", f"**{inputs} to {outputs}** (16 bits: {beside})", ""]
        lines += [
            f"| format | kernel | bits held | error | {' | '.join(heads)} |",
            "|---|---|---|---|" + "---|" * len(rows),
        ]
        for figure in of_shape:
            if figure.fault:
                lines.append(f"| {figure.format} | {figure.kernel} | | | {figure.fault} |" + " |" * (len(rows) - 1))
                continue
            held = "" if figure.bits is None else f"{figure.bits:.2f}"
            cells = [
                f"{seconds * 1e3:.3f} ms, {ratio:.2f}"
                for seconds, ratio in zip(figure.seconds, figure.ratios, strict=True)
            ]
            lines.append(f"| {figure.format} | {figure.kernel} | {held} | {figure.error:.4f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, torch {torch.__version__}"


def main(native: Native | None = None) -> int:
    """Print a line on stderr for each figure as it comes, and the tables on stdout at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--shape", action="append", default=[], help="INPUTSxOUTPUTS; may be given more than once")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--json", type=Path, help="where all figures go")
    given = parser.parse_args()
    device, dtype = torch.device(given.device), getattr(torch, given.dtype)
    named = [text.split("x") for text in given.shape]
    shapes = [(int(inputs), int(outputs)) for inputs, outputs in named] or SHAPES[given.device]
    torch.manual_seed(1)
    figures: list[Figure] = []
    with torch.no_grad():
        for figure in measure(shapes, device=device, dtype=dtype, rows=given.rows, native=native):
            figures.append(figure)
            said = figure.fault or " ".join(f"{ratio:.2f}" for ratio in figure.ratios)
            sys.stderr.write(f"{figure.inputs}x{figure.outputs} {figure.format} {figure.kernel}: {said}\n")
    sys.stdout.write(f"{_machine(device)}\n{markdown(figures, given.rows)}\n")
    if given.json:
        document = {"machine": _machine(device), "figures": [asdict(figure) for figure in figures]}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
