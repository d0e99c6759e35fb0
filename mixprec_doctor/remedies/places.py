"""Places: the indexes that install commands are checked against, as pip of the environment is set up for them."""

from __future__ import annotations

__all__ = ["Places", "find_places", "fitting_tags", "hurried_settings"]

from dataclasses import replace

from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags

from mixprec_doctor.index.errors import UnreadableSettings
from mixprec_doctor.index.releases import Index
from mixprec_doctor.index.settings import IndexSettings, read_settings
from mixprec_doctor.index.store import Store
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.remedies.asking import Question

_PATIENCE = 2.0  # seconds, for one connection


def find_places(environment: Environment) -> Places | str:
    """Where to ask; the words say why nowhere."""
    try:
        settings = hurried_settings(environment)
    except UnreadableSettings as fault:
        return str(fault).splitlines()[0]
    if not settings.indexes and not settings.find_links:
        return "pip is set up to use no index"
    return Places(settings)


class Places:
    """An index for each place that a question can be about; made when asked for, sharing one cache."""

    def __init__(self, settings: IndexSettings) -> None:
        self._settings = settings
        self._store = Store()
        self._indexes: dict[tuple[str | None, tuple[str, ...]], Index] = {}

    def index(self, question: Question) -> Index:
        """The index that a question is put to."""
        key = (question.index, question.extra_indexes)
        if key not in self._indexes:
            settings = self._settings
            if question.index:
                settings = replace(settings, index_url=question.index, no_index=False)
            if question.extra_indexes:
                settings = replace(settings, extra_index_urls=(*settings.extra_index_urls, *question.extra_indexes))
            self._indexes[key] = Index(settings=settings, store=self._store)
        return self._indexes[key]


def hurried_settings(environment: Environment) -> IndexSettings:
    """Those of pip, for the interpreter that it would be run by, and with little patience."""
    settings = read_settings(prefix=environment.prefix) if environment.prefix else read_settings()
    return replace(settings, timeout=min(settings.timeout, _PATIENCE), retries=0)


def fitting_tags(environment: Environment) -> tuple[tuple[Tag, ...] | None, str | None]:
    """Tags and version of the examined interpreter; None for what is not known of it."""
    interpreter = environment.interpreter
    version = interpreter.version
    if version is None or interpreter.implementation not in (None, "cpython"):
        return None, version
    major, minor = (int(part) for part in version.split(".")[:2])
    platforms = list(platform_tags())
    tags = (
        *cpython_tags((major, minor), platforms=platforms),
        *compatible_tags((major, minor), f"cp{major}{minor}", platforms),
    )
    full = interpreter.markers.get("python_full_version", version)
    return tags, full
