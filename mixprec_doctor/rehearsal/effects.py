"""Effects: statements at import time other than imports that end in an exception, decided from what they refer to.

Two are known: a configuration that is registered with transformers under a name that transformers has itself, and the
versions that transformers demands of its own requirements when it is imported.
"""

from __future__ import annotations

__all__ = ["Effect", "registered_twice", "version_demanded"]

import ast
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.resolving.registrations import config_names, registered_name
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import ParsedModule, dotted
from mixprec_doctor.source.sources import Sources


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The exception of a statement. ``requirement`` is what would have to be installed for it not to be raised."""

    exception: str
    text: str
    requirement: str | None = None
    registered: str | None = None  # the model type that is registered twice


def registered_twice(call: ast.Call, sources: Sources) -> Effect | None:
    """``AutoConfig.register("name", ...)`` for a name that the installed transformers has, without ``exist_ok``."""
    name = registered_name(call)
    if name is None or name not in config_names(sources):
        return None
    return Effect(
        exception="ValueError",
        text=f"'{name}' is already used by a Transformers config, pick another name.",
        registered=name,
    )


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
