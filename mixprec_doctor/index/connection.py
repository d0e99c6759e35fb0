"""Connection: requests as pip would send them, tried again where that helps."""

from __future__ import annotations

__all__ = ["FIRST_PAUSE", "Answer", "Connection"]

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from mixprec_doctor.index.errors import UnreachableIndex
from mixprec_doctor.index.settings import IndexSettings
from mixprec_doctor.index.urls import Credentials, is_secure, normalized, redact, without_credentials
from mixprec_doctor.version import __version__

if TYPE_CHECKING:
    import requests

_AGAIN = frozenset({429, 500, 502, 503, 504, 520, 522, 524})
FIRST_PAUSE = 0.25  # seconds before the second try; each further pause is twice as long
_LONGEST_PAUSE = 8.0
_CHUNK = 2**18
_OBJECT = re.compile(r"^(<[^>]*>|\w+\(host=[^)]*\)): ")  # urllib3 begins with its connection
_OFFLINE = "offline was asked for"

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered; keys of the headers are in lower case."""

    url: str  # after redirects, without credentials
    status: int
    headers: Mapping[str, str]
    body: bytes | None = b""  # None: left unread, being longer than was allowed


class Connection:
    """A pool of connections with pip's proxy, certificates, credentials, time limit and number of tries.

    An address that gives no answer after all tries raises UnreachableIndex; any status is an answer, but
    those that ask to come again.
    """

    def __init__(self, settings: IndexSettings, *, offline: bool = False, pause: float = FIRST_PAUSE) -> None:
        self._settings = settings
        self._offline = offline
        self._pause = pause
        places = [without_credentials(place) for place in (*settings.indexes, *settings.find_links)]
        self._credentials = [(url, found) for url, found in places if found is not None]
        self.requests = 0  # answered or not
        self.received = 0  # bytes of bodies

    def get(self, url: str, *, wanted: str, limit: int, headers: Mapping[str, str] | None = None) -> Answer:
        """One answer; a body longer than ``limit`` is left unread. ``wanted`` is for the error's words."""

        def ask() -> Answer:
            with self._response("GET", url, headers or {}) as response:
                body = self._read(response, limit)
                return _answer(response, body)

        return self._insist(url, wanted, ask)

    def head(self, url: str, *, wanted: str) -> Answer:
        """One answer without its body."""

        def ask() -> Answer:
            with self._response("HEAD", url, {"Accept-Encoding": "identity"}) as response:
                return _answer(response, b"")

        return self._insist(url, wanted, ask)

    def download(self, url: str, stream: BinaryIO, *, wanted: str, limit: int) -> None:
        """The whole body, written to a file from its beginning."""

        def ask() -> None:
            stream.seek(0)
            stream.truncate()
            with self._response("GET", url, {"Accept-Encoding": "identity"}) as response:
                if response.status_code != 200:
                    raise _Refused(f"{response.status_code} {response.reason}")
                for chunk in self._chunks(response):
                    if stream.tell() + len(chunk) > limit:
                        raise _Refused(f"more than {limit} bytes")
                    stream.write(chunk)

        self._insist(url, wanted, ask)

    def close(self) -> None:
        """Close what is open."""
        if "_session" in self.__dict__:
            self._session.close()

    def _insist(self, url: str, wanted: str, ask: Callable[[], Result]) -> Result:
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        place, _ = without_credentials(url)
        if self._offline:
            raise UnreachableIndex(wanted, redact(place), _OFFLINE)
        if not is_secure(place, self._settings.trusted_hosts):
            raise UnreachableIndex(wanted, redact(place), "neither https nor named as trusted-host, so pip ignores it")
        tries = max(self._settings.retries, 0) + 1
        for tried in range(1, tries + 1):
            try:
                return ask()
            except _Refused as fault:
                raise UnreachableIndex(wanted, redact(place), str(fault)) from None
            except (_ComeAgain, RequestException, HTTPError, OSError) as fault:
                if tried == tries or not _is_passing(fault):
                    words = f"{_words(fault)}{f' ({tried} tries)' if tried > 1 else ''}"
                    raise UnreachableIndex(wanted, redact(place), words) from None
                time.sleep(self._wait(fault, tried))
        raise AssertionError("a try returns or raises")

    def _wait(self, fault: Exception, tried: int) -> float:
        asked = fault.after if isinstance(fault, _ComeAgain) and self._pause else 0.0
        return min(max(self._pause * 2.0 ** (tried - 1), asked), _LONGEST_PAUSE)

    @contextmanager
    def _response(self, method: str, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        place, own = without_credentials(url)
        settings = self._settings
        self.requests += 1
        with self._session.request(
            method,
            place,
            headers=dict(headers),
            auth=own or self._credentials_for(place),  # None: requests looks into netrc
            timeout=settings.timeout,
            stream=True,
            allow_redirects=True,
            # Given with each request, since of the session's own the environment's would win.
            proxies={"http": settings.proxy, "https": settings.proxy} if settings.proxy else None,
            verify=settings.cert,
            cert=settings.client_cert,
        ) as response:
            if response.status_code in _AGAIN:
                raise _ComeAgain(response)
            yield response

    def _read(self, response: requests.Response, limit: int) -> bytes | None:
        body = bytearray()
        for chunk in self._chunks(response):
            body += chunk
            if len(body) > limit:
                return None
        return bytes(body)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body in pieces; one that ends early counts as a broken connection."""
        length = response.headers.get("Content-Length")
        received = 0
        for chunk in response.iter_content(_CHUNK):
            received += len(chunk)
            self.received += len(chunk)
            yield chunk
        if length and length.isdigit() and "Content-Encoding" not in response.headers and received < int(length):
            raise OSError(f"the connection ended after {received} of {length} bytes")

    def _credentials_for(self, url: str) -> Credentials | None:
        """Those of the index on the same host whose address has most in common with this one."""
        same = [each for each in self._credentials if normalized(each[0]) == normalized(url)]
        return max(same, key=lambda each: _common(each[0], url))[1] if same else None

    @cached_property
    def _session(self) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter

        class Trusting(HTTPAdapter):
            """For hosts that ``trusted-host`` names: whatever certificate they show."""

            def send(self, *args: object, **options: object) -> requests.Response:
                return super().send(*args, **{**options, "verify": False})  # type: ignore[arg-type]

        session = requests.Session()
        session.headers["User-Agent"] = f"mixprec/{__version__}"
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=16))
        for host in self._settings.trusted_hosts:
            session.mount(f"https://{host}/", Trusting())
            session.mount(f"https://{host}:", Trusting())
        return session


class _ComeAgain(Exception):
    """The server is busy or broken for now."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"{response.status_code} {response.reason}")
        after = response.headers.get("Retry-After", "")
        self.after = float(after) if after.isdigit() else 0.0


class _Refused(Exception):
    """An answer that would not get better."""


def _answer(response: requests.Response, body: bytes | None) -> Answer:
    url, _ = without_credentials(response.url)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url=url, status=response.status_code, headers=headers, body=body)


def _common(one: str, other: str) -> int:
    """How many parts of their paths two addresses share."""
    pairs = zip(one.rstrip("/").split("/"), other.split("/"), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _is_passing(fault: Exception) -> bool:
    """Whether another try could help."""
    from requests import exceptions

    lasting = (
        exceptions.SSLError, exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.MissingSchema,
        exceptions.TooManyRedirects, exceptions.InvalidHeader, exceptions.InvalidProxyURL,
    )  # fmt: skip
    # requests says in a plain OSError that a file of certificates is not there.
    return not isinstance(fault, lasting) and (type(fault) is not OSError or "connection ended" in str(fault))


def _words(fault: BaseException) -> str:
    """The innermost reason, without what could hold a password."""
    from requests.exceptions import ProxyError

    inner: BaseException | None = fault
    found = fault
    while inner is not None:
        found = inner
        reasons = (getattr(inner, "reason", None), *inner.args)
        inner = next((each for each in reasons if isinstance(each, BaseException)), None)
    text = _OBJECT.sub("", redact(str(found))) or type(found).__name__
    return f"the proxy: {text}" if isinstance(fault, ProxyError) else text
