"""What an installed vLLM lacks of what mixprec needs, before anything is started; the engine is not imported here."""

from __future__ import annotations

__all__ = ["EngineLacks", "engine_arguments", "refuse_lacking"]

import mixprec_doctor
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.resolution import Resolution, Status, SymbolResolution
from mixprec_doctor.records.role import Role

ENGINE = "vllm"
ARGUMENTS = "EngineArgs"


class EngineLacks(MixprecError):
    """The installed release of the engine has no place for something that mixprec must put there."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, lacks: str) -> None:
        super().__init__(lacks)
        self.lacks = lacks

    def __str__(self) -> str:
        return (
            f"wanted {self.lacks} of vLLM, through which mixprec serves mixtures; the installed release has none\n"
            "  try: vLLM 0.10.1 or later; mixprec doctor says which release this is and what it has"
        )


def refuse_lacking() -> None:
    """Raises EngineLacks where loaders of others have no door. An engine that cannot be found is no matter of this."""
    found = mixprec_doctor.resolve(Role.REGISTER_MODEL_LOADER, engine=ENGINE)
    if isinstance(found, Resolution) and found.status is Status.MISSING:
        raise EngineLacks(Role.REGISTER_MODEL_LOADER.value)


def engine_arguments() -> frozenset[str]:
    """What the installed engine takes without a server around it, read from its source. Raises EngineLacks."""
    found = mixprec_doctor.resolve(ARGUMENTS, engine=ENGINE)
    if not isinstance(found, SymbolResolution) or not found.defined:
        raise EngineLacks(ARGUMENTS)
    return frozenset(parameter.name for parameter in found.defined[0].parameters)
