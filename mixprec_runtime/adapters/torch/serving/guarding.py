"""Guarding: who may ask, and how much a request may bring, before more of it than that is in memory."""

from __future__ import annotations

__all__ = ["Guard"]

import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mixprec_runtime.adapters.torch.serving.refusals import Refusal

OPEN = frozenset({"/health"})


class Guard:
    """In front of an application: the key, where there is one, and the largest body."""

    def __init__(self, app: ASGIApp, *, api_key: str | None, max_body_bytes: int) -> None:
        self._app = app
        self._key = f"Bearer {api_key}".encode() if api_key else None
        self._most = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what may pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refused = self._foreign(headers) or self._unknown(scope, headers) or self._announced(headers)
        if refused is not None:
            await refused.response()(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _foreign(self, headers: dict[bytes, bytes]) -> Refusal | None:
        """A page of another site, in a browser on this machine, reaches loopback too; browsers say whose page asks."""
        if headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin"):
            return None
        return Refusal(403, "pages of other sites may not ask this server", code="cross_site")

    def _unknown(self, scope: Scope, headers: dict[bytes, bytes]) -> Refusal | None:
        if self._key is None or scope["path"] in OPEN:
            return None
        if hmac.compare_digest(headers.get(b"authorization", b""), self._key):
            return None
        return Refusal(
            401, "wanted the server's key as 'Authorization: Bearer KEY', found none or another", code="invalid_api_key"
        )

    def _announced(self, headers: dict[bytes, bytes]) -> Refusal | None:
        length = headers.get(b"content-length", b"0")
        return self._too_large() if length.isdigit() and int(length[:19]) > self._most else None

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body may have {self._most:,} bytes, and has more", code="body_too_large")
