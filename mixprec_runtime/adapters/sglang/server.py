"""SGLang's server with the loader of mixtures, for releases that have no plugins: ``python -m`` this module.

The loader's class is handed in as the load format. Processes that the engine starts get the server's arguments, and
with them this class, whose module registers the quantization method before the engine asks for it.
"""

from __future__ import annotations

__all__ = ["main"]

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast


def main(arguments: Sequence[str]) -> None:
    """Serve as ``sglang.launch_server`` of this release does, until it is ended."""
    from sglang import launch_server as door
    from sglang.srt.server_args import prepare_server_args

    from mixprec_runtime.adapters.sglang.loader import MixprecModelLoader

    server_args = prepare_server_args(list(arguments))
    server_args.load_format = MixprecModelLoader
    try:
        _serving()(server_args)
    finally:
        door.kill_process_tree(os.getpid(), include_parent=False)


def _serving() -> Callable[[Any], object]:
    """What serves by arguments: newer releases choose among servers, earlier ones have one."""
    from sglang import launch_server as door

    found = getattr(door, "run_server", None)
    if found is None:
        from sglang.srt.entrypoints.http_server import launch_server

        found = launch_server
    return cast("Callable[[Any], object]", found)


if __name__ == "__main__":
    main(sys.argv[1:])
