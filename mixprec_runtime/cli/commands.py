"""The runtime's commands as data: name, place and the line that help shows."""

from __future__ import annotations

__all__ = ["RUNTIME_COMMANDS"]

from mixprec_doctor.cli.lazy import CommandEntry

RUNTIME_COMMANDS: dict[str, CommandEntry] = {
    "plan": CommandEntry(
        target="mixprec_runtime.cli.plan:plan",
        help=("Read a mix file and the checkpoints' headers; show which layer comes from where, and its bytes."),
    ),
    "memory": CommandEntry(
        target="mixprec_runtime.cli.memory:memory",
        help="Show a mixture's bytes, planned and measured, beside BF16 and each checkpoint; as text or a picture.",
    ),
    "launch": CommandEntry(
        target="mixprec_runtime.cli.launch:launch",
        help="Serve the model that a mix file describes, with the engine's own server and kernels.",
    ),
    "demo": CommandEntry(
        target="mixprec_runtime.cli.demo:demo",
        help="Do it all once on a real small model: doctor, plan, launch, one question, figures.",
    ),
}
