"""Addresses of indexes: credentials taken out of them, and which of them are local."""

from __future__ import annotations

__all__ = ["Credentials", "is_secure", "is_trusted", "local_path", "normalized", "redact", "without_credentials"]

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

Credentials: TypeAlias = tuple[str, str]  # name and password

_AUTHORITY = re.compile(r"(?<=//)[^/\s]*@")


def redact(text: str) -> str:
    """A text in which no address shows its credentials."""
    return _AUTHORITY.sub("****@", text)


def without_credentials(url: str) -> tuple[str, Credentials | None]:
    """An address without its credentials, and these."""
    parts = urlsplit(url)
    authority, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = authority.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(name), unquote(password))


def local_path(location: str) -> Path | None:
    """The path that a ``file:`` address or a plain path names; None for an address of a server."""
    if location.startswith("file:"):
        path = unquote(urlsplit(location).path)
        return Path(path.lstrip("/") if re.match(r"/[a-zA-Z]:", path) else path)
    # One letter before the colon is a drive of Windows and no scheme.
    return None if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:", location) else Path(location).expanduser()


def normalized(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials belong to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def is_secure(url: str, trusted: Iterable[str]) -> bool:
    """Whether pip would ask that address: over TLS, on this machine, or a host that is trusted."""
    scheme, host, _ = normalized(url)
    return scheme == "https" or host == "localhost" or _is_loopback(host) or is_trusted(url, trusted)


def is_trusted(url: str, trusted: Iterable[str]) -> bool:
    """Whether ``trusted-host`` names the host, with or without its port."""
    _, host, port = normalized(url)
    return any(each in (host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}") for each in trusted)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
