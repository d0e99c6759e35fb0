"""Effects: statements at import time other than imports that end in an exception, decided from what they refer to.

Two are known: a configuration that is registered with transformers under a name that transformers has itself, and the
versions that transformers demands of its own requirements when it is imported.
"""

from __future__ import annotations

__all__ = ["Effect", "config_names", "registered_twice", "version_demanded"]

import ast
import re
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import ParsedModule, dotted
from mixprec_doctor.source.sources import Sources

_MAPPINGS = ("transformers.models.auto.auto_mappings", "transformers.models.auto.configuration_auto")
_PAIR = re.compile(rb"""^\s*\(\s*["']([\w.-]+)["'],\s*["'](\w+Config)["']\s*\)""", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The exception of a statement. ``requirement`` is what would have to be installed for it not to be raised."""

    exception: str
    text: str
    requirement: str | None = None


def registered_twice(call: ast.Call, sources: Sources) -> Effect | None:
    """``AutoConfig.register("name", ...)`` for a name that the installed transformers has, without ``exist_ok``."""
    if dotted(call.func) != "AutoConfig.register" or not call.args or any(word.arg for word in call.keywords):
        return None
    name = call.args[0]
    if not isinstance(name, ast.Constant) or name.value not in config_names(sources):
        return None
    return Effect(
        exception="ValueError",
        text=f"'{name.value}' is already used by a Transformers config, pick another name.",
    )


def config_names(sources: Sources) -> frozenset[str]:
    """The model types that the installed transformers has configurations for."""
    texts = (sources.text(module) or b"" for module in _MAPPINGS)
    return frozenset(found[0].decode() for text in texts for found in _PAIR.findall(text))


def version_demanded(
    loop: ast.For | ast.While, parsed: ParsedModule, exports: Exports, environment: Environment
) -> Effect | None:
    """``for package in names: require_version_core(deps[package])``: the first that the environment does not meet."""
    if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Name) or not _demands(loop):
        return None
    table = _table(parsed, exports)
    for name in _names(loop.iter.id, parsed):
        wanted = _requirement(table.get(name))
        installed = environment.find(wanted.name) if wanted is not None else None
        if wanted is None or installed is None or installed.version is None:
            continue  # python itself, or one that is checked only where it is there
        try:
            if wanted.specifier.contains(installed.version, prereleases=True):
                continue
        except InvalidVersion:
            continue
        return Effect(
            exception="ImportError",
            text=f"{wanted} is required for a normal functioning of this module, but found {wanted.name}=="
            f"{installed.version}.",
            requirement=str(wanted),
        )
    return None


def _demands(loop: ast.For) -> bool:
    called = (dotted(node.func).rpartition(".")[2] for node in ast.walk(loop) if isinstance(node, ast.Call))
    return any(name in ("require_version", "require_version_core") for name in called)


def _names(name: str, parsed: ParsedModule) -> list[str]:
    for binding in parsed.by_name.get(name, ())[-1:]:
        if isinstance(binding.value, (ast.List, ast.Tuple)):
            return [each.value for each in binding.value.elts
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)]  # fmt: skip
    return []


def _table(parsed: ParsedModule, exports: Exports) -> dict[str, str]:
    """The literal dictionary ``deps`` that the module imports or holds."""
    found = exports.look_up(parsed.name, "deps")
    value = getattr(found, "value", None)
    if not isinstance(value, ast.Dict):
        return {}
    return {
        key.value: text.value
        for key, text in zip(value.keys, value.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(text, ast.Constant)
        and isinstance(key.value, str) and isinstance(text.value, str)
    }  # fmt: skip


def _requirement(text: str | None) -> Requirement | None:
    try:
        return Requirement(text) if text else None
    except InvalidRequirement:
        return None
