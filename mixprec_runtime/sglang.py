"""Mixtures in one's own Python: ``Engine(**mixprec_runtime.sglang.prepare("mix.yaml"))``. SGLang is not imported here.

Only before SGLang had plugins (0.5.11) is it imported: there the loader's class is one of the arguments.
"""

from __future__ import annotations

__all__ = ["prepare"]

import os
from typing import Any

ENGINE = "sglang"


def prepare(
    mix: str | os.PathLike[str],
    *,
    setup: str | os.PathLike[str] | None = None,
    verify: bool = True,
    allow_placeholders: bool = False,
    **engine_args: Any,  # noqa: ANN401  whatever this release of the engine takes
) -> dict[str, Any]:
    """Plan the mixture, write its run folder, and give the arguments for ``sglang.Engine`` or ``ServerArgs``.

    They are the file's ``serve`` in SGLang's words, under ``engine_args``, which win. With ``verify``, kernels
    that neither ``setup`` nor an earlier start proves are tried first, in a process of their own, as ``mixprec launch``
    does. Raises InvalidMix, RefusedPlan, NoEngine, EngineLacks, KeptFrom, TakenArgument, RunFolderError.
    """
    from mixprec_runtime.adapters.sglang.command import in_sglangs_words, refuse_taken
    from mixprec_runtime.adapters.sglang.lacking import engine_arguments, has_plugins
    from mixprec_runtime.preparing import prepare_folder

    found = prepare_folder(
        mix, engine=ENGINE, refuse=refuse_taken, engine_args=engine_args, setup=setup, verify=verify,
        allow_placeholders=allow_placeholders,
    )  # fmt: skip
    taken = engine_arguments() | found.said
    arguments: dict[str, Any] = {"model_path": str(found.folder)}
    arguments |= {name: value for name, value in in_sglangs_words(found.given).items() if name in taken}
    if not has_plugins():
        from mixprec_runtime.adapters.sglang.loader import MixprecModelLoader

        arguments["load_format"] = MixprecModelLoader
    return arguments
