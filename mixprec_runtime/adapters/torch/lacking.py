"""What the embedded engine lacks in an environment, before anything is started; torch is not imported here."""

from __future__ import annotations

__all__ = ["TorchLacks", "refuse_lacking"]

from importlib.util import find_spec
from pathlib import Path

from mixprec_doctor.environment.embedded import LOADING, NEEDED, RECENT, SERVING
from mixprec_doctor.errors import ExitCode, MixprecError


class TorchLacks(MixprecError):
    """The environment has no place for something that the embedded engine is made of."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, lacks: tuple[str, ...]) -> None:
        super().__init__(lacks)
        self.lacks = lacks

    def __str__(self) -> str:
        return (
            f"the embedded engine (torch) lacks: {', '.join(self.lacks)}\n  try: python -m pip install 'mixprec[torch]'"
        )


def refuse_lacking(*, serving: bool = True) -> None:
    """Raises TorchLacks with all that is missing, of what answers over HTTP too if that is wanted."""
    lacks = [name for name in (*NEEDED, *(SERVING if serving else ())) if find_spec(name) is None]
    found = find_spec("transformers")
    if found is not None and found.origin and not (Path(found.origin).parent / LOADING).is_file():
        lacks.append(RECENT)
    if lacks:
        raise TorchLacks(tuple(lacks))
