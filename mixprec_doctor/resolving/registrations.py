"""Registrations: configurations that a module registers with transformers under a name, and the names it has itself."""

from __future__ import annotations

__all__ = ["config_names", "registered_name", "registers_taken"]

import ast
import re

from mixprec_doctor.source.module import dotted
from mixprec_doctor.source.sources import Sources

_MAPPINGS = ("transformers.models.auto.auto_mappings", "transformers.models.auto.configuration_auto")
_PAIR = re.compile(rb"""^\s*\(\s*["']([\w.-]+)["'],\s*["'](\w+Config)["']\s*\)""", re.MULTILINE)


def config_names(sources: Sources) -> frozenset[str]:
    """The model types that the transformers of some sources has configurations for."""
    texts = (sources.text(module) or b"" for module in _MAPPINGS)
    return frozenset(found[0].decode() for text in texts for found in _PAIR.findall(text))


def registered_name(call: ast.Call) -> str | None:
    """The model type of ``AutoConfig.register("name", ...)``; None for other calls, and with ``exist_ok``."""
    if dotted(call.func) != "AutoConfig.register" or not call.args or any(word.arg for word in call.keywords):
        return None
    name = call.args[0]
    return name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else None


def registers_taken(tree: ast.Module, taken: frozenset[str]) -> bool:
    """Whether the top level of a module registers a model type of some that are taken."""
    return any(
        isinstance(each, ast.Expr) and isinstance(each.value, ast.Call) and registered_name(each.value) in taken
        for each in tree.body
    )
