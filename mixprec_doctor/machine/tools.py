"""Tools that engines call to compile kernels while they run: found, not run."""

from __future__ import annotations

__all__ = ["find_compiler", "find_ninja", "find_nvcc"]

import json
import os
import re
import shutil
from pathlib import Path

from mixprec_doctor.records.machine import Tool


def find_nvcc(usual: Path = Path("/usr/local/cuda")) -> Tool | None:
    """The CUDA compiler: where CUDA_HOME points, on PATH, or in its usual place."""
    named = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    places = [Path(home) / "bin" / "nvcc" for home in named if home]
    if found := shutil.which("nvcc"):
        places.append(Path(found))
    places.append(usual / "bin" / "nvcc")
    for place in places:
        if place.is_file():
            return Tool(path=str(place), version=_version(place))
    return None


def find_compiler() -> str | None:
    """The C++ compiler that is found first."""
    return next((found for name in ("g++", "c++", "clang++") if (found := shutil.which(name))), None)


def find_ninja() -> str | None:
    """The build tool that extensions are compiled with."""
    return shutil.which("ninja")


def _version(nvcc: Path) -> str | None:
    """As the files beside it say."""
    home = nvcc.resolve().parent.parent
    try:
        stated = json.loads((home / "version.json").read_bytes())["cuda_nvcc"]["version"]
    except (OSError, ValueError, KeyError, TypeError):
        in_path = re.search(r"cuda-(\d+\.\d+)", str(home))
        return in_path[1] if in_path else None
    return str(stated)
