"""The exact command that serves a run folder: words and environment, as data."""

from __future__ import annotations

__all__ = ["ServeCommand"]

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServeCommand:
    """What is started, with the variables it needs beyond the launcher's own, and where it will answer."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str
    port: int

    @property
    def url(self) -> str:
        """Where the server answers; a host that means every interface is reached over loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"http://{host}:{self.port}"

    def shell_line(self) -> str:
        """One line that can be typed as it stands."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.words)])
