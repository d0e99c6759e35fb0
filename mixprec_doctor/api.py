"""The Python API: where an engine's names live, and the things themselves, for other people's plugins.

``resolve`` reads source and imports nothing of an engine. ``load`` and ``construct`` import it, in the caller's own
process and at the caller's wish: they take the place of try/except ladders over import paths.
"""

from __future__ import annotations

__all__ = [
    "CannotConstruct",
    "NoEngine",
    "RoleName",
    "SeveralEngines",
    "SeveralReleases",
    "TwoTargets",
    "UnknownRole",
    "UnresolvedRole",
    "construct",
    "load",
    "resolve",
]

import difflib
import importlib
import os
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

from mixprec_doctor.construction import CannotConstruct, plan_call
from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.environment.metadata import read_folder
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.resolution import Resolution, Status, SymbolResolution
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.engine import EngineSource, open_engine
from mixprec_doctor.resolving.layout import LAYOUTS, find_layout

# The values of Role, so that editors complete them and type checkers know what resolve returns.
RoleName = Literal[
    "quantization_config", "linear_method_base", "linear_base", "unquantized.linear_method",
    "column_parallel_linear", "row_parallel_linear", "qkv_parallel_linear", "merged_column_parallel_linear",
    "replicated_linear", "fp8.config", "fp8.linear_method", "gptq.config", "gptq.linear_method",
    "gptq_marlin.config", "gptq_marlin.linear_method", "awq.config", "awq.linear_method", "awq_marlin.config",
    "awq_marlin.linear_method", "blockwise_int8.config", "blockwise_int8.linear_method", "w8a8_int8.config",
    "w8a8_int8.linear_method", "w8a8_fp8.config", "compressed_tensors.config", "default_loader",
    "get_model_loader", "register_model_loader", "load_config", "load_format", "model_config",
    "quantization_registry", "get_quantization_config", "register_quantization_config", "server_args",
    "launch_server", "plugin_hook",
]  # fmt: skip
_PLACEHOLDERS: tuple[object, ...] = (None, Any, object, Ellipsis, NotImplemented)


class SeveralReleases(MixprecError):
    """A requirement names more than one release, where one was wanted."""

    def __init__(self, requirement: str, versions: tuple[str, ...]) -> None:
        super().__init__(requirement, versions)
        self.requirement = requirement
        self.versions = versions

    def __str__(self) -> str:
        return f"{self.requirement} names {len(self.versions)} releases ({', '.join(self.versions)}); name one"


class UnknownRole(MixprecError):
    """There is no role of that name."""

    def __init__(self, name: str, near: tuple[str, ...]) -> None:
        super().__init__(name, near)
        self.name = name
        self.near = near

    def __str__(self) -> str:
        near = f"near: {', '.join(self.near)}" if self.near else f"roles: {' '.join(role.value for role in Role)}"
        return f"no role {self.name!r}\n  {near}"


