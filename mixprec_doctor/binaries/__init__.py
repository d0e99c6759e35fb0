"""Binaries: ELF files read without loading them, and whether an interpreter could load them."""

__all__ = [
    "FaultKind",
    "Library",
    "LoadFault",
    "Unreadable",
    "extension_faults",
    "load_faults",
    "read_library",
    "remember",
    "torch_faults",
]

from mixprec_doctor.binaries.extensions import extension_faults, load_faults, remember, torch_faults
from mixprec_doctor.binaries.library import FaultKind, Library, LoadFault, Unreadable
from mixprec_doctor.binaries.reading import read_library
