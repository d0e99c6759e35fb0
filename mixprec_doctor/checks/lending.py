"""Lending: which release of a package has all that an engine takes from it, as a remedy."""

from __future__ import annotations

__all__ = ["beside_of", "lender_remedy", "lenders_of"]

from collections.abc import Iterable

from packaging.utils import canonicalize_name

from mixprec_doctor.checks.check import Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Remedy
from mixprec_doctor.records.lenders import Avoid, Lenders
from mixprec_doctor.resolving.borrowing import Borrowed


def lender_remedy(names: Iterable[Borrowed], lender: str, patient: Patient, *, avoid: Avoid | None = None) -> Remedy:
    """The releases of the lender that have all the names, and the command for the best one."""
    found = lenders_of(names, lender, patient, avoid)
    borrower = next(iter(names)).asker.partition(".")[0]
    if found is None:
        return Remedy(
            text=f"install a release of {lender} that has all that {borrower} takes from it; which one that is could "
            "not be found out, as no index was asked"
        )
    if not found.having:
        return Remedy(text=f"{found}: take another one of {borrower}, or do without what needs it")
    return Remedy(
        text=f"install a release of {lender} that has all that {borrower} takes from it: {found}; or take a release of "
        f"{borrower} that needs nothing from {lender}",
        commands=(
            f"{installer(patient.environment)} install '{found.distribution}=={_best(found, borrower, patient)}'",
        ),
    )


def _best(found: Lenders, borrower: str, patient: Patient) -> str | None:
    """The newest that suits, of those that the borrower's own metadata, extras included, asks for where it does."""
    suiting = found.fitting or found.having
    owner = next(iter(patient.environment.owners(borrower)), None)
    for text in owner.requires if owner else ():
        parsed = parse_requirement(text)
        if parsed is not None and parsed.name in (found.distribution, found.distribution.removesuffix("-cpu")):
            asked = [each for each in suiting if parsed.specifier.contains(each, prereleases=True)]
            suiting = tuple(asked) or suiting
    return suiting[-1] if suiting else None


def lenders_of(names: Iterable[Borrowed], lender: str, patient: Patient, avoid: Avoid | None = None) -> Lenders | None:
    """What the releases on the index have of the names; None without an index."""
    if patient.lend is None:
        return None
    wanted = tuple(names)
    owner = next(iter(patient.environment.owners(lender)), None)
    borrower = wanted[0].asker.partition(".")[0]
    beside = beside_of(borrower, patient)
    found = patient.lend(wanted, owner.name if owner else lender, owner.version if owner else None, beside, avoid)
    if (found is None or not found.having) and owner is not None and owner.key != canonicalize_name(lender):
        return patient.lend(wanted, lender, owner.version, beside, avoid) or found
    return found


def beside_of(borrower: str, patient: Patient) -> tuple[tuple[str, str], ...]:
    """What the borrower pins exactly, extras included, and is installed just so: a lender has to get along with it."""
    owner = next(iter(patient.environment.owners(borrower)), None)
    found: dict[str, Distribution] = {}
    for text in owner.requires if owner else ():
        parsed = parse_requirement(text)
        installed = patient.environment.find(parsed.name) if parsed is not None else None
        if parsed is None or installed is None or installed.version is None or len(parsed.specifier) != 1:
            continue
        (pin,) = parsed.specifier
        if pin.operator == "==" and parsed.specifier.contains(installed.version, prereleases=True):
            found[installed.key] = installed
    return tuple((each.name, each.version or "") for each in found.values())
