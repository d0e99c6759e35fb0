"""Files: the Python files and notebooks below some paths, and what they are called as modules."""

from __future__ import annotations

__all__ = ["CodeFile", "find_files", "read_text"]

import io
import os
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mixprec_doctor.files import LARGEST_SOURCE, read_file

_LEFT_OUT = {
    "__pycache__", "build", "node_modules", "site-packages", "venv", "env", "_build", "htmlcov",
}  # fmt: skip
_KINDS = (".py", ".pyi", ".ipynb")


@dataclass(frozen=True, kw_only=True)
class CodeFile:
    """One file: as it is shown, where it lies, and the dotted name by which the project imports it."""

    shown: str
    path: Path
    module: str

    @property
    def is_package(self) -> bool:
        """Whether it is the ``__init__`` of a package."""
        return self.path.name == "__init__.py"


def find_files(paths: Sequence[str | os.PathLike[str]], *, exclude: Sequence[str] = ()) -> Iterator[CodeFile]:
    """Files that are named, and those below folders that are; each once, in order, stubs left out unless named."""
    seen: set[str] = set()
    for given in map(Path, paths):
        found = [given] if not given.is_dir() else sorted(_below(given))
        for path in found:
            real = os.path.realpath(path)
            shown = path.as_posix()
            if real in seen or _matches(shown, exclude):
                continue
            seen.add(real)
            yield CodeFile(shown=shown, path=path, module=_module_of(path))


def read_text(content: bytes) -> str:
    """The text of a Python file, by its cookie or mark. Raises SyntaxError or UnicodeDecodeError for none."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding)


def read_content(file: CodeFile) -> bytes | None:
    """The bytes of a file; None for one that is no regular file or cannot be read."""
    return read_file(file.path, most=LARGEST_SOURCE)


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not _is_left_out(here, each)]
        yield from (Path(here) / name for name in names if name.endswith((".py", ".ipynb")))


def _is_left_out(above: str, name: str) -> bool:
    if name.startswith(".") or name.endswith(".egg-info"):
        return True
    inside = os.path.join(above, name)  # noqa: PTH118
    if name in _LEFT_OUT:
        return name not in ("build", "env") or not os.path.exists(os.path.join(inside, "__init__.py"))  # noqa: PTH110, PTH118
    return os.path.exists(os.path.join(inside, "pyvenv.cfg"))  # noqa: PTH110, PTH118


def _matches(shown: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(shown, each) or fnmatch(shown, f"*/{each}") or fnmatch(shown, f"{each.rstrip('/')}/*")
               or fnmatch(shown, f"*/{each.rstrip('/')}/*") for each in patterns)  # fmt: skip


def _module_of(path: Path) -> str:
    """The dotted name, by the folders above that are packages."""
    parts = [path.stem] if path.stem != "__init__" else []
    folder = path.absolute().parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(parts)) or path.stem
