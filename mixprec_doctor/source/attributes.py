"""Attributes: whether a package has an attribute for ``hasattr``, as far as its text and its stubs say so."""

from __future__ import annotations

__all__ = ["has_attribute"]

import re

from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth

_DYNAMIC = (b"import *", b"__getattr__", b"globals()", b"setattr(", b"exec(", b"sys.modules", b"vars(")
_STAR = re.compile(rb"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+\*", re.MULTILINE)
_STUBS = ("_C/__init__.pyi", "_C/_VariableFunctions.pyi")  # what a compiled part adds to its package, as torch lists it


def has_attribute(package: str, name: str, sources: Sources) -> Truth:
    """NO where nothing of a package names it, and nothing adds it from outside."""
    text = sources.text(package)
    if text is None:
        return Truth.UNKNOWN
    if _names(text, name):
        is_module = sources.has_module(f"{package}.{name}") is Truth.YES
        return Truth.YES if is_module else Truth.UNKNOWN
    if sources.has_module(f"{package}.{name}") is not Truth.NO:
        return Truth.UNKNOWN  # there as soon as something imports it
    if sources.has_module(f"{package.partition('.')[0]}_{name}") is not Truth.NO:
        return Truth.UNKNOWN  # torch_npu makes torch.npu
    if any(mark in text for mark in _DYNAMIC) and not _is_listed_nowhere(package, name, text, sources):
        return Truth.UNKNOWN
    return Truth.NO


def _is_listed_nowhere(package: str, name: str, text: bytes, sources: Sources) -> bool:
    """Whether stubs list what a package makes while it is imported, without the name.

    Stubs leave out numbered types and helpers with underscores or capitals; of a plain word they know.
    """
    tree = sources.tree(package) if "." not in package else None
    stubs = [tree.read(f"{package}/{each}") for each in _STUBS] if tree is not None else []
    listed = [each for each in stubs if each]
    if not listed or not (name.isalpha() and name.islower()):
        return False
    for found in _STAR.findall(text):
        module = found.decode()
        source = sources.text(f"{package}{module}" if module.startswith(".") else module)
        if source is None and not module.startswith(f"{package}._C"):
            return False
        listed.append(source or b"")
    return not any(_names(each, name) for each in listed)


def _names(text: bytes, name: str) -> bool:
    return re.search(rb"\b%s\b" % re.escape(name).encode(), text) is not None
