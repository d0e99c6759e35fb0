"""Redaction: no secret leaves mixprec, whatever text it stands in; applied to a whole record before it is rendered."""

from __future__ import annotations

__all__ = ["MASK", "Redactor", "Secrets"]

import dataclasses
import functools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

Record = TypeVar("Record")

MASK = "****"
_SHORTEST = 6  # shorter values stand in too many innocent words

_TELLING = re.compile(
    r"(?<![A-Z])(?:PAT|AUTH|PASS|PASSPHRASE|CREDS?)(?![A-Z])|TOKEN(?!IZER)|KEY(?!BOARD)|SECRET|PASSWORD|PASSWD|CREDENTIAL",
    re.IGNORECASE,
)
# Settings about secrets that hold none: AUTH_MODE, SSH_AUTH_SOCK, PYTHON_KEYRING_BACKEND.
_SETTING = re.compile(r"_(?:MODE|TYPE|METHOD|BACKEND|PROVIDER|SOCK|PARALLELISM)$", re.IGNORECASE)

_WORD = r"(?:token|api[-_]?key|secret(?:[-_]key)?|access[-_]key(?:[-_]id)?|password|passwd|credentials?|auth)"
_VALUE = r"""(?:'[^'\n]*'|"[^"\n]*"|[^\s'",;)\]}]+)"""
_QUOTED = r"""(?:'[^'\n]+'|"[^"\n]+")"""
# Each pattern keeps what its first group holds and loses the rest. No quantifier stands inside another.
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # https://user:token@host, git+https://token@host; the user of `git+ssh://git@host` is none
        r"(//)(?!git@)[^/\s'\"<>]*(?=@)",
        # ?token=..., &sig=...
        r"(?i)([?&;](?:[\w.-]*(?:token|key|secret|password|passwd|credential|signature|auth)[\w.-]*|sig|pat)=)[^&#\s'\"<>]+",
        # --api-key X, --hf-token=X; not --tokenizer, not --max-tokens
        rf"(?i)(--(?:[a-z0-9]+[-_])*{_WORD}[=\s]\s*){_VALUE}",
        # HF_TOKEN=X, export MY_SECRET_KEY='X', DB_PASSWORD: X
        r"(\b[A-Z0-9_]*(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)\s*[=:]\s*)(?!None\b)" + _VALUE,
        # api_key="X", 'token': 'X'
        rf"(?i)(\b(?:[a-z0-9]+_)*{_WORD}['\"]?\s*[=:]\s*){_QUOTED}",
        r"(?i)(\bBearer\s+)[\w.~+/=-]{6,}",
        r"(?i)(\bAuthorization['\"]?\s*[=:]\s*['\"]?(?:Basic|Token|Digest)\s+)[^\s'\"]+",
        r"((?<![A-Za-z0-9_]))hf_(?=[A-Za-z]*\d|[A-Za-z]{20})[A-Za-z0-9]{8,}",
        r"((?<![A-Za-z0-9_]))(?:gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{24,})",
        r"((?<![A-Za-z0-9_-]))(?:sk|pk|rk|nvapi|pypi)-(?=[A-Za-z_-]*\d)[\w-]{16,}",
        r"((?<![A-Za-z0-9_-]))(?:xox[a-z]-[\w-]{8,}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]+)?)",
        r"((?<![A-Za-z0-9]))(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*",
    )
)
# What no pattern can do without, in lower case: most texts of a report hold none of it and are let through at once.
_CLUES = (
    "@", "token", "key", "secret", "passw", "credential", "auth", "bearer", "sig", "pat=", "hf_", "ghp_", "gho_",
    "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "npm_", "sk-", "pk-", "rk-", "nvapi-", "pypi-", "xox", "aiza",
    "eyj", "akia", "asia",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What must not be told: values of the surroundings, and where the user's own folder lies."""

    values: tuple[str, ...] = ()
    home: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Secrets:
        """Those of the environment variables whose names speak of secrets, and the home folder."""
        values = {
            value.strip()
            for name, value in environ.items()
            if _TELLING.search(name)
            and not _SETTING.search(name)
            and len(value.strip()) >= _SHORTEST
            and not _is_file(value)
        }
        home = environ.get("HOME", "").rstrip("/")
        return cls(values=tuple(sorted(values, key=len, reverse=True)), home=home if home.count("/") else None)


class Redactor:
    """Takes secrets out of texts and of whole records; ``personal`` also turns the home folder into ``~``."""

    def __init__(self, secrets: Secrets, *, personal: bool) -> None:
        spellings = {each for value in secrets.values for each in (value, quote(value, safe=""))}
        ordered = sorted(spellings, key=len, reverse=True)  # no secret hides half of a longer one
        self._values = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._shorten = _shortener(secrets.home) if personal and secrets.home else None
        self._seen: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text without secrets."""
        known = self._seen.get(text)
        if known is None:
            redacted = self._redact(text)
            known = self._seen[text] = text if redacted == text else redacted
        return known

    def record(self, record: Record) -> Record:
        """The same record, of the same type, with every text in it redacted."""
        return cast("Record", self._walk(record))

    def _redact(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(MASK, text)
        lowered = text.lower()
        if any(clue in lowered for clue in _CLUES):
            for pattern in _PATTERNS:
                text = pattern.sub(_masked, text)
        return self._shorten(text) if self._shorten is not None else text

    def _walk(self, item: Any) -> Any:  # noqa: ANN401  a walk over values of any type
        if isinstance(item, str):
            return item if isinstance(item, Enum) else self.text(item)
        if isinstance(item, (tuple, list)):
            new = [self._walk(each) for each in item]
            return type(item)(new) if _differ(item, new) else item
        if isinstance(item, Mapping):
            return {self._walk(key): self._walk(value) for key, value in item.items()}
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            names = _fields(type(item))
            old = [getattr(item, name) for name in names]
            new = [self._walk(value) for value in old]
            return dataclasses.replace(item, **dict(zip(names, new, strict=True))) if _differ(old, new) else item
        return item


def _differ(old: Iterable[object], new: Iterable[object]) -> bool:
    """Whether something was redacted; equal texts may be two objects."""
    return any(one is not other and one != other for one, other in zip(old, new, strict=True))


def _masked(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}"


@functools.cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(kind) if each.init)


def _is_file(value: str) -> bool:
    """A path to a key is no secret."""
    try:
        return value.startswith("/") and Path(value).exists()
    except (OSError, ValueError):
        return False


def _shortener(home: str) -> Callable[[str], str]:
    """Paths below the home folder begin with ``~``, as a shell reads it back; elsewhere the user's name is ``$USER``.

    A quoted path keeps what it needs: ``'/home/a/my env/x'`` becomes ``~/'my env/x'``.
    """
    own = re.escape(home)
    end = r"(?![\w.-])"
    quoted = re.compile(rf"(?<![\w=])'{own}/([^'\n]*)'")
    inside = re.compile(rf'(?<=["=]){own}{end}')
    bare = re.compile(rf"(?<![\w.~/-]){own}{end}")
    name = Path(home).name
    shared = name in ("root", "user", "home") or len(name) < 2
    elsewhere = None if shared else re.compile(r"(?<![\w.~$-])/[^\s'\":,;()]+")

    def hide_name(found: re.Match[str]) -> str:
        outside, mark, inside_packages = found[0].partition("-packages")  # a package may be called like the user
        return "/".join("$USER" if part == name else part for part in outside.split("/")) + mark + inside_packages

    def shorten(text: str) -> str:
        if home in text:
            text = quoted.sub(lambda found: f"~/{shlex.quote(found[1])}" if found[1] else "~/", text)
            text = inside.sub("$HOME", text)
            text = bare.sub("~", text)
        if elsewhere is not None and f"/{name}" in text:
            text = elsewhere.sub(hide_name, text)
        return text

    return shorten
