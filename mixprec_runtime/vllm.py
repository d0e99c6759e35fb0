"""Mixtures in one's own Python: ``LLM(**mixprec_runtime.vllm.prepare("mix.yaml"))``. vLLM is not imported here."""

from __future__ import annotations

__all__ = ["prepare"]

import os
from typing import Any

ENGINE = "vllm"


def prepare(
    mix: str | os.PathLike[str],
    *,
    setup: str | os.PathLike[str] | None = None,
    verify: bool = True,
    allow_placeholders: bool = False,
    **engine_args: Any,  # noqa: ANN401  whatever this release of the engine takes
) -> dict[str, Any]:
    """Plan the mixture, write its run folder, and give the arguments for ``LLM`` or ``EngineArgs``.

    They are those of the file's ``serve`` that the engine itself takes (not a server's host and port), under
    ``engine_args``, which win. With ``verify``, kernels that neither ``setup`` nor an earlier start proves are tried
    first, in a process of their own, as ``mixprec launch`` does. Raises InvalidMix, RefusedPlan, NoEngine, EngineLacks,
    KeptFrom, TakenArgument, RunFolderError.
    """
    from mixprec_runtime.adapters.vllm.command import refuse_taken
    from mixprec_runtime.adapters.vllm.lacking import engine_arguments
    from mixprec_runtime.preparing import prepare_folder

    found = prepare_folder(
        mix, engine=ENGINE, refuse=refuse_taken, engine_args=engine_args, setup=setup, verify=verify,
        allow_placeholders=allow_placeholders,
    )  # fmt: skip
    taken = engine_arguments() | found.said
    return {"model": str(found.folder), **{name: value for name, value in found.given.items() if name in taken}}
