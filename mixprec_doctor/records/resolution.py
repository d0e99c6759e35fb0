"""Resolution: where a role or a symbol lives in a release, how it is called, and every path tried."""

from __future__ import annotations

__all__ = [
    "Attempt",
    "Binding",
    "Definition",
    "How",
    "Importable",
    "Parameter",
    "Resolution",
    "Status",
    "SymbolResolution",
]

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal

from mixprec_doctor.records.need import Need
from mixprec_doctor.records.reading import Reading
from mixprec_doctor.records.role import Role


class Status(str, Enum):
    """What came of looking for a role."""

    FOUND = "found"
    PLACEHOLDER = "placeholder"  # the name is there, but something that does not work stands in for it
    MISSING = "missing"


class How(str, Enum):
    """How a name becomes importable from a module."""

    DEFINITION = "definition"
    REEXPORT = "reexport"
    CONDITIONAL = "conditional"  # depends on something that the source alone does not decide
    LAZY = "lazy"  # through the module's __getattr__ or a lazy-import object
    PLACEHOLDER = "placeholder"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a constructor or function; ``kind`` is a name of ``inspect.Parameter``."""

    name: str
    kind: str
    required: bool
    default: str | None = None  # source text; None: there is none
    annotation: str | None = None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "name": self.name,
            "kind": self.kind,
            "required": self.required,
            "default": self.default,
            "annotation": self.annotation,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Parameter:
        """The record that ``to_json`` wrote."""
        return cls(**{each.name: raw[each.name] for each in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A path that was tried; ``fault`` is None for the one that held."""

    path: str
    fault: str | None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {"path": self.path, "fault": self.fault}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Attempt:
        """The record that ``to_json`` wrote."""
        return cls(path=raw["path"], fault=raw["fault"])


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How to call what was found, by keyword.

    ``via == "from_config"``: pass the checkpoint's ``quantization_config`` whole, as ``kwargs`` says
    (``{"config": "config"}``). ``via == "constructor"``: ``kwargs`` maps this release's keyword to what mixprec
    means by it (``{"quant_config": "config"}``: give the layer's config as ``quant_config``).
    """

    via: Literal["constructor", "from_config"]
    kwargs: Mapping[str, str] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)  # by keyword of the constructor
    asked: tuple[str, ...] = ()  # every key that from_config looks for, whatever comes of it
    unfilled: tuple[str, ...] = ()  # required parameters that mixprec has no value for

    @property
    def keywords(self) -> Mapping[str, str]:
        """What each keyword of the constructor means, whichever door leads there; ``kwargs`` for a constructor."""
        return {name: reading.meaning for name, reading in self.readings.items()} or self.kwargs

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "via": self.via,
            "kwargs": dict(self.kwargs),
            "keywords": dict(self.keywords),
            "readings": {name: reading.to_json() for name, reading in self.readings.items()},
            "asked": list(self.asked),
            "unfilled": list(self.unfilled),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Binding:
        """The record that ``to_json`` wrote."""
        return cls(
            via=raw["via"],
            kwargs=dict(raw["kwargs"]),
            readings={name: Reading.from_json(each) for name, each in raw.get("readings", {}).items()},
            asked=tuple(raw.get("asked", ())),
            unfilled=tuple(raw.get("unfilled", ())),
        )


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Where a role lives in a release of an engine."""

    role: Role
    engine: str
    status: Status
    module: str | None = None
    name: str | None = None
    parameters: tuple[Parameter, ...] = ()
    doubt: str | None = None  # why the parameters may not be the whole truth
    how: How | None = None
    condition: str | None = None  # source text of what the import depends on
    binding: Binding | None = None
    tried: tuple[Attempt, ...] = ()
    defined_in: str | None = None  # where the definition stands, when module re-exports it
    since: str | None = None
    needs: tuple[Need, ...] | None = None  # what its module needs at import and isn't there; None: not looked for
    formerly: str | None = None  # "module.Name" that had the role before it was renamed or moved, where known

    @property
    def import_line(self) -> str | None:
        """The line of Python that imports it."""
        return f"from {self.module} import {self.name}" if self.module and self.name else None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "role": self.role.value,
            "engine": self.engine,
            "status": self.status.value,
            "module": self.module,
            "name": self.name,
            "import": self.import_line,
            "defined_in": self.defined_in,
            "parameters": [parameter.to_json() for parameter in self.parameters],
            "doubt": self.doubt,
            "how": self.how.value if self.how else None,
            "condition": self.condition,
            "binding": self.binding.to_json() if self.binding else None,
            "tried": [attempt.to_json() for attempt in self.tried],
            "since": self.since,
            "formerly": self.formerly,
            "needs": None if self.needs is None else [need.to_json() for need in self.needs],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Resolution:
        """The record that ``to_json`` wrote."""
        return cls(
            role=Role(raw["role"]),
            engine=raw["engine"],
            status=Status(raw["status"]),
            module=raw["module"],
            name=raw["name"],
            parameters=tuple(Parameter.from_json(each) for each in raw["parameters"]),
            doubt=raw.get("doubt"),
            how=How(raw["how"]) if raw["how"] else None,
            condition=raw["condition"],
            binding=Binding.from_json(raw["binding"]) if raw["binding"] else None,
            tried=tuple(Attempt.from_json(each) for each in raw["tried"]),
            defined_in=raw["defined_in"],
            since=raw["since"],
            formerly=raw.get("formerly"),
            needs=None if raw.get("needs") is None else tuple(map(Need.from_json, raw["needs"])),
        )


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A module in which a symbol is defined, with the parameters of calling it."""

    module: str
    parameters: tuple[Parameter, ...] = ()
    doubt: str | None = None  # why the parameters may not be the whole truth

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "module": self.module,
            "parameters": [parameter.to_json() for parameter in self.parameters],
            "doubt": self.doubt,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Definition:
        """The record that ``to_json`` wrote."""
        parameters = tuple(map(Parameter.from_json, raw["parameters"]))
        return cls(module=raw["module"], parameters=parameters, doubt=raw.get("doubt"))


@dataclass(frozen=True, kw_only=True)
class Importable:
    """A module from which a symbol can be imported, and how it comes to be there."""

    module: str
    how: How
    condition: str | None = None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {"module": self.module, "how": self.how.value, "condition": self.condition}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Importable:
        """The record that ``to_json`` wrote."""
        return cls(module=raw["module"], how=How(raw["how"]), condition=raw["condition"])


@dataclass(frozen=True, kw_only=True)
class SymbolResolution:
    """Every place of a release where a name is defined or importable; both empty: the release lacks it."""

    symbol: str
    defined: tuple[Definition, ...] = ()
    importable: tuple[Importable, ...] = ()
    nearest: tuple[str, ...] = ()  # what the release has instead, as "module.name"

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "symbol": self.symbol,
            "defined": [each.to_json() for each in self.defined],
            "importable": [each.to_json() for each in self.importable],
            "nearest": list(self.nearest),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SymbolResolution:
        """The record that ``to_json`` wrote."""
        return cls(
            symbol=raw["symbol"],
            defined=tuple(map(Definition.from_json, raw["defined"])),
            importable=tuple(map(Importable.from_json, raw["importable"])),
            nearest=tuple(raw["nearest"]),
        )
