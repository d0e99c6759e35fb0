"""Install commands: which requirements a line that calls pip names, and the line with others in their place."""

from __future__ import annotations

__all__ = ["Install", "read_install"]

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from mixprec_doctor.environment.requirement import parse_requirement

_WITH_VALUE = frozenset({
    "-c", "--constraint", "-d", "-e", "--editable", "--extra-index-url", "-f", "--find-links", "-i", "--index-url",
    "--platform", "--prefix", "--python-version", "-r", "--requirement", "--root", "-t", "--target",
})  # fmt: skip
_SAFE = re.compile(r"[\w.+-]+(?:\[[\w,.-]+\])?")


@dataclass(frozen=True, kw_only=True)
class Install:
    """A line that calls ``pip install``, word by word."""

    words: tuple[str, ...]
    requirements: tuple[str, ...]  # those of its words that name a distribution
    index: str | None = None  # in place of the indexes that pip is set up for
    extra_indexes: tuple[str, ...] = ()
    alone: bool = False  # without what the distributions require themselves

    def rewritten(self, changes: Mapping[str, str | None], *, extra_indexes: tuple[str, ...] = ()) -> str | None:
        """The line with some requirements replaced, or left out for None; None when nothing is left to install."""
        words: list[str] = []
        kept = 0
        for word in self.words:
            if word in self.requirements:
                new = changes.get(word, word)
                if new is None:
                    continue
                kept += 1
                words.append(_quoted(new))
            else:
                words.append(shlex.quote(word))
        for url in extra_indexes:
            words += ["--extra-index-url", url]
        return " ".join(words) if kept else None


def read_install(line: str) -> Install | None:
    """The command, when the line is one that installs distributions by their names."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    begin = next((at for at, word in enumerate(words) if word == "install" and at and _is_pip(words[at - 1])), None)
    if begin is None or any(word in ("&&", "||", ";", "|") for word in words):
        return None
    requirements: list[str] = []
    values: dict[str, list[str]] = {}
    rest = iter(words[begin + 1 :])
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _WITH_VALUE:
            values.setdefault(word, []).append(next(rest, ""))
        elif word.startswith("-"):
            values.setdefault(name if equals else word, []).append(value)
        elif "/" not in word and parse_requirement(word) is not None:
            requirements.append(word)
    if not requirements:
        return None
    index = (values.get("--index-url", []) + values.get("-i", []))[-1:]
    return Install(
        words=tuple(words),
        requirements=tuple(requirements),
        index=index[0] if index else None,
        extra_indexes=tuple(values.get("--extra-index-url", [])),
        alone="--no-deps" in values,
    )


def _is_pip(word: str) -> bool:
    return re.fullmatch(r"pip3?(?:\.\d+)?", PurePath(word).name) is not None


def _quoted(requirement: str) -> str:
    """In quotes where a shell could take a character of it for its own."""
    return requirement if _SAFE.fullmatch(requirement) else f"'{requirement}'"
