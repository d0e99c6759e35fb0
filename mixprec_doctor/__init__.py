"""mixprec_doctor: knows an environment without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixprec_doctor.version import __version__

if TYPE_CHECKING:
    from mixprec_doctor.api import CannotConstruct, UnresolvedRole, construct, load, resolve
    from mixprec_doctor.codecheck.checking import check
    from mixprec_doctor.diagnosis import diagnose
    from mixprec_doctor.errors import MixprecError
    from mixprec_doctor.examination import examine
    from mixprec_doctor.records.role import Role

__all__ = [
    "CannotConstruct",
    "MixprecError",
    "Role",
    "UnresolvedRole",
    "__version__",
    "check",
    "construct",
    "diagnose",
    "examine",
    "load",
    "resolve",
]

_HOMES = {
    "CannotConstruct": "mixprec_doctor.api",
    "MixprecError": "mixprec_doctor.errors",
    "Role": "mixprec_doctor.records.role",
    "UnresolvedRole": "mixprec_doctor.api",
    "check": "mixprec_doctor.codecheck.checking",
    "construct": "mixprec_doctor.api",
    "diagnose": "mixprec_doctor.diagnosis",
    "examine": "mixprec_doctor.examination",
    "load": "mixprec_doctor.api",
    "resolve": "mixprec_doctor.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Load what is asked for on first use, so that importing the package stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names, those not loaded yet included."""
    return sorted({*globals(), *__all__})
