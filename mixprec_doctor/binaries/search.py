"""Search: where the loader looks for a library that another one needs (ld.so(8))."""

from __future__ import annotations

__all__ = ["SearchPlaces", "default_folders", "is_driver_library"]

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mixprec_doctor.binaries.library import Library

_TRIPLETS = {62: "x86_64-linux-gnu", 183: "aarch64-linux-gnu", 21: "powerpc64le-linux-gnu", 243: "riscv64-linux-gnu"}
_DRIVERS = re.compile(
    r"lib(?:cuda|nvidia-[\w-]+|nvcuvid|nvoptix|cudadebugger|nvidia-ml)\.so(?:\.\d+)*|libnvidia-ml\.so(?:\.\d+)*"
)


@dataclass(frozen=True, kw_only=True)
class SearchPlaces:
    """What the loader of a machine looks into besides what libraries say themselves."""

    path: tuple[Path, ...] = ()  # LD_LIBRARY_PATH
    cache: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)  # /etc/ld.so.cache
    folders: tuple[Path, ...] = ()  # those that are built into it

    def candidates(self, name: str, chain: Sequence[Library]) -> Iterator[Path]:
        """Files to try for a needed name, in order. ``chain`` is the library that needs it, who loaded that, and so on.

        The old DT_RPATH of every library of the chain counts, unless the one that needs has a DT_RUNPATH; that one
        counts for itself alone and after LD_LIBRARY_PATH.
        """
        if "/" in name:
            yield Path(name)
            return
        asker = chain[0]
        if not asker.runpath:
            for library in chain:
                if not library.runpath:
                    yield from _inside(library.rpath, name, library)
        yield from (folder / name for folder in self.path)
        yield from _inside(asker.runpath, name, asker)
        yield from self.cache.get(name, ())
        yield from (folder / name for folder in self.folders)


def default_folders(machine: int, bits: int) -> tuple[Path, ...]:
    """The folders that loaders of the usual distributions look into last."""
    wide = "64" if bits == 64 else ""
    triplet = _TRIPLETS.get(machine)
    names = [f"lib/{triplet}", f"usr/lib/{triplet}"] if triplet else []
    return tuple(Path("/") / name for name in [*names, f"lib{wide}", f"usr/lib{wide}", "lib", "usr/lib"])


def is_driver_library(name: str) -> bool:
    """Whether a GPU driver brings the library, so that no package could."""
    return _DRIVERS.fullmatch(name) is not None


def _inside(folders: Sequence[str], name: str, library: Library) -> Iterator[Path]:
    for folder in folders:
        yield Path(_expanded(folder, library)) / name


def _expanded(folder: str, library: Library) -> str:
    """The tokens of ld.so(8), ``$ORIGIN`` and ``$LIB``; ``$PLATFORM`` is in no wheel."""
    origin = str(library.path.parent)
    wide = "lib64" if library.bits == 64 else "lib"
    for token, value in (("ORIGIN", origin), ("LIB", wide)):
        folder = folder.replace(f"${{{token}}}", value).replace(f"${token}", value)
    return folder
