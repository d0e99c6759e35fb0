"""Project pages: the files of a project on one index or in one place of ``find-links``."""

from __future__ import annotations

__all__ = ["Page", "PageReader"]

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from mixprec_doctor.index.connection import Connection
from mixprec_doctor.index.errors import UnreachableIndex
from mixprec_doctor.index.store import KeptPage, Store
from mixprec_doctor.index.urls import local_path, redact, without_credentials
from mixprec_doctor.records.release import ReleaseFile

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

_FRESH = 600.0  # seconds
_LIMIT = 64 * 2**20  # PyPI's longest project pages have a few MiB
_HTML = (".html", ".htm")
_GONE = (404, 410)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one place lists of a project."""

    files: tuple[ReleaseFile, ...]
    note: str | None = None  # what the user should know, e.g. that it is an old copy


class PageReader:
    """Reads pages: from the cache while they are fresh, and whatever their age when the index cannot be reached."""

    def __init__(self, connection: Connection, store: Store, *, fresh: float = _FRESH) -> None:
        self._connection = connection
        self._store = store
        self._fresh = fresh

    def index_page(self, index: str, project: str) -> Page:
        """The page of a project on an index: a server, or a folder laid out like one."""
        path = local_path(index)
        if path is None:
            return self._remote(f"{index.rstrip('/')}/{canonicalize_name(project)}/", project)
        return Page(files=_local_page(path / canonicalize_name(project) / "index.html", project))

    def links_page(self, location: str, project: str) -> Page:
        """What a place of ``find-links`` has of a project: a folder of files, a page, or one file."""
        path = local_path(location)
        if path is None:
            if location.endswith((".whl", ".tar.gz", ".zip")):
                url, _ = without_credentials(location)
                return Page(files=tuple(_named(project, [(url.rpartition("/")[2], url)])))
            return self._remote(location, project)
        if path.is_dir():
            try:
                inside = sorted(path.iterdir(), reverse=True)
            except OSError as fault:
                return Page(files=(), note=f"{path}: {fault.strerror}")
            pages = [file for each in inside if each.suffix in _HTML for file in _local_page(each, project)]
            names = [(each.name, each.absolute().as_uri()) for each in inside if each.suffix not in _HTML]
            return Page(files=(*_named(project, names), *pages))
        if path.suffix in _HTML:
            return Page(files=_local_page(path, project))
        names = [(path.name, path.absolute().as_uri())] if path.is_file() else []
        return Page(files=tuple(_named(project, names)))

    def _remote(self, url: str, project: str) -> Page:
        key = f"{without_credentials(url)[0]} {canonicalize_name(project)}"
        kept = self._store.page(key)
        if kept and 0 <= time.time() - kept.fetched < self._fresh:
            return Page(files=kept.files)
        try:
            page = self._fetch(url, project, kept)
        except UnreachableIndex as fault:
            if kept is None:
                raise
            return Page(
                files=kept.files, note=f"{fault.url}: {fault.fault}; its page of {_date(kept.fetched)} was used"
            )
        self._store.keep_page(key, page)
        return Page(files=page.files)

    def _fetch(self, url: str, project: str, kept: KeptPage | None) -> KeptPage:
        from pypi_simple import ACCEPT_JSON_PREFERRED

        headers = {"Accept": ACCEPT_JSON_PREFERRED}
        if kept and kept.etag:
            headers["If-None-Match"] = kept.etag
        if kept and kept.modified:
            headers["If-Modified-Since"] = kept.modified
        wanted = f"the page of {project}"
        answer = self._connection.get(url, wanted=wanted, limit=_LIMIT, headers=headers)
        place = redact(without_credentials(url)[0])
        validators = {"etag": answer.headers.get("etag"), "modified": answer.headers.get("last-modified")}
        if answer.status == 304 and kept:
            files = kept.files
        elif answer.status in _GONE:
            files = ()
        elif answer.status != 200:
            raise UnreachableIndex(wanted, place, _status_words(answer.status))
        elif answer.body is None:
            raise UnreachableIndex(wanted, place, f"its page is longer than {_LIMIT} bytes")
        else:
            try:
                files = tuple(_parse(answer.body, project, answer.url, answer.headers.get("content-type", "")))
            except ValueError as fault:  # not JSON, or JSON of another shape
                raise UnreachableIndex(wanted, place, f"no project page: {str(fault).splitlines()[0]}") from None
        return KeptPage(files=files, fetched=time.time(), **validators)


def _local_page(path: Path, project: str) -> tuple[ReleaseFile, ...]:
    try:
        raw = path.read_bytes()
    except OSError:
        return ()
    return tuple(_parse(raw, project, path.absolute().as_uri(), "text/html"))


def _parse(raw: bytes, project: str, url: str, content_type: str) -> Iterator[ReleaseFile]:
    from pypi_simple import DistributionPackage, ProjectPage, RepositoryPage

    kind, _, options = content_type.partition(";")
    if kind.strip().endswith("+json"):
        page = ProjectPage.from_json_data(json.loads(raw), url)
        yield from _recorded(project, ((each, None) for each in page.packages))
        return
    encoding = options.rpartition("charset=")[2].strip() or "utf-8"
    links = RepositoryPage.from_html(raw, url, encoding).links
    # The upload time in HTML is no standard but what PyPI's mirrors commonly write.
    yield from _recorded(
        project,
        (
            (DistributionPackage.from_link(link, project), str(link.attrs.get("data-upload-time") or ""))
            for link in links
        ),
    )


def _recorded(project: str, packages: Iterable[tuple[DistributionPackage, str | None]]) -> Iterator[ReleaseFile]:
    for package, uploaded in packages:
        time_of = uploaded or (package.upload_time.isoformat() if package.upload_time else None)
        url, _ = without_credentials(package.url)
        version = _version(project, package.filename)
        if version is not None:
            yield ReleaseFile(
                distribution=canonicalize_name(project),
                version=version,
                filename=package.filename,
                url=url,
                sha256=package.digests.get("sha256"),
                requires_python=package.requires_python,
                yanked=package.is_yanked,
                size=package.size,
                uploaded=time_of,
            )


def _named(project: str, files: Iterable[tuple[str, str]]) -> Iterator[ReleaseFile]:
    for name, url in files:
        if (version := _version(project, name)) is not None:
            yield ReleaseFile(distribution=canonicalize_name(project), version=version, filename=name, url=url)


def _version(project: str, filename: str) -> str | None:
    """The version of a wheel or source archive of the project; None for any other file."""
    try:
        parsed = parse_wheel_filename(filename)[:2] if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return str(parsed[1]) if parsed[0] == canonicalize_name(project) else None


def _status_words(status: int) -> str:
    if status in (401, 403):
        return f"it answered {status}; credentials are taken from the index's address and from ~/.netrc"
    if status == 407:
        return "the proxy wants credentials (407)"
    return f"it answered {status}"


def _date(fetched: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(fetched))
