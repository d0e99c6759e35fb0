"""Ladders: one name imported from one place after another under ``try``, for which ``mixprec_doctor.load`` stands."""

from __future__ import annotations

__all__ = ["find_ladders"]

from collections.abc import Iterator, Sequence
from functools import lru_cache

from mixprec_doctor.codecheck.needs import ImportNeed, Project, TryKey
from mixprec_doctor.project.explanations import LADDER
from mixprec_doctor.records.codefinding import CodeFinding, Repair
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.layout import LAYOUTS

_IN_BODY = -1


def find_ladders(project: Project) -> tuple[CodeFinding, ...]:
    """A note for each ladder over a role of an engine, at its first rung; it holds for any release."""
    rungs: dict[tuple[str, str | None, str], list[ImportNeed]] = {}
    for need in project.needs:
        if isinstance(need, ImportNeed) and need.how == "from" and need.bound and len(need.target.path) == 1:
            rungs.setdefault((need.spot.place.file, need.within, need.bound), []).append(need)
    return tuple(found for each in rungs.values() for found in _ladders(each))


def _ladders(needs: Sequence[ImportNeed]) -> Iterator[CodeFinding]:
    told: set[TryKey] = set()
    for first in needs:
        key = next((each.key for each in reversed(first.guards) if each.kind == "try" and each.part == _IN_BODY), None)
        if key is None or key in told:
            continue
        others = [each for each in needs if _is_below(each, key)]
        role = _role_of([first, *others])
        if others and role is not None:
            told |= {guard.key for each in (first, *others) for guard in each.guards if guard.key is not None}
            yield _finding(first, others, role)


def _is_below(need: ImportNeed, key: TryKey) -> bool:
    """Whether an import stands in a handler of that ``try``."""
    return any(each.kind == "try" and each.key == key and each.part >= 0 for each in need.guards)


def _role_of(needs: Sequence[ImportNeed]) -> Role | None:
    """The one role that the names use to stand for."""
    roles = {role for each in needs if (role := _roles().get((each.target.package, each.target.path[0]))) is not None}
    return next(iter(roles)) if len(roles) == 1 else None


@lru_cache(maxsize=1)
def _roles() -> dict[tuple[str, str], Role]:
    """Roles by an engine and a name that they have or had there; names of several roles are left out."""
    found: dict[tuple[str, str], Role | None] = {}
    for layout in LAYOUTS:
        for role, usual in layout.usual.items():
            for name in usual.names:
                key = (layout.engine, name)
                found[key] = role if found.get(key, role) is role else None
    return {key: role for key, role in found.items() if role is not None}


def _finding(first: ImportNeed, others: Sequence[ImportNeed], role: Role) -> CodeFinding:
    engines = {each.target.package for each in (first, *others)}
    engine = f', engine="{first.target.package}"' if len(engines) == 1 else ""
    new = f'import mixprec_doctor\n\n{first.bound} = mixprec_doctor.load("{role.value}"{engine})'
    rungs = tuple(str(each.target) for each in (first, *others))
    return CodeFinding(
        finding=Finding(
            code=LADDER,
            severity=Severity.INFO,
            summary=f"{first.bound} is looked for in {len(others) + 1} places, one release after another",
            evidence=rungs,
            subjects=(str(first.target),),
        ),
        place=first.spot.place,
        source=first.spot.source,
        package=first.target.package,
        releases=(),
        repair=Repair(kind="ladder", old=", ".join(rungs), new=new, certain=False),
    )
