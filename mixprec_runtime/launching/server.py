"""What can be asked of an OpenAI-compatible server, with nothing but the standard library."""

from __future__ import annotations

__all__ = ["complete", "free_port", "healthy", "port_is_free"]

import json
import socket
import urllib.error
import urllib.request

# Loopback is never reached through a proxy, whatever the environment says.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(wanted: int = 8000) -> int:
    """``wanted`` when nothing listens there, else a port that the kernel has free."""
    if port_is_free("127.0.0.1", wanted):
        return wanted
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(url: str, *, seconds: float = 2.0) -> bool:
    """Whether ``/health`` answers 200."""
    try:
        with _OPENER.open(f"{url}/health", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


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
    with _OPENER.open(request, timeout=seconds) as answer:
        loaded = json.load(answer)
    if not isinstance(loaded, dict):
        raise OSError(f"{url} answered {type(loaded).__name__}, not an object")
    return loaded
