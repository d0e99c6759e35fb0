"""What an installed SGLang has of what mixprec needs, read from its source; the engine is not imported here."""

from __future__ import annotations

__all__ = ["EngineLacks", "engine_arguments", "has_plugins", "refuse_lacking"]

import mixprec_doctor
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.resolution import Resolution, Status, SymbolResolution
from mixprec_doctor.records.role import Role

ENGINE = "sglang"
ARGUMENTS = "ServerArgs"
NEEDED = (Role.DEFAULT_LOADER, Role.QUANTIZATION_REGISTRY, Role.LINEAR_BASE)


class EngineLacks(MixprecError):
    """The installed release of the engine has no place for something that mixprec must put there."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, lacks: str) -> None:
        super().__init__(lacks)
        self.lacks = lacks

    def __str__(self) -> str:
        return (
            f"wanted {self.lacks} of SGLang, through which mixprec serves mixtures; the installed release has none\n"
            "  try: SGLang 0.4.7 or later; mixprec doctor says which release this is and what it has"
        )


def refuse_lacking() -> None:
    """Raises EngineLacks where a mixture finds no place. An engine that cannot be found is no matter of this."""
    for role in NEEDED:
        found = mixprec_doctor.resolve(role, engine=ENGINE)
        if isinstance(found, Resolution) and found.status is Status.MISSING:
            raise EngineLacks(role.value)


def has_plugins() -> bool:
    """Whether this release calls plugins in the processes that load weights."""
    found = mixprec_doctor.resolve(Role.PLUGIN_HOOK, engine=ENGINE)
    return isinstance(found, Resolution) and found.status is Status.FOUND


def engine_arguments() -> frozenset[str]:
    """What the installed engine takes without a server around it, read from its source. Raises EngineLacks."""
    found = mixprec_doctor.resolve(ARGUMENTS, engine=ENGINE)
    if not isinstance(found, SymbolResolution) or not found.defined:
        raise EngineLacks(ARGUMENTS)
    return frozenset(parameter.name for parameter in found.defined[0].parameters)
