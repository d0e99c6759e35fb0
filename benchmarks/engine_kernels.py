"""An engine's own kernels beside the portable ones and 16 bits: one run, in the interpreter of the engine.

``python -m benchmarks.engine_kernels [--engine vllm|sglang] [--dtype bfloat16] [--shape 4096x4096] [--json FILE]``
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixprec_doctor.records.format import Format
from mixprec_doctor.records.workload import LinearShape

BENCHES = {"vllm": "VllmBench", "sglang": "SglangBench"}
DECODE, PREFILL = 1, 256
FINER = 64  # the group where inputs are no multiple of the usual one
SHAPES = {"cpu": ((576, 1536), (4096, 4096)), "cuda": ((576, 1536), (4096, 4096), (4096, 14336))}


def measure(engine: str, dtype: str, shapes: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """A row for each format, shape and kernel: error against float32, seconds, and those of 16 bits in the same run."""
    trial = importlib.import_module(f"mixprec_runtime.adapters.{engine}.trial")
    from mixprec_runtime.adapters.judging import example, judge, seconds_of
    from mixprec_runtime.adapters.layers import read_layer
    from mixprec_runtime.adapters.trials import NoKernel, Tried
    from mixprec_runtime.verifying.standard import STANDARD_FORMATS

    with trial.scene(dtype) as device:
        bench = getattr(trial, BENCHES[engine])(dtype, device)
        for inputs, outputs in shapes or SHAPES["cuda" if device.type == "cuda" else "cpu"]:
            shape = LinearShape(inputs=inputs, outputs=(outputs,), full_inputs=inputs, full_outputs=(outputs,))
            plain = bench.plain(shape)
            plain.finish()
            examples = [example(rows, inputs, dtype=bench.dtype, device=device) for rows in (DECODE, PREFILL)]
            pairs = [seconds_of(plain.run, plain.run, x) for x in examples]
            yield _row("16 bits", shape, "16 bits", "plain", pairs, error=None)
            for standard in STANDARD_FORMATS[1:]:
                finer = standard.group is not None and inputs % standard.group != 0
                form = replace(standard, group=FINER) if finer else standard
                asked = {"format": form.to_json(), "shape": shape.to_json(), "folder": "", "unit": [], "parts": []}
                try:
                    layer = read_layer(asked, bench.dtype, device)
                except Exception as fault:  # noqa: BLE001  a shape that the format does not allow
                    yield _row(_name(form), shape, "", "", [], error=None, fault=str(fault))
                    continue
                tries: list[tuple[str, Callable[[], Tried]]] = [("native", lambda layer=layer: bench.native(layer, ()))]
                tries += [
                    ("portable", lambda layer=layer, kernel=kernel: bench.portable(layer, kernel))
                    for kernel, reasons in bench.refusals(layer)
                    if not reasons
                ]
                for tier, make in tries:
                    kernel = ""
                    try:
                        tried = make()
                        tried.finish()
                        kernel = tried.kernel() or tried.method()
                        found = judge(tried.run, layer.weight, layer.bias, form=form, dtype=bench.dtype)
                        if found.fault is not None:
                            yield _row(_name(form), shape, kernel, tier, [], error=found.error, fault=found.fault)
                            continue
                        pairs = [seconds_of(tried.run, plain.run, x) for x in examples]
                        yield _row(_name(form), shape, kernel, tier, pairs, error=found.error)
                    except NoKernel:
                        yield _row(_name(form), shape, "none", tier, [], error=None, fault="no kernel")
                    except Exception as fault:  # noqa: BLE001  whatever a kernel raises is the figure
                        words = " ".join(f"{type(fault).__name__}: {fault}".split())[:160]
                        yield _row(_name(form), shape, kernel, tier, [], error=None, fault=words)


def _name(form: Format) -> str:
    return f"{form.name} {form.details}".strip()


def _row(
    form: str,
    shape: LinearShape,
    kernel: str,
    tier: str,
    pairs: Sequence[tuple[float, float]],
    *,
    error: float | None,
    fault: str | None = None,
) -> dict[str, Any]:
    return {
        "format": form, "shape": f"{shape.inputs}x{shape.out}", "kernel": kernel, "tier": tier, "error": error,
        "seconds": [each for each, _ in pairs], "plain_seconds": [each for _, each in pairs], "fault": fault,
    }  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    head = f"{row['shape']:>11}  {row['format'][:44]:44} {row['tier']:8} {row['kernel'][:36]:36}"
    if row["fault"]:
        return f"{head} {row['fault'][:70]}"
    error = "      -" if row["error"] is None else f"{row['error']:7.4f}"
    ratios = " ".join(
        f"{time * 1e6:9.0f} us {plain / time:5.2f}x"
        for time, plain in zip(row["seconds"], row["plain_seconds"], strict=True)
    )
    return f"{head} {error} {ratios}"


def main() -> int:
    """Print a line for each figure as it comes; ``x`` is how many times as quick as 16 bits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("vllm", "sglang"), default="vllm")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--shape", action="append", default=[], help="INPUTSxOUTPUTS; may be given more than once")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shapes = [tuple(int(side) for side in text.split("x")) for text in given.shape]
    rows = []
    with tempfile.TemporaryDirectory(prefix="mixprec-bench-") as scratch:
        tempfile.tempdir = scratch
        for row in measure(given.engine, given.dtype, shapes):  # type: ignore[arg-type]
            rows.append(row)
            print(_line(row), flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
