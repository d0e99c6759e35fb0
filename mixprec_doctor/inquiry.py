"""Inquiry: what checks ask of an index, with little patience, and only when one of them really has a question."""

from __future__ import annotations

__all__ = ["Inquiry"]

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.index.releases import Index
from mixprec_doctor.records.defaultchange import DefaultChange
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.lenders import Avoid, Lenders
from mixprec_doctor.records.release import Release
from mixprec_doctor.remedies.places import fitting_tags, hurried_settings
from mixprec_doctor.resolving.borrowing import Borrowed
from mixprec_doctor.resolving.defaults import changed_defaults
from mixprec_doctor.resolving.lending import find_lenders

Told = Callable[[int, int, Release], None]


class Inquiry:
    """The index that pip of an environment is set up for, asked for releases that fit its interpreter."""

    def __init__(self, environment: Environment, *, told: Told | None = None) -> None:
        self._environment = environment
        self._told = told

    def lend(
        self,
        names: Sequence[Borrowed],
        distribution: str,
        installed: str | None,
        beside: Sequence[tuple[str, str]],
        avoid: Avoid | None = None,
    ) -> Lenders | None:
        """Which releases of a distribution have some names; None when the index gives none."""
        if self._index is None:
            return None
        tags, python = fitting_tags(self._environment)
        return find_lenders(
            names,
            distribution=distribution,
            installed=installed,
            beside=beside,
            index=self._index,
            avoid=avoid,
            tags=tags,
            python=python,
            told=self._told,
        )

    def changes(
        self, module: str, name: str, defaults: Mapping[str, str], distribution: str, installed: str
    ) -> tuple[DefaultChange, ...]:
        """Which of some defaults of a class were others in the releases before the installed one."""
        if self._index is None:
            return ()
        return changed_defaults(
            module, name, defaults, distribution=distribution, installed=installed, index=self._index
        )

    @cached_property
    def _index(self) -> Index | None:
        try:
            settings = hurried_settings(self._environment)
        except MixprecError:  # pip's own settings cannot be read
            return None
        return Index(settings=settings) if settings.indexes or settings.find_links else None
