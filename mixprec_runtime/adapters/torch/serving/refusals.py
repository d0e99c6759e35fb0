"""Refusals: what a request is told in place of an answer, in the form of OpenAI's errors."""

from __future__ import annotations

__all__ = ["Refusal", "answer_to"]

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

INVALID = "invalid_request_error"


class Refusal(Exception):
    """A request that is not answered: HTTP status, words, and the field that is at fault."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, kind: str = INVALID
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.kind = kind

    def body(self) -> dict[str, object]:
        """The JSON object that says so."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The answer that says so."""
        wait = {"Retry-After": "5"} if self.status == 503 else {}
        proof = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        return JSONResponse(self.body(), status_code=self.status, headers={**wait, **proof})


async def answer_to(request: Request, fault: Exception) -> Response:
    """The answer to a request whose handling raised something."""
    if isinstance(fault, Refusal):
        return fault.response()
    status = getattr(fault, "status_code", 500)
    words = {
        404: f"there is no {request.url.path} here; try /v1/chat/completions, /v1/completions, /v1/models or /health",
        405: f"{request.url.path} does not take {request.method}",
    }
    if status == 500:
        return Refusal(500, f"the server failed: {type(fault).__name__}", kind="server_error").response()
    return Refusal(status, words.get(status, str(getattr(fault, "detail", fault)))).response()
