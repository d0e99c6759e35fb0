"""The embedded engine's server: ``python -m mixprec_runtime.adapters.torch.server RUN_FOLDER``.

The model is loaded before anything listens, so that whoever reaches the server gets answers. SIGINT and SIGTERM end
requests that run, then the process, with code 0.
"""

from __future__ import annotations

__all__ = ["main"]

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.adapters.torch.options import BadOption, ServerOptions, read_options

logger = logging.getLogger("mixprec_runtime.torch")
LAST_WORDS = 5  # seconds that connections get to end when the answers have


def main(words: Sequence[str] | None = None) -> int:
    """Load, serve until a signal comes, and give the exit code."""
    logging.basicConfig(format="%(levelname)s %(asctime)s %(name)s: %(message)s", level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        options = read_options(sys.argv[1:] if words is None else words)
        _serve(options)
    except KeyboardInterrupt:
        return int(ExitCode.CLEAN)
    except BadOption as fault:
        sys.stderr.write(f"{fault}\n")
        return int(fault.exit_code)
    except MixprecError as fault:
        _tell(fault)
        return int(fault.exit_code) or int(ExitCode.FINDINGS)
    return int(ExitCode.CLEAN)


def _serve(options: ServerOptions) -> None:
    import uvicorn

    from mixprec_runtime.adapters.torch.generation import Generator
    from mixprec_runtime.adapters.torch.opening import load
    from mixprec_runtime.adapters.torch.serving.application import Service, application

    for name in options.left_aside:
        logger.info("serve.%s of the mix file is for other engines, and left aside", name)
    loaded = load(
        options.run_folder, dtype=options.dtype, device=options.device, context=options.max_model_len, progress=False
    )
    service = Service(
        Generator(loaded, running=options.max_num_seqs),
        names=options.served_model_name,
        max_waiting=options.max_waiting,
    )

    class _Server(uvicorn.Server):
        async def shutdown(self, sockets: list[object] | None = None) -> None:
            """End the answers first: uvicorn waits for the connections that they keep."""
            import asyncio

            await asyncio.to_thread(service.end)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        application(service, api_key=options.api_key, max_body_bytes=options.max_body_bytes),
        host=options.host,
        port=options.port,
        log_config=None,
        timeout_graceful_shutdown=LAST_WORDS,
        server_header=False,
        ws="none",
        lifespan="off",
    )
    _Server(config).run()


def _tell(fault: MixprecError) -> None:
    """Every line of an error under its name, which is how a launch finds it in the log."""
    name = f"{type(fault).__module__}.{type(fault).__qualname__}"
    for line in str(fault).splitlines() or [""]:
        sys.stderr.write(f"{name}: {line}\n")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
