"""Figures: ``nox -s bench``, with ``-- --all`` for all releases of both engines."""

from __future__ import annotations

__all__ = ["bench", "bench_embedded", "bench_fitting", "bench_kernels", "bench_loading", "bench_serving"]

import nox

from noxfiles.cells import cells_of, find_cell
from noxfiles.environments import CACHE, ROOT, cell_folder, engine_python
from noxfiles.quality import TORCH


@nox.session
def bench(session: nox.Session) -> None:
    """Seconds and memory of mixprec's commands, as ratios against griffe in the same run; asserts nothing."""
    session.install("griffe>=2,<3", "ruff==0.17.6", "-e", ".")
    pythons: list[str] = []
    for cell in cells_of("inspect"):
        python = cell_folder(cell) / "bin" / "python"
        if python.exists():
            pythons += ["--python", str(python)]
        else:
            session.log(f"left out: {cell.name}, which is not installed; nox -s inspect installs it")
    session.run("python", "-m", "benchmarks", *pythons, *session.posargs)


@nox.session
def bench_kernels(session: nox.Session) -> None:
    """Seconds and errors of portable kernels beside 16 bits, on this machine's CPU; ``-- --device cuda`` on its GPU."""
    session.install(TORCH)
    session.install("-e", ".")
    session.run("python", "-m", "benchmarks.kernels", *session.posargs)


@nox.session(venv_backend="none")
@nox.parametrize("cell", [cell.name for cell in cells_of("engine")])
def bench_serving(session: nox.Session, cell: str) -> None:
    """Tokens per second and memory of a mixture beside each of its checkpoints, in the engine of a cell."""
    python = engine_python(session, find_cell(cell))
    folder = ROOT / ".cache" / "bench" / "model"
    environment = {"MIXPREC_CACHE": str(CACHE), "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    if not (folder / "mix.yaml").is_file():
        session.run(python, "-m", "benchmarks.generated", str(folder), "--size", "200m", external=True)
    words = ("--requests", "8", "--prompt", "256", "--new", "32", "--repeats", "3")
    session.run(
        python, "-m", "benchmarks.serving", str(folder / "mix.yaml"), *words, *session.posargs,
        env=environment, external=True,
    )  # fmt: skip


@nox.session(venv_backend="none")
def bench_loading(session: nox.Session) -> None:
    """Seconds, memory and bytes from the disk of loading beside the engine's own loader; asserts nothing."""
    python = engine_python(session, cells_of("engine")[0])
    environment = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    session.run(python, "-m", "benchmarks.loading", *session.posargs, env=environment, external=True)


@nox.session
def bench_embedded(session: nox.Session) -> None:
    """Tokens a second of the embedded engine, beside torchao and llama.cpp in one run; takes 2.5 GB; asserts nothing.

    llama-cpp-python is built from source, which takes minutes once; without ``-- --gguf FILE`` it is left out.
    """
    session.install(TORCH)
    session.install("transformers>=5,<6", "torchao", "psutil", "-e", ".[torch]")
    if "--gguf" in session.posargs:
        session.install("llama-cpp-python")
    folder = ROOT / ".cache" / "bench" / "embedded"
    if not (folder / "mix.yaml").is_file():
        session.run("python", "-m", "benchmarks.generated", str(folder), "--size", "1b-6")
    environment = {"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", "MIXPREC_CACHE": str(CACHE)}
    session.run("python", "-m", "benchmarks.embedded", str(folder), *session.posargs, env=environment)


@nox.session
def bench_fitting(session: nox.Session) -> None:
    """Perplexity of fitted mixtures beside others of equal bytes, on a text that no choice saw; asserts nothing.

    Of the demo's checkpoints. ``-- --sources awq,int8 --budgets 0.5 --random 3`` for a first look, which takes minutes.
    """
    folder = CACHE / "demo"
    if not (folder / "mix.yaml").is_file():
        session.skip("the demo's checkpoints are not there; mixprec demo makes them")
    session.install(TORCH)
    session.install("-e", ".[fit,torch]")
    kept = ROOT / ".cache" / "bench" / "fitting"
    words = (str(folder), "--out", str(kept), "--json", str(kept / "rows.json"))
    session.run("python", "-m", "benchmarks.fitting", *words, *session.posargs, env={"HF_HUB_OFFLINE": "1"})
