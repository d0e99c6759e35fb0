"""A whole ``mixprec launch`` with a small server in the engine's place, which stops at a stage and says so.

``python -m tests.runtime.launching.launcher STAGE PORT SCRIPT MODE MIX``: at STAGE, if it is one of the launcher's own, it
prints the stage and sleeps there, as long as nobody interrupts it; the other stages are the server's (SCRIPT, MODE).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

STAGES = {
    "reading": "mixprec_runtime.mixfile.read.read_mix",
    "planning": "mixprec_runtime.planning.planner.make_plan",
    "proving": "mixprec_runtime.cli.kernels.with_kernels",
    "writing": "shutil.copyfile",
    "cleaning": "mixprec_runtime.launching.launch.new_state_folder",
}


def main(stage: str, port: str, script: str, mode: str, mix: str) -> int:
    """Run the command with the engine's command replaced, and its exit code."""
    from mixprec_runtime.cli.main import main as mixprec
    from mixprec_runtime.launching import keeper, launch
    from mixprec_runtime.launching.command import ServeCommand

    def command(engine: str, run_folder: Path, **_: object) -> ServeCommand:
        return ServeCommand(words=(sys.executable, script, port, mode), host="127.0.0.1", port=int(port))

    sys.argv = ["mixprec", "launch", "--quiet", *([] if stage == "proving" else ["--no-verify"]), mix]
    patches: list[Any] = [
        mock.patch("mixprec_runtime.launching.launch.command_of", command),
        mock.patch("mixprec_runtime.launching.engines.choose_engine", lambda wanted: "vllm"),
        mock.patch.object(keeper, "GRACE", 0.5),
        mock.patch.object(launch, "STARTING_GRACE", 0.5),
        mock.patch.object(launch, "SERVING_GRACE", 1.0),
    ]
    if stage in STAGES:
        patches.append(mock.patch(STAGES[stage], _halting(stage, STAGES[stage])))
    for patch in patches:
        patch.start()
    return mixprec()


def _halting(stage: str, target: str) -> Callable[..., Any]:
    module, _, name = target.rpartition(".")
    real = getattr(__import__(module, fromlist=[name]), name)

    def halt(*words: Any, **named: Any) -> Any:
        print(f"halted: {stage}", file=sys.stderr, flush=True)
        time.sleep(60)
        return real(*words, **named)

    return halt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
