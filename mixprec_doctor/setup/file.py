"""The setup file: written atomically, read with one clear error for whatever is wrong with it."""

from __future__ import annotations

__all__ = ["SCHEMA", "InvalidSetup", "read_setup", "write_setup"]

import json
import os
import tempfile
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.setup import Setup

SCHEMA = "mixprec.setup/1"
_LARGEST = 64 * 2**20


class InvalidSetup(MixprecError):
    """A file that is no setup that this release can read, or a place where none can be written."""

    exit_code = ExitCode.MISUSE

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault

    def __str__(self) -> str:
        return f"setup file {self.path}: {self.fault}\n  try: mixprec doctor --verify --mix MIX --setup {self.path}"


def write_setup(setup: Setup, path: Path) -> None:
    """Write it whole or not at all: beside its place first, then renamed. Raises InvalidSetup."""
    text = json.dumps(setup.to_json(), indent=1, ensure_ascii=False) + "\n"
    staging: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, staging = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(staging, 0o666 & ~mask)  # noqa: PTH101  mkstemp makes files that only their owner reads
        os.replace(staging, path)  # noqa: PTH105
        staging = None
    except OSError as fault:
        raise InvalidSetup(path, f"cannot be written: {fault.strerror or fault}") from fault
    finally:
        if staging is not None:
            Path(staging).unlink(missing_ok=True)


def read_setup(path: Path) -> Setup:
    """The setup of a file. Raises InvalidSetup."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as fault:
        raise InvalidSetup(path, f"cannot be read: {fault.strerror or fault}") from fault
    if len(content) > _LARGEST:
        raise InvalidSetup(path, f"is larger than {_LARGEST >> 20} MiB")
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as fault:
        raise InvalidSetup(path, f"is no JSON: {fault}") from fault
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema != SCHEMA:
        raise InvalidSetup(path, f"wanted the schema {SCHEMA}, found {schema or 'none'}")
    try:
        return Setup.from_json(raw)
    except (LookupError, TypeError, ValueError, AttributeError) as fault:
        raise InvalidSetup(path, f"is not as {SCHEMA} says: {type(fault).__name__}: {fault}") from fault
