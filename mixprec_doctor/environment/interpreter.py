"""Portraits: an interpreter's version, platform and folders, asked of it or read beside it."""

from __future__ import annotations

__all__ = ["Portrait", "ask_interpreter", "own_portrait", "portrait_beside"]

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment

from mixprec_doctor.environment import selfportrait
from mixprec_doctor.environment.target import UnreadableEnvironment
from mixprec_doctor.records.environment import Interpreter

_ANSWER_LIMIT = 15.0  # seconds; a healthy interpreter answers in a twentieth of one
_VERSION_IN_PATH = re.compile(r"python(3\.\d+)t?$")


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """An interpreter and the folders that it imports from before any ``.pth`` file is read."""

    interpreter: Interpreter
    prefix: str | None
    stdlib: str | None
    site: tuple[str, ...]


def own_portrait() -> Portrait:
    """The running interpreter."""
    return _portrait(selfportrait.portray(), "the running interpreter")


def ask_interpreter(executable: Path) -> Portrait:
    """Run the interpreter on one small script, isolated, so that no ``.pth`` file of it is executed."""
    command = [str(executable), "-I", "-S", str(Path(selfportrait.__file__))]
    try:
        answer = subprocess.run(
            command, capture_output=True, timeout=_ANSWER_LIMIT, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise UnreadableEnvironment(str(executable), f"no answer within {_ANSWER_LIMIT:.0f} s") from None
    except OSError as fault:
        raise UnreadableEnvironment(str(executable), f"cannot be run: {fault.strerror}") from None
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise UnreadableEnvironment(str(executable), f"exits with code {answer.returncode}: {last[0]}")
    try:
        return _portrait(json.loads(answer.stdout), str(executable))
    except ValueError:
        raise UnreadableEnvironment(str(executable), "does not answer like a Python interpreter") from None


def portrait_beside(site_packages: Path) -> Portrait:
    """What the folder itself tells: nothing is run, so the micro version stays unknown."""
    in_path = _VERSION_IN_PATH.match(site_packages.parent.name)
    version = in_path[1] if in_path else None
    prefix = site_packages.parent.parent.parent if in_path else None
    executable = prefix / "bin" / "python" if prefix else None
    markers: dict[str, str] = {key: str(value) for key, value in default_environment().items()}
    if version:
        markers |= {"python_version": version, "python_full_version": _full_version(prefix, version)}
        markers["implementation_version"] = markers["python_full_version"]
    return Portrait(
        interpreter=Interpreter(
            executable=str(executable) if executable and executable.exists() else None,
            version=version,
            implementation=None,
            platform=None,
            markers=markers,
        ),
        prefix=str(prefix) if prefix else None,
        stdlib=None,
        site=(str(site_packages),),
    )


def _full_version(prefix: Path | None, version: str) -> str:
    """The micro version that a virtual environment's pyvenv.cfg notes, else the first of the line."""
    config = prefix / "pyvenv.cfg" if prefix else None
    if config and config.is_file():
        noted = re.search(r"(?m)^version(?:_info)?\s*=\s*(3\.\d+\.\d+)", config.read_text(errors="replace"))
        if noted and noted[1].startswith(version + "."):
            return noted[1]
    return f"{version}.0"


def _portrait(answer: object, source: str) -> Portrait:
    if not isinstance(answer, Mapping):
        raise UnreadableEnvironment(source, "does not answer like a Python interpreter")
    try:
        return Portrait(
            interpreter=Interpreter(
                executable=str(answer["executable"]),
                version=str(answer["version"]),
                implementation=str(answer["implementation"]),
                platform=str(answer["platform"]),
                markers={str(key): str(value) for key, value in answer["markers"].items()},
            ),
            prefix=str(answer["prefix"]),
            stdlib=str(answer["stdlib"]),
            site=tuple(str(folder) for folder in answer["site"]),
        )
    except KeyError as missing:
        raise UnreadableEnvironment(source, f"its answer lacks {missing}") from None
