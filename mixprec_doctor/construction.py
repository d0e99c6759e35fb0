"""Construction: the one call that builds a config or linear method of this release from what a checkpoint says."""

from __future__ import annotations

__all__ = ["Call", "CannotConstruct", "plan_call"]

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.reading import Reading
from mixprec_doctor.records.resolution import Binding, Resolution
from mixprec_doctor.records.role import CONFIG_ROLES
from mixprec_doctor.records.signature import signature
from mixprec_doctor.resolving.vocabulary import checkpoint_method, known_keys


class CannotConstruct(MixprecError):
    """What was given does not make a call that this release takes; every fault at once."""

    def __init__(self, resolution: Resolution, faults: tuple[str, ...]) -> None:
        super().__init__(resolution, faults)
        self.resolution = resolution
        self.faults = faults

    def __str__(self) -> str:
        role = self.resolution
        lines = [f"cannot construct {role.role.value} of {role.engine}", *(f"  {fault}" for fault in self.faults)]
        if role.name:
            lines.append(f"  this release has: {signature(role.name, role.parameters)}")
        if role.binding is not None and role.binding.via == "from_config":
            lines.append(f"  called through: {role.name}.from_config({', '.join(role.binding.kwargs)})")
        lines.append(f"  try: mixprec resolve --engine {role.engine} --role {role.role.value}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call by keyword: of the class itself, or of a method of it."""

    method: str | None  # "from_config"; None: the class
    arguments: Mapping[str, object]


def plan_call(resolution: Resolution, meaning: Mapping[str, object]) -> Call:
    """The call that hands on ``meaning``, the keys of a checkpoint's quantization_config; refused with every fault."""
    binding = resolution.binding
    if binding is None:
        raise CannotConstruct(resolution, ("only configs and linear methods can be constructed; load the others",))
    if resolution.role not in CONFIG_ROLES:
        return _direct(resolution, binding, meaning)
    if binding.via == "from_config":
        return _through_door(resolution, binding, meaning)
    return _by_keyword(resolution, binding, meaning)


def _through_door(resolution: Resolution, binding: Binding, meaning: Mapping[str, object]) -> Call:
    """The checkpoint's config goes in as it is; only its method's name is added when it was left out."""
    own = {each.name for each in resolution.parameters}
    beside = {name: meaning[name] for name in binding.unfilled if name in meaning and name not in own}
    config = {name: value for name, value in meaning.items() if name not in beside}
    config.setdefault("quant_method", checkpoint_method(resolution.role))
    known = known_keys(resolution.role) | set(binding.asked)
    open_ = [name for name in binding.unfilled if name not in beside]
    faults = [*_unknown(config, known), *_missing(binding.readings, config), *_unfilled(open_)]
    if faults:
        raise CannotConstruct(resolution, tuple(faults))
    return Call(method="from_config", arguments={**{name: config for name, _ in binding.kwargs.items()}, **beside})


def _by_keyword(resolution: Resolution, binding: Binding, meaning: Mapping[str, object]) -> Call:
    """Without ``from_config``: each keyword takes its key, or what was given under its own name."""
    own = [each.name for each in resolution.parameters if not each.kind.startswith("VAR_")]
    arguments: dict[str, object] = {}
    for name in own:
        reading = binding.readings.get(name)
        keys = (name, *reading.keys) if reading else (name,)
        if (key := next((each for each in keys if each in meaning), None)) is not None:
            arguments[name] = meaning[key]
        elif reading is not None and reading.meaning == "config":
            arguments[name] = dict(meaning)
    faults = [
        *_unknown(meaning, known_keys(resolution.role) | set(own)),
        *_missing(binding.readings, meaning, own=arguments),
        *_unfilled(name for name in binding.unfilled if name not in arguments),
    ]
    if faults:
        raise CannotConstruct(resolution, tuple(faults))
    return Call(method=None, arguments=arguments)


def _direct(resolution: Resolution, binding: Binding, meaning: Mapping[str, object]) -> Call:
    """A linear method: ``config`` under the name that this release has for it, the rest by its own name."""
    own = [each.name for each in resolution.parameters if not each.kind.startswith("VAR_")]
    takers = {name for name, word in binding.kwargs.items() if word == "config"}
    arguments = {name: value for name, value in meaning.items() if name in own}
    if "config" in meaning:
        arguments |= dict.fromkeys(takers, meaning["config"])
    required = [each.name for each in resolution.parameters if each.required]
    spare = {"config"} if takers else set()
    faults = [
        *_unknown(meaning, {*own, *spare}),
        *(f"missing: config (this release takes it as {name})" for name in required if name in takers - set(arguments)),
        *_unfilled(name for name in binding.unfilled if name not in arguments),
    ]
    if faults:
        raise CannotConstruct(resolution, tuple(faults))
    return Call(method=None, arguments=arguments)


def _unknown(given: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    names = sorted(known)
    for key in sorted(set(given) - set(names)):
        near = difflib.get_close_matches(key, names, n=3)
        yield f"unknown: {key}" + (f" (near: {', '.join(near)})" if near else "")


def _missing(readings: Mapping[str, Reading], given: Iterable[str], *, own: Iterable[str] = ()) -> Iterator[str]:
    there, filled = set(given), set(own)
    for name, reading in readings.items():
        if reading.required and reading.keys and name not in filled and not there & set(reading.keys):
            yield f"missing: {' or '.join(reading.keys)} (fills {name})"


def _unfilled(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield f"nothing to give for: {name} (required by this release)"
