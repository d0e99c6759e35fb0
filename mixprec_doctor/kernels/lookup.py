"""Lookup: whether an engine's own function gives the config of a method here; its table names more than it gives."""

from __future__ import annotations

__all__ = ["refusal"]

from collections.abc import Callable

from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.values import Function, Raised
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.records.role import Role

_UNKNOWN = "no-such-method"


def refusal(ev: Evaluator, roles: Callable[[Role], Resolution], method: str) -> str | None:
    """What the engine raises when it is asked for a method that it lists; None where it may give it, or lists none."""
    role = roles(Role.GET_QUANTIZATION_CONFIG)
    if role.module is None or role.name is None or not ev.names.follows(role.module):
        return None
    module, name = role.module, role.name
    function = ev.once(lambda: ev.names.look_up(module, name))
    if not isinstance(function, Function):
        return None
    found, unlisted = _raised(ev, function, method), _raised(ev, function, _UNKNOWN)
    if found is None or (unlisted is not None and _before(found, method) == _before(unlisted, _UNKNOWN)):
        return None
    return f"{found.name}: {found.message}"


def _raised(ev: Evaluator, function: Function, method: str) -> Raised | None:
    """What a call raises on every path; a TypeError may be the reading's own fault."""
    outcomes, whole = ev.every_path(lambda: ev.call(function, [method]))
    faults = [each.raised for each in outcomes if each.raised is not None and each.raised.name == "ValueError"]
    return faults[0] if whole and faults and len(faults) == len(outcomes) else None


def _before(fault: Raised, method: str) -> tuple[str, str]:
    return fault.name, str(fault.message).partition(method)[0]
