"""Building ``products.c`` once for each processor, with the C compiler that is there; kept in mixprec's cache."""

from __future__ import annotations

__all__ = ["COMPILE", "products"]

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from mixprec_runtime.cache import cache_folder

COMPILE = "MIXPREC_COMPILE"
"""The variable that keeps mixprec from compiling anything, set to 0."""
SOURCE = Path(__file__).with_name("products.c")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
WAYS = (("-march=native", "-fopenmp"), ("-mcpu=native", "-fopenmp"), ("-march=native",), ())
"""Best first; a compiler may know neither the processor's name nor threads."""
SECONDS = 60
logger = logging.getLogger("mixprec.products")


@cache
def products() -> ctypes.CDLL | None:
    """The library of ``products.c``, once it gave right numbers here; None where none can be had."""
    if os.environ.get(COMPILE, "").lower() in {"0", "off", "no", "false"}:
        return None
    compiler = os.environ.get("CC") or next((name for name in COMPILERS if shutil.which(name)), None)
    if compiler is None:
        logger.info("mixprec: no C compiler is here; PyTorch's own products are used, which are slower")
        return None
    for way in WAYS:
        library = _opened(shlex.split(compiler), way)
        if library is not None and _is_right(library):
            return library
    logger.warning("mixprec: %s cannot build products that are right here; PyTorch's own are used", compiler)
    return None


def _opened(compiler: list[str], way: tuple[str, ...]) -> ctypes.CDLL | None:
    words = [*compiler, *FLAGS, *way]
    digest = hashlib.sha256(SOURCE.read_bytes() + "\0".join([*words, _processor()]).encode()).hexdigest()[:16]
    file = cache_folder() / "products" / f"{digest}.so"
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            _build(words, file)
        return _typed(ctypes.CDLL(str(file)))
    except (OSError, AttributeError, subprocess.SubprocessError) as fault:
        told = getattr(fault, "stderr", None) or str(fault)
        logger.debug("mixprec: %s: %s", shlex.join(words), told)
        return None


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """Addresses may be handed over as numbers then, which is quick."""
    place, number = ctypes.c_void_p, ctypes.c_int
    library.mixprec_int4.argtypes = (*[place] * 3, number, number, place, place, *[number] * 6)
    library.mixprec_bytes.argtypes = (number, *[place] * 4, *[number] * 5)
    return library


def _build(words: list[str], file: Path) -> None:
    """Beside its place and then renamed: others may build it at the same time."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".so", dir=file.parent)
    os.close(handle)
    staging = Path(name)
    try:
        subprocess.run(
            [*words, str(SOURCE), "-o", name], check=True, capture_output=True, text=True, timeout=SECONDS
        )  # fmt: skip
        staging.replace(file)
    finally:
        with contextlib.suppress(OSError):
            staging.unlink()


def _processor() -> str:
    """What tells processors apart, for which a library was built: a cache may be on a disk that machines share."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = ("model name", "flags", "Features", "CPU part", "cpu family", "model\t")
    return "\n".join(sorted({line for line in lines if line.startswith(told)}))


def _is_right(library: ctypes.CDLL) -> bool:
    """Whether it computes what torch does, on one row and on three."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(-100, 100, (8, 64), generator=generator, dtype=torch.int8)
    scales, x = torch.rand(8, generator=generator), torch.randn(3, 64, generator=generator)
    for rows in (1, 3):
        found = torch.empty(rows, 8)
        places = [tensor.data_ptr() for tensor in (codes, scales, x, found)]
        library.mixprec_bytes(0, *places, 0, rows, 64, 8, torch.get_num_threads())
        if not torch.allclose(found, x[:rows] @ (codes * scales[:, None]).t(), rtol=1e-4, atol=1e-2):
            return False
    return True
