"""Ports that launches have taken: between the look at a port and the engine that listens there half a minute passes."""

from __future__ import annotations

__all__ = ["port_kept"]

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixprec_runtime.launching.errors import PortInUse


@contextmanager
def port_kept(host: str, port: int, *, root: Path) -> Iterator[None]:
    """Keep other launches from a place to listen at, as far as they share the folder. Raises PortInUse.

    The lock ends with this process, however that ends.
    """
    try:
        (root / "ports").mkdir(parents=True, exist_ok=True)
        held = os.open(
            root / "ports" / f"{host.replace('/', '_')}-{port}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError:  # where nothing can be written no launch gets as far as a port
        yield
        return
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PortInUse(host, port, "another launch is about to listen there") from None
        yield
    finally:
        os.close(held)
