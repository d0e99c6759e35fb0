"""Tokens a second of the embedded engine: ``python -m benchmarks.embedded ROOT [--gguf FILE]``.

ROOT is what ``benchmarks.generated`` wrote, or the demo's checkpoints. Each format is a mixture of all linear layers in
it, and "int4 mixture" takes half of them from GPTQ, half from AWQ. Beside them stand torchao's weight-only quantization
of the same BF16 model, and llama-cpp-python with a GGUF file of a model of the same shape, where they are installed.
All are loaded in one process and take turns, a short answer each, so that other programs disturb all alike; ratios are
taken within a round. One request at a time, greedy; nothing is asserted.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

Decode = Callable[[int], float]
FOLDERS = {"bf16": ("bf16", "Instruct"), "gptq": ("gptq", "GPTQ-Int4"), "awq": ("awq", "AWQ-Int4"),
           "int8": ("int8", "W8A8-INT8"), "fp8": ("fp8", "FP8-Dynamic")}  # fmt: skip
"""Names of folders that ``benchmarks.generated`` writes, and what those of the demo end with."""
PROMPT = 32
ALL = r"  - {{targets: ['re:.*layers\..*_proj$'], source: {0}}}"
HALF = r"  - {targets: ['re:.*(o|gate|up)_proj$'], source: gptq}" + "\n" + ALL.format("awq")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Something that makes tokens; ``decode`` gives the seconds of so many, without those of the prompt."""

    name: str
    decode: Decode
    held_bytes: int | None


Make = Callable[[], Contender | None]


def main() -> int:
    """Measure and print a table; gives 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--gguf", type=Path, help="a model of the same shape for llama-cpp-python")
    parser.add_argument("--without", nargs="*", default=(), help="contenders that are left out, by how they begin")
    parser.add_argument("--new", type=int, default=24, help="tokens of an answer")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    contenders = []
    for name, make in _contenders(given.root, given.gguf, given.threads):
        if name.startswith(tuple(given.without)):
            continue
        made = make()
        if made is None:
            continue
        made.decode(2)
        contenders.append(made)
        gc.collect()
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    for _ in range(given.rounds):
        for each in contenders:
            seconds[each.name].append(each.decode(given.new))
    _show(contenders, seconds, new=given.new, threads=given.threads)
    return 0


def _show(contenders: list[Contender], seconds: dict[str, list[float]], *, new: int, threads: int) -> None:
    first = seconds[contenders[0].name]
    sys.stdout.write(f"torch {torch.__version__}, {threads} threads; median of rounds, best round in brackets\n")
    sys.stdout.write(f"{'':28}{'tokens/s':>18}{'x BF16':>10}{'MB held':>10}\n")
    for each in contenders:
        own = seconds[each.name]
        rate, best = new / statistics.median(own), new / min(own)
        ratio = statistics.median(base / mine for base, mine in zip(first, own, strict=True))
        held = f"{each.held_bytes / 1e6:.0f}" if each.held_bytes else "?"
        sys.stdout.write(f"{each.name:28}{f'{rate:.1f} ({best:.1f})':>18}{ratio:>10.2f}{held:>10}\n")


def _contenders(root: Path, gguf: Path | None, threads: int) -> Iterator[tuple[str, Make]]:
    folders = {
        name: found for name, found in ((name, _folder(root, *names)) for name, names in FOLDERS.items()) if found
    }
    yield "bf16", partial(_ours, "bf16", folders, "")
    if {"gptq", "awq"} <= folders.keys():
        yield "int4 mixture", partial(_ours, "int4 mixture", folders, HALF)
    for name in sorted(folders.keys() - {"bf16"}):
        yield name, partial(_ours, name, folders, ALL.format(name))
    for name in ("torchao int8", "torchao int4", "torchao intx 4"):
        yield name, partial(_torchao, name, folders["bf16"])
    if gguf is not None:
        yield "llama.cpp", partial(_llama_cpp, gguf, threads)


def _folder(root: Path, generated: str, demo: str) -> Path | None:
    if (root / generated).is_dir():
        return root / generated
    return next((folder for folder in sorted(root.glob(f"*{demo}")) if folder.is_dir()), None)


def _ours(name: str, folders: dict[str, Path], rules: str) -> Contender:
    import mixprec_runtime.torch as mixprec

    sources = ", ".join(f"{each}: {{path: {folder}}}" for each, folder in folders.items() if each in rules)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{name.replace(' ', '-')}.yaml"
        lines = [f"model: {folders['bf16']}", *([f"sources: {{{sources}}}", "rules:", rules] if rules else [])]
        file.write_text("\n".join([*lines, "ignore: [lm_head]", ""]), encoding="utf-8")
        loaded = mixprec.load(file, progress=False)
    return Contender(name=name, decode=_decoder(loaded.model), held_bytes=loaded.account.held_bytes)


def _decoder(model: object) -> Decode:
    prompt = torch.arange(10, 10 + PROMPT)[None]

    def generate(count: int) -> float:
        began = time.perf_counter()
        model.generate(  # type: ignore[attr-defined]
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, min_new_tokens=count,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip
        return time.perf_counter() - began

    return lambda count: generate(count + 1) - generate(1)


def _torchao(name: str, base: Path) -> Contender | None:
    """Weight-only quantization of the decoder's layers; None where this release of torchao does not do it on a CPU."""
    from transformers import AutoModelForCausalLM

    try:
        from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_

        config = {
            "torchao int8": Int8WeightOnlyConfig,
            "torchao int4": partial(Int4WeightOnlyConfig, group_size=64),
            "torchao intx 4": partial(IntxWeightOnlyConfig, weight_dtype=torch.int4),
        }[name]()
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        quantize_(model.model, config)
        decode = _decoder(model)
        decode(1)
    except Exception as fault:  # noqa: BLE001  it raises whatever it likes
        sys.stderr.write(f"left out: {name}: {type(fault).__name__}: {str(fault).splitlines()[0][:150]}\n")
        return None
    return Contender(name=name, decode=decode, held_bytes=None)


def _llama_cpp(gguf: Path, threads: int) -> Contender | None:
    try:
        from llama_cpp import Llama
    except ImportError as fault:
        sys.stderr.write(f"left out: llama-cpp-python ({fault})\n")
        return None
    model = Llama(str(gguf), n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False)

    def decode(count: int) -> float:
        model.reset()
        model.eval(list(range(10, 10 + PROMPT)))
        began = time.perf_counter()
        for _ in range(count):
            model.eval([int(model.sample(temp=0.0))])
        return time.perf_counter() - began

    return Contender(name=f"llama.cpp {gguf.stem.rpartition('.')[2]}", decode=decode, held_bytes=gguf.stat().st_size)


if __name__ == "__main__":
    raise SystemExit(main())
