"""Python source read as text: trees, modules, where names come from, how they are called."""

__all__ = [
    "Exports",
    "FolderTree",
    "Found",
    "Outside",
    "Sources",
    "Standin",
    "Tree",
    "Unbound",
    "doubt_about",
    "parameters_of",
]

from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Exports, Found, Outside, Standin, Unbound
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import FolderTree, Tree
