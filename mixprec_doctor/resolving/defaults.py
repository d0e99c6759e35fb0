"""Defaults: which parameters of a class had another default in earlier releases, read from the releases themselves."""

from __future__ import annotations

__all__ = ["changed_defaults"]

import ast
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from packaging.version import InvalidVersion, Version

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.index.releases import Index
from mixprec_doctor.records.defaultchange import DefaultChange
from mixprec_doctor.records.release import Release
from mixprec_doctor.resolving.releases import reading_code
from mixprec_doctor.source.constructors import parameters_of
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.module import parse_expression
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import module_files

_THREADS = 8  # mostly waiting for a server
_BACK = 16  # releases looked back to
_AHEAD = 4  # later ones: code may have been written for them
_PATIENCE = 15.0  # seconds


def changed_defaults(
    module: str, name: str, now: Mapping[str, str], *, distribution: str, installed: str, index: Index
) -> tuple[DefaultChange, ...]:
    """Parameters of ``now`` (name to default) that had another default before, or will have, with their latest change.

    Earlier releases are asked for the same class in the same module, the nearest first, until one does not have it;
    and a few later ones, as code may have been written for those.
    Only plain values count: of an expression it is not known what it gives.
    """
    now = {parameter: default for parameter, default in now.items() if _is_plain(default)}
    if not now:
        return ()
    try:
        here = Version(installed)
        releases = [each for each in index.find(f"{distribution}>=0") if each.fits]
    except (MixprecError, InvalidVersion):
        return ()
    before = [each for each in releases if Version(each.version) < here][::-1][:_BACK]
    after = [each for each in releases if Version(each.version) > here][:_AHEAD]
    history = _histories([*after, *before], module, name, index)
    back = [(each.version, history[each.version]) for each in before if each.version in history]
    ahead = [(each.version, history[each.version]) for each in after if each.version in history]
    found = _changes(now, installed, back)
    known = {each.parameter for each in found}
    return (*found, *(each for each in _coming(now, installed, ahead) if each.parameter not in known))


def _histories(
    releases: Sequence[Release], module: str, name: str, index: Index
) -> dict[str, Mapping[str, str] | None]:
    """The defaults in each release, as far as time allows."""
    deadline = time.monotonic() + _PATIENCE
    pool = ThreadPoolExecutor(_THREADS)
    found: dict[str, Mapping[str, str] | None] = {}
    asked = [(each, pool.submit(partial(_read, each, module, name, index))) for each in releases]
    for release, future in asked:
        with suppress(Exception):  # whatever is wrong with one release, or with time, the others still tell
            found[release.version] = future.result(timeout=max(0.0, deadline - time.monotonic()))
    pool.shutdown(wait=False, cancel_futures=True)
    return found


def _coming(
    now: Mapping[str, str], installed: str, history: Sequence[tuple[str, Mapping[str, str] | None]]
) -> list[DefaultChange]:
    """The first change of each default in later releases, the nearest first."""
    found: dict[str, DefaultChange] = {}
    last = installed
    for version, defaults in history:
        if defaults is None:
            break
        for parameter, value in now.items():
            later = defaults.get(parameter)
            if later is not None and _is_plain(later) and later != value and parameter not in found:
                found[parameter] = DefaultChange(
                    parameter=parameter, before=value, now=later, last=last, since=version, is_ahead=True
                )
        last = version
    return list(found.values())


def _changes(
    now: Mapping[str, str], installed: str, history: Sequence[tuple[str, Mapping[str, str] | None]]
) -> list[DefaultChange]:
    """The latest change of each default; ``history`` goes from the nearest release to the oldest."""
    found: dict[str, DefaultChange] = {}
    since = installed
    for version, defaults in history:
        if defaults is None:
            break
        for parameter, value in now.items():
            before = defaults.get(parameter)
            if before is not None and _is_plain(before) and before != value and parameter not in found:
                found[parameter] = DefaultChange(
                    parameter=parameter, before=before, now=value, last=version, since=since
                )  # fmt: skip
        since = version
    return list(found.values())


def _is_plain(default: str) -> bool:
    """Whether a default is written as a value."""
    try:
        ast.literal_eval(parse_expression(default))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _read(release: Release, module: str, name: str, index: Index) -> Mapping[str, str] | None:
    """The defaults of a class in a release; None when it is not there, or not in that place."""
    asked = hashlib.sha256(f"{module} {name}".encode()).hexdigest()
    key = f"{release.file.key} {reading_code()} defaults {asked}"
    if (kept := index.store.answer(key)) is not None:
        answer: dict[str, str] | None = json.loads(kept)
        return answer
    with index.open(release) as wheel:
        found = _defaults(Sources(wheel.tree), module, name)
    index.store.keep_answer(key, json.dumps(found))
    return found


def _defaults(sources: Sources, module: str, name: str) -> dict[str, str] | None:
    tree = sources.tree(module.partition(".")[0])
    if tree is None or not any(tree.has(path) for path in module_files(module)):
        return None
    exports = Exports(sources)
    found = exports.look_up(module, name)
    if not isinstance(found, Found):
        return None
    return {each.name: each.default for each in parameters_of(found, exports) if each.default is not None}
