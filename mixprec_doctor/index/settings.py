"""Settings of pip that say where releases are looked for: its environment variables over its configuration files."""

from __future__ import annotations

__all__ = ["IndexSettings", "configuration_files", "read_settings"]

import configparser
import locale
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.index.errors import UnreadableSettings
from mixprec_doctor.index.urls import redact

_DEFAULT_INDEX = "https://pypi.org/simple"
# Options by the names that pip's configuration knows them by; the last of a group that is set counts.
_NAMES = {
    "index-url": "index_url", "pypi-url": "index_url", "extra-index-url": "extra_index_urls",
    "find-links": "find_links", "no-index": "no_index", "proxy": "proxy", "cert": "cert",
    "client-cert": "client_cert", "trusted-host": "trusted_hosts", "timeout": "timeout",
    "default-timeout": "timeout", "retries": "retries",
}  # fmt: skip
# As ``pip install`` orders them; ``download`` below it, since a release is read and not installed.
_SECTIONS = ("global", "download", "install", ":env:")
_ETC = Path("/etc")  # pip looks there whatever XDG_CONFIG_DIRS says
_TRUE = {"y", "yes", "t", "true", "on", "1"}
_FALSE = {"n", "no", "f", "false", "off", "0"}


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """Where releases are looked for and how the places are reached, as ``pip install`` would."""

    index_url: str = _DEFAULT_INDEX
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    proxy: str | None = None
    cert: str | None = None  # a file or folder of certificates of authorities
    client_cert: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = 15.0
    retries: int = 5

    @property
    def indexes(self) -> tuple[str, ...]:
        """The indexes in pip's order; none with ``no_index``."""
        return () if self.no_index else (self.index_url, *self.extra_index_urls)

    def __repr__(self) -> str:
        """The settings without passwords, for logs and tracebacks."""
        places = ", ".join(redact(place) for place in (*self.indexes, *self.find_links))
        return f"IndexSettings({places})"


def read_settings(
    environment: Mapping[str, str] = os.environ, *, prefix: str = sys.prefix, home: Path | None = None
) -> IndexSettings:
    """The settings that pip would take; a file that is not valid is refused."""
    merged: dict[str, str] = {}
    for file in configuration_files(environment, prefix=prefix, home=home):
        merged |= dict(_read_file(file))
    for name, value in environment.items():
        if name.startswith("PIP_"):
            merged[f":env:.{_normalized(name[4:])}"] = value
    fields: dict[str, object] = {}
    for section in _SECTIONS:
        for key, value in merged.items():
            owner, _, name = key.partition(".")
            if owner == section and value and name in _NAMES:
                fields[_NAMES[name]] = _convert(name, value, section)
    return IndexSettings(**fields)  # type: ignore[arg-type]


def configuration_files(
    environment: Mapping[str, str] = os.environ, *, prefix: str = sys.prefix, home: Path | None = None
) -> tuple[Path, ...]:
    """The places of pip's configuration files, the weakest first; none where ``PIP_CONFIG_FILE`` switches them off."""
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return ()
    base = "pip.ini" if sys.platform == "win32" else "pip.conf"
    legacy = (home or Path.home()) / ("pip" if sys.platform == "win32" else ".pip")
    folders = [*_site_folders(environment), legacy, _user_folder(environment, home), Path(prefix)]
    files = [folder / base for folder in folders]
    # pip reads the user's files only where no such file was named.
    if named and Path(named).exists():
        files = [file for file in files if file.parent not in (legacy, _user_folder(environment, home))]
    return (*files, Path(named)) if named else tuple(files)


def _site_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip")
    elif sys.platform == "win32":
        yield Path(environment.get("PROGRAMDATA", "C:\\ProgramData")) / "pip"
    else:
        roots = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        yield from (Path(root).expanduser() / "pip" for root in roots.split(os.pathsep) if root)
        yield _ETC


def _user_folder(environment: Mapping[str, str], home: Path | None) -> Path:
    root = home or Path.home()
    if sys.platform == "darwin" and (mac := root / "Library" / "Application Support" / "pip").is_dir():
        return mac
    if sys.platform == "win32":
        return Path(environment.get("APPDATA") or root / "AppData" / "Roaming") / "pip"
    named = environment.get("XDG_CONFIG_HOME") if sys.platform != "darwin" else None
    return Path(named or root / ".config") / "pip"


def _read_file(file: Path) -> Iterable[tuple[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding=locale.getpreferredencoding(False))
    except (configparser.Error, UnicodeDecodeError, OSError) as fault:
        raise UnreadableSettings(str(file), type(fault).__name__) from None
    return [
        (f"{section}.{_normalized(name)}", value)
        for section in parser.sections()
        for name, value in parser.items(section)
    ]


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _convert(name: str, value: str, where: str) -> object:
    field = _NAMES[name]
    if field in ("extra_index_urls", "find_links", "trusted_hosts"):
        return tuple(value.split())
    try:
        if field == "timeout":
            return float(value)
        if field == "retries":
            return int(value)
    except ValueError:
        raise UnreadableSettings(f"pip's setting {name} of {where}", f"{value!r} is no number") from None
    if field == "no_index":
        if value.lower() not in _TRUE | _FALSE:
            raise UnreadableSettings(f"pip's setting {name} of {where}", f"{value!r} is neither yes nor no")
        return value.lower() in _TRUE
    return str(Path(value).expanduser()) if field in ("cert", "client_cert") else value