class NoEngine(MixprecError):
    """The environment has no engine, or not the one that was asked for."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, place: str, wanted: str | None) -> None:
        super().__init__(place, wanted)
        self.place = place
        self.wanted = wanted

    def __str__(self) -> str:
        wanted = self.wanted or " or ".join(layout.engine for layout in LAYOUTS)
        return f"{self.place} has no {wanted}\n  try: name another environment, python=... or site_packages=..."


class SeveralEngines(MixprecError):
    """The environment has more than one engine, and none was named."""

    def __init__(self, place: str, engines: tuple[str, ...]) -> None:
        super().__init__(place, engines)
        self.place = place
        self.engines = engines

    def __str__(self) -> str:
        choices = " or ".join(f"engine={each!r}" for each in self.engines)
        return f"{self.place} has {' and '.join(self.engines)}\n  try: {choices}"


class TwoTargets(MixprecError):
    """Two places to look in were named where one is looked at."""

    def __init__(self, *named: str) -> None:
        super().__init__(*named)
        self.named = named

    def __str__(self) -> str:
        return f"{' and '.join(self.named)}: give one of them"


class UnresolvedRole(MixprecError):
    """A role that cannot be loaded here: it is not there, a placeholder stands for it, or its import fails."""

    def __init__(self, resolution: Resolution, cause: str | None = None) -> None:
        super().__init__(resolution, cause)
        self.resolution = resolution
        self.cause = cause  # what went wrong when it was imported; None when that was not tried

    def __str__(self) -> str:
        role = self.resolution
        lines = [f"{role.role.value} of {role.engine} cannot be loaded: {self._verdict()}"]
        lines += [f"  tried {each.path}: {each.fault or 'found'}" for each in role.tried]
        lines += [f"  needs {need}" for need in role.needs or ()]
        return "\n".join([*lines, f"  try: {self._advice()}"])

    def _verdict(self) -> str:
        role = self.resolution
        if role.status is Status.MISSING:
            return "this release has it under no name"
        if role.status is Status.PLACEHOLDER:
            return f"what stands at {role.module}.{role.name} is a placeholder: {role.condition}"
        return f"{role.import_line} fails: {self.cause}"

    def _advice(self) -> str:
        role = self.resolution
        if role.status is Status.MISSING:
            return "another release of the engine, or another format; mixprec doctor says what this one has"
        if role.status is Status.PLACEHOLDER:
            return "install what that import needs; mixprec doctor"
        wanted = sorted({f'"{need.distribution}"' for need in role.needs or () if need.distribution})
        return f"python -m pip install {' '.join(wanted)}" if wanted else f"mixprec doctor --engine {role.engine}"


@overload
def resolve(
    role_or_symbol: Role | RoleName,
    *,
    engine: str | None = None,
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
    release: str | None = None,
) -> Resolution: ...


@overload
def resolve(
    role_or_symbol: str,
    *,
    engine: str | None = None,
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
    release: str | None = None,
) -> Resolution | SymbolResolution: ...


def resolve(
    role_or_symbol: Role | str,
    *,
    engine: str | None = None,
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
    release: str | None = None,
) -> Resolution | SymbolResolution:
    """Where a role (``"fp8.config"``) or a name (``"Fp8Config"``) lives and how it is called; imports nothing.

    Without ``python`` or ``site_packages`` it is looked for on the running interpreter's ``sys.path``. ``release``
    is one on the index that pip is set up for (``"sglang==0.4.7"``, ``"vllm"`` for the newest) or the path of a
    wheel. What is not there is no error: the record says so, with every path tried or the nearest names.
    """
    known = {role.value for role in Role}
    is_symbol = role_or_symbol not in known and role_or_symbol.isidentifier()
    wanted = str(role_or_symbol) if is_symbol else _role(role_or_symbol)
    if release is not None:
        if python is not None or site_packages is not None:
            raise TwoTargets(f"release={release!r}", *_named(python=python, site_packages=site_packages))
        return _in_release(release, wanted)
    source = _source(engine, python=python, site_packages=site_packages)
    return source.role(wanted) if isinstance(wanted, Role) else source.symbol(wanted)


def _named(**places: str | os.PathLike[str] | None) -> list[str]:
    return [f"{name}={os.fspath(place)!r}" for name, place in places.items() if place is not None]


def _in_release(requirement: str, wanted: Role | str) -> Resolution | SymbolResolution:
    from mixprec_doctor.index.requirements import find_each
    from mixprec_doctor.resolving.releases import Question

    releases = find_each(requirement)
    if len(releases) != 1:
        raise SeveralReleases(requirement, tuple(each.version for each in releases))
    if isinstance(wanted, Role):
        return next(each for each in Question()(releases[0]).roles or () if each.role is wanted)
    return (Question(symbols=(wanted,))(releases[0]).symbols or ())[0]


def load(role: Role | RoleName | str, /, *, engine: str | None = None) -> Any:  # noqa: ANN401  whatever the role is
    """Import and return what a role is in the running interpreter's engine, or raise ``UnresolvedRole``."""
    wanted = _role(role)
    source = _source(engine)
    return _import(source.role(wanted), source)


def construct(role: Role | RoleName | str, /, *, engine: str | None = None, **meaning: Any) -> Any:  # noqa: ANN401
    """Build a config or linear method of the running interpreter's engine, whatever this release calls things.

    For a config, ``meaning`` are the keys of the checkpoint's ``quantization_config``; ``quant_method`` may be
    left out. For a linear method, ``config`` is the config object; further arguments go by their own names.
    ``CannotConstruct`` names all that is unknown or missing at once.
    """
    wanted = _role(role)
    source = _source(engine)
    resolution = source.role(wanted)
    if resolution.status is not Status.FOUND:
        raise UnresolvedRole(resolution)
    call = plan_call(resolution, meaning)
    found = _import(resolution, source)
    return (getattr(found, call.method) if call.method else found)(**call.arguments)


