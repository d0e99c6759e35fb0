"""Builds: for what hardware a compiled package was built, read from its files without loading them."""

from __future__ import annotations

__all__ = ["CUDA_LIBRARIES", "TorchBuild", "cuda_evidence", "torch_build"]

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.binaries import Library, read_library
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.files import read_start
from mixprec_doctor.records.environment import Environment

CUDA_LIBRARIES = ("libc10_cuda.so", "libtorch_cuda.so", "libcudart.so")
_LINE = r"(?m)^%s\s*(?::[^=\n]*)?=\s*(.+?)\s*$"


@dataclass(frozen=True, kw_only=True)
class TorchBuild:
    """What torch says of itself in its version.py; None for a backend that it was built without."""

    version: str | None
    cuda: str | None
    hip: str | None

    @property
    def is_cpu(self) -> bool:
        """Built for neither CUDA nor ROCm."""
        return self.cuda is None and self.hip is None


def torch_build(environment: Environment) -> TorchBuild | None:
    """The build of the installed torch; None when there is none or it does not say."""
    place = locate_package(environment, "torch")
    raw = read_start(place / "version.py", most=2**20) if place else None
    text = (raw or b"").decode("utf-8", errors="replace")
    if not re.search(_LINE % "cuda", text):
        return None
    return TorchBuild(version=_literal(text, "__version__"), cuda=_literal(text, "cuda"), hip=_literal(text, "hip"))


def cuda_evidence(package: Path) -> Iterator[str]:
    """Compiled files of a package that need a CUDA library, with the library they need."""
    for file in sorted([*package.glob("*.so*"), *package.glob("lib/*.so*"), *package.glob("_*/*.so*")]):
        library = read_library(file)
        if isinstance(library, Library):
            for name in library.needed:
                if name.startswith(CUDA_LIBRARIES):
                    yield f"{file} needs {name}"
                    break


def _literal(text: str, name: str) -> str | None:
    found = re.search(_LINE % name, text)
    return found[1].strip("'\"") if found and found[1] != "None" else None
