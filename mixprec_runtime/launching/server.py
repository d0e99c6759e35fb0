"""What can be asked of an OpenAI-compatible server, with nothing but the standard library."""

from __future__ import annotations

__all__ = ["complete", "free_port", "healthy", "listeners", "port_fault", "port_is_free"]

import errno
import http.client
import json
import os
import socket
import struct
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LISTEN = "0A"  # the state of a socket that accepts connections, as /proc/net/tcp writes it

# Loopback is never reached through a proxy, whatever the environment says.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def port_fault(host: str, port: int) -> str | None:
    """Why a server could not listen there now; None when it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as fault:
            if isinstance(fault, OSError) and fault.errno == errno.EADDRINUSE:
                return "something listens there already"
            return f"a server cannot listen there: {getattr(fault, 'strerror', None) or fault}"
    return None


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    return port_fault(host, port) is None


def free_port(wanted: int | None = None) -> int:
    """``wanted`` when nothing listens there, else (and for 0) a port that the kernel has free."""
    if wanted and port_is_free("127.0.0.1", wanted):
        return wanted
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(url: str, *, seconds: float = 2.0) -> bool:
    """Whether ``/health`` answers 200."""
    try:
        with _OPENER.open(f"{url}/health", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):  # something answers, but not in HTTP
        return False


def listeners(host: str, port: int, processes: Iterable[int]) -> tuple[int, int]:
    """How many sockets listen there that these processes hold, and how many that only others do.

    Both are 0 where the system does not tell (no /proc, or processes that nobody may look into). Some servers let
    others listen where they do (``SO_REUSEPORT``), and requests then go to either.
    """
    there = _listening(host, port)
    if not there:
        return 0, 0
    try:
        held = {inode for pid in processes for inode in _held(pid) & there}
    except PermissionError:
        return 0, 0
    return len(held), len(there - held)


def _listening(host: str, port: int) -> set[str]:
    """Inodes of listening sockets (proc(5), /proc/net/tcp: address field 2, state field 4, inode field 10)."""
    ours = _written(host)
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, number = fields[1].rpartition(":")
            everywhere = not address.strip("0") or not ours.strip("0")
            if fields[3] == LISTEN and int(number, 16) == port and (everywhere or address == ours):
                found.add(fields[9])
    return found


def _written(host: str) -> str:
    """An address as /proc/net/tcp writes it: words of 32 bits in the machine's own order."""
    try:
        if ":" in host:
            packed = socket.inet_pton(socket.AF_INET6, host)
        else:
            packed = socket.inet_aton(socket.gethostbyname(host) if host else "0.0.0.0")  # noqa: S104  any interface
    except OSError:
        packed = bytes(4)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)


def _held(pid: int) -> set[str]:
    links = []
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                links.append(os.readlink(entry))  # noqa: PTH115
    except FileNotFoundError:  # ended meanwhile
        return set()
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def complete(
    url: str, *, model: str, prompt: str, max_tokens: int, seconds: float = 120.0, **more: object
) -> dict[str, object]:
    """One greedy completion; the server's JSON answer. Raises OSError when there is none."""
    body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, **more}
    request = urllib.request.Request(  # noqa: S310  the scheme is http, the address loopback
        f"{url}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _OPENER.open(request, timeout=seconds) as answer:
            loaded = json.load(answer)
    except (ValueError, http.client.HTTPException) as fault:
        raise OSError(f"{url} answered something that is no JSON: {fault}") from fault
    if not isinstance(loaded, dict):
        raise OSError(f"{url} answered {type(loaded).__name__}, not an object")
    return loaded
