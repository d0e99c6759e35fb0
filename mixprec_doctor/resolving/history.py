"""History: since which release a role is as it is, and what it was before, from releases one after another."""

from __future__ import annotations

__all__ = ["dated"]

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mixprec_doctor.records.answers import Answers
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.changes import compare, ends_an_age


@dataclass
class _Past:
    """What the releases before say of one role."""

    last: Resolution
    since: str | None
    formerly: str | None = None


def dated(answers: Iterable[Answers]) -> list[Answers]:
    """The answers, oldest first of each distribution, with ``since`` and ``formerly`` of their roles filled in.

    ``since`` is the earliest of these releases from which module, name and parameters are the same without a
    break; a release that could not be read breaks it.
    """
    pasts: dict[tuple[str | None, Role], _Past] = {}
    found = []
    for each in answers:
        if each.faults:
            pasts = {key: past for key, past in pasts.items() if key[0] != each.distribution}
        roles = each.roles
        if roles is not None:
            roles = tuple(_date(role, (each.distribution, role.role), each.version, pasts) for role in roles)
        found.append(replace(each, roles=roles))
    return found


def _date(
    role: Resolution,
    key: tuple[str | None, Role],
    version: str | None,
    pasts: dict[tuple[str | None, Role], _Past],
) -> Resolution:
    past = pasts.get(key)
    if past is None:
        past = pasts[key] = _Past(last=role, since=version, formerly=role.formerly)
    elif ends_an_age(compare(past.last, role)):
        if past.last.status is Status.FOUND and _place(past.last) != _place(role):
            past.formerly = _place(past.last)
        past.since = version
    past.last = role
    if role.status is Status.MISSING:
        return replace(role, formerly=past.formerly)
    return replace(role, since=past.since, formerly=past.formerly)


def _place(role: Resolution) -> str | None:
    return f"{role.module}.{role.name}" if role.module else None
