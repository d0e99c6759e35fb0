"""Read a mix file: the YAML, the schema, then the names and folders it speaks of."""

from __future__ import annotations

__all__ = ["read_mix"]

import difflib
from pathlib import Path

from pydantic import ValidationError

from mixprec_runtime.hub.kept import origin_of
from mixprec_runtime.mixfile.errors import InvalidMix, MixFault
from mixprec_runtime.mixfile.hub import find_folder, locate
from mixprec_runtime.mixfile.marked_yaml import Marked, read_yaml
from mixprec_runtime.mixfile.schema import MixModel
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Rule, Source

KEYS = tuple(MixModel.model_fields)
SHOWN = 100  # characters of a bad value that a message repeats


def read_mix(file: Path) -> Mix:
    """The mix that a file describes. Raises InvalidMix with every fault of the file at once."""
    document = read_yaml(file)
    try:
        model = MixModel.model_validate(document.value)
    except ValidationError as invalid:
        faults = [_fault(document, error) for error in invalid.errors(include_url=False)]
        faults += _faults_beside(document, file)
        raise InvalidMix(file, _in_order(faults)) from None
    faults_found: list[MixFault] = []
    base = _source(document, file, BASE_SOURCE, model.model, ("model",), faults_found)
    sources = {
        name: _source(document, file, name, source.path, ("sources", name, "path"), faults_found)
        for name, source in model.sources.items()
    }
    known = {BASE_SOURCE, *sources}
    for position, rule in enumerate(model.rules):
        if rule.source not in known:
            path = ("rules", position, "source")
            faults_found.append(_unknown(document, path, rule.source, known))
    if model.default not in known:
        faults_found.append(_unknown(document, ("default",), model.default, known))
    if faults_found:
        raise InvalidMix(file, _in_order(faults_found))
    rules = tuple(
        Rule(targets=tuple(rule.targets), source=rule.source, mark=document.mark(("rules", position)))
        for position, rule in enumerate(model.rules)
    )
    return Mix(
        file=file,
        model=base,
        sources=sources,
        rules=rules,
        default=model.default,
        default_mark=document.marks.get(("default",)),
        ignore=tuple(model.ignore),
        ignore_mark=document.marks.get(("ignore",)),
        engine=model.engine,
        serve=dict(model.serve),
    )


def _in_order(faults: list[MixFault]) -> tuple[MixFault, ...]:
    return tuple(sorted(faults, key=lambda fault: (fault.mark.line, fault.mark.column)))


def _faults_beside(document: Marked, file: Path) -> list[MixFault]:
    """Faults of folders and source names in a file that the schema refuses anyway, from the parts that are whole.

    Nothing is fetched from the Hub for such a file.
    """
    raw = document.value if isinstance(document.value, dict) else {}
    sources = raw["sources"] if isinstance(raw.get("sources"), dict) else {}
    texts: list[tuple[tuple[str | int, ...], object]] = [(("model",), raw.get("model"))]
    texts += [(("sources", n, "path"), s.get("path")) for n, s in sources.items() if isinstance(s, dict)]
    faults = []
    for place, text in texts:
        whole = isinstance(text, str) and text and text.isprintable()
        found = find_folder(str(text), beside=file.resolve().parent) if whole else None
        if isinstance(found, str):
            faults.append(MixFault(mark=document.mark(place), text=f"{'.'.join(map(str, place))}: {found}"))
    known = {BASE_SOURCE, *(name for name in sources if isinstance(name, str))}
    names: list[tuple[tuple[str | int, ...], object]] = [(("default",), raw.get("default"))]
    rules = raw["rules"] if isinstance(raw.get("rules"), list) else []
    names += [(("rules", at, "source"), r.get("source")) for at, r in enumerate(rules) if isinstance(r, dict)]
    return faults + [
        _unknown(document, place, name, known) for place, name in names if isinstance(name, str) and name not in known
    ]


def _fault(document: Marked, error: object) -> MixFault:
    assert isinstance(error, dict)  # noqa: S101  pydantic's ErrorDetails
    place = tuple(part for part in error["loc"] if part != "[key]")
    mark = document.mark(_known_part(document, place))
    where = ".".join(str(part) for part in place) or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), _keys_at(place), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(_keys_at(place))}"
        return MixFault(mark=mark, text=f"unknown key {where!r}{hint}")
    if kind == "missing":
        return MixFault(mark=mark, text=f"missing key {where!r}")
    words = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    silent = isinstance(given, dict | list) or kind in ("value_error", "model_type")
    found = "" if silent else f", found {given!r}" if len(repr(given)) <= SHOWN else f", found {repr(given)[:SHOWN]}..."
    return MixFault(mark=mark, text=f"{where}: {words[0].lower()}{words[1:]}{found}")


def _known_part(document: Marked, place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic appends names of union members to a place; the document knows only keys and positions."""
    known: tuple[str | int, ...] = ()
    for part in place:
        if (*known, part) not in document.marks:
            break
        known = (*known, part)
    return known


def _keys_at(place: tuple[str | int, ...]) -> tuple[str, ...]:
    if place and place[0] == "sources" and len(place) == 3:
        return ("path",)
    if place and place[0] == "rules" and len(place) == 3:
        return ("targets", "source")
    return KEYS


def _unknown(document: Marked, path: tuple[str | int, ...], name: str, known: set[str]) -> MixFault:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    text = f"there is no source {name!r}; {hint}known sources: {', '.join(sorted(known))}"
    return MixFault(mark=document.mark(path), text=text)


def _source(
    document: Marked, file: Path, name: str, text: str, place: tuple[str, ...], faults: list[MixFault]
) -> Source:
    mark = document.mark(place)
    located = locate(text, beside=file.resolve().parent)
    if isinstance(located, str):
        faults.append(MixFault(mark=mark, text=f"{'.'.join(place)}: {located}"))
        return Source(name=name, path=Path(text), mark=mark)
    origin = origin_of(located)
    return Source(name=name, path=located, mark=mark, hub=None if origin is None else str(origin))
