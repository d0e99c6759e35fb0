"""History: since which release a role is as it is, and what it was before, from releases one after another."""

from __future__ import annotations

__all__ = ["Timeline", "dated"]

from collections.abc import Iterable
from dataclasses import replace

from mixprec_doctor.records.answers import Answers
from mixprec_doctor.records.matrix import Change
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.changes import compare, ends_an_age


class Timeline:
    """One role through the releases of a distribution, the oldest first."""

    def __init__(self) -> None:
        self._last: Resolution | None = None
        self._since: str | None = None
        self._formerly: str | None = None

    def gap(self) -> None:
        """A release that could not be read: what comes after it is not known to be unbroken."""
        self._since = None

    def advance(self, role: Resolution, version: str | None) -> tuple[Resolution, tuple[Change, ...]]:
        """The role with ``since`` and ``formerly``, and what changed from the last release that was read."""
        last, changes = self._last, compare(self._last, role) if self._last is not None else ()
        if last is None:
            self._formerly = role.formerly
        elif last.status is Status.FOUND and _place(last) != _place(role):
            self._formerly = _place(last)
        if self._since is None or ends_an_age(changes):
            self._since = version
        self._last = role
        since = None if role.status is Status.MISSING else self._since
        return replace(role, since=since, formerly=self._formerly), changes


def dated(answers: Iterable[Answers]) -> list[Answers]:
    """The answers, oldest first of each distribution, with ``since`` and ``formerly`` of their roles filled in.

    ``since`` is the earliest of these releases from which module, name and parameters are the same without a
    break; a release that could not be read breaks it.
    """
    lines: dict[tuple[str | None, Role], Timeline] = {}
    found = []
    for each in answers:
        if each.faults:
            for (distribution, _), line in lines.items():
                if distribution == each.distribution:
                    line.gap()
        roles = each.roles
        if roles is not None:
            roles = tuple(
                lines.setdefault((each.distribution, role.role), Timeline()).advance(role, each.version)[0]
                for role in roles
            )
        found.append(replace(each, roles=roles))
    return found


def _place(role: Resolution) -> str | None:
    return f"{role.module}.{role.name}" if role.module else None
