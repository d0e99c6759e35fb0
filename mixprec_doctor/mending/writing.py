"""Writing: mended files put in the place of the old ones, whole or not at all; or shown as a unified diff."""

from __future__ import annotations

__all__ = ["diff_of", "write_mending"]

import contextlib
import difflib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mixprec_doctor.mending.plan import LeftAlone, Mended, Mending
from mixprec_doctor.records.codefinding import Place


def write_mending(mending: Mending) -> Mending:
    """Write all files; what is returned has those that were written, and why others could not be."""
    written: list[Mended] = []
    left: list[LeftAlone] = list(mending.left)
    for each in mending.files:
        reason = _write(each)
        if reason is None:
            written.append(each)
            continue
        place = Place(file=each.file, line=1, column=1, end_line=1, end_column=1)
        left += [LeftAlone(place=place, repair=repair, reason=reason) for repair in each.repairs]
    return Mending(files=tuple(written), left=tuple(left))


def diff_of(files: Iterable[Mended]) -> str:
    """The files as one unified diff, as ``git apply`` and ``patch`` take it."""
    return "".join(line for each in files for line in _diff(each))


def _diff(each: Mended) -> Iterator[str]:
    before, after = (content.decode(each.encoding) for content in (each.before, each.after))
    name = Path(each.file).as_posix()
    names = (f"a/{name}", f"b/{name}") if not name.startswith(("/", "..")) else (name, name)
    for line in difflib.unified_diff(_lines(before), _lines(after), *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    """Lines with their ends; only ``\\n`` ends one, as in every other tool that reads a diff."""
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [last for last in text.split("\n")[-1:] if last]


def _write(each: Mended) -> str | None:
    """Beside the file, then in its place, so that nobody ever sees half of it; the reason where that fails."""
    try:
        target = Path(each.file).resolve(strict=True)  # a link stays one
        if target.read_bytes() != each.before:
            return "the file has changed since it was read"
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(each.after)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(name, stat.S_IMODE(target.stat().st_mode))  # noqa: PTH101
            os.replace(name, target)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
    except OSError as fault:
        return f"it cannot be written: {fault.strerror or fault}"
    return None