def _role(name: Role | str) -> Role:
    try:
        return Role(name)
    except ValueError:
        near = difflib.get_close_matches(str(name), [role.value for role in Role], n=4)
        raise UnknownRole(str(name), tuple(near)) from None


def _import(resolution: Resolution, source: EngineSource) -> Any:  # noqa: ANN401  whatever the role is
    if resolution.status is not Status.FOUND or not resolution.module or not resolution.name:
        raise UnresolvedRole(resolution)
    try:
        module = importlib.import_module(resolution.module)
    except ImportError as fault:  # what else is missing is said too, not one import error at a time
        raise UnresolvedRole(source.with_needs(resolution), _words(fault)) from fault
    except (Exception, SystemExit) as fault:
        raise UnresolvedRole(resolution, _words(fault)) from fault
    missing = object()
    found = getattr(module, resolution.name, missing)
    if found is missing:
        raise UnresolvedRole(resolution, f"the module was imported and has no {resolution.name}")
    if any(found is each for each in _PLACEHOLDERS):
        raise UnresolvedRole(resolution, f"{found!r} stands there, a placeholder")
    if resolution.condition and getattr(found, "__name__", resolution.name) != resolution.name:
        raise UnresolvedRole(resolution, f"{found!r} stands there, a placeholder unless {resolution.condition}")
    return found


def _words(fault: BaseException) -> str:
    """An error in words, with the one that it goes back to."""
    root = fault
    seen = {id(root)}
    while (before := root.__cause__ or (None if root.__suppress_context__ else root.__context__)) is not None:
        if id(before) in seen:
            break
        seen.add(id(before))
        root = before
    words = f"{type(fault).__name__}: {fault}"
    return words if root is fault else f"{words}; the root of it is {type(root).__name__}: {root}"


def _source(
    engine: str | None,
    *,
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
) -> EngineSource:
    """The engine asked for, or the only one that is there."""
    if python is not None and site_packages is not None:
        raise TwoTargets(*_named(python=python, site_packages=site_packages))
    if engine is not None:
        find_layout(engine)  # refuses an unknown name with those known
    target = Target(
        python=Path(python) if python is not None else None,
        site_packages=Path(site_packages) if site_packages is not None else None,
    )
    return _open(target, engine, _own_path() if target == Target() else ())


def _own_path() -> tuple[str, ...]:
    """The folders that the running interpreter imports from, the standard library's own left out."""
    folders = [os.path.abspath(entry or os.curdir) for entry in sys.path]  # noqa: PTH100
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    apart = {library, os.path.join(library, "lib-dynload")}  # noqa: PTH118
    return tuple(dict.fromkeys(each for each in folders if each not in apart and os.path.isdir(each)))  # noqa: PTH112


@lru_cache(maxsize=16)
def _open(target: Target, engine: str | None, path: tuple[str, ...]) -> EngineSource:
    environment = _read(target, path)
    known = [layout.engine for layout in LAYOUTS]
    there = [each.engine for each in find_engines(environment) if each.engine in known and each.root is not None]
    chosen = [each for each in there if engine in (None, each)]
    if not chosen:
        _read.cache_clear()  # it may be installed before the next call
        raise NoEngine(str(target), engine)
    if len(chosen) > 1:
        raise SeveralEngines(str(target), tuple(chosen))
    return _engine(target, chosen[0], path)


@lru_cache(maxsize=16)
def _engine(target: Target, engine: str, path: tuple[str, ...]) -> EngineSource:
    return open_engine(_read(target, path), engine)


@lru_cache(maxsize=16)
def _read(target: Target, path: tuple[str, ...]) -> Environment:
    """The environment; the running interpreter's with the path that its imports really take."""
    environment = read_environment(target)
    if not path:
        return environment
    further = [each for each in path if each not in environment.site_paths]
    distributions = [found for each in further for found in read_folder(Path(each))[0]]
    return replace(environment, site_paths=path, distributions=(*environment.distributions, *distributions))
