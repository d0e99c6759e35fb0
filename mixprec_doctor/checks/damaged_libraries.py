"""MP409: a compiled module that is cut off, no library at all, or made for another processor."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.binaries import FaultKind
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.checks.unloadable import further, unloadable_parts
from mixprec_doctor.records.finding import Finding, Remedy

_CAUSES = {
    FaultKind.DAMAGED: "the file is not what was installed: a full disk, a broken copy, or a pointer to the file",
    FaultKind.FOREIGN: "the package was installed for another processor: a copied environment, or another --platform",
}


def _find(patient: Patient) -> Iterator[Finding]:
    for broken in unloadable_parts(patient):
        fault, owner = broken.fault, broken.part.distribution
        if fault.kind not in _CAUSES:
            continue
        foreign = fault.kind is FaultKind.FOREIGN
        yield Finding(
            code="MP409",
            severity=broken.severity,
            engine=broken.part.engine,
            summary=f"{owner.name} {owner.version}: "
            + (
                f"{fault.library.name} is made for {fault.offered}"
                if foreign
                else f"{fault.library.name} {fault.wanted}"
            ),
            cause=_CAUSES[fault.kind],
            evidence=(*(each.text for each in broken.faults[:3]), *further(broken)),
            remedy=Remedy(
                text="install it again with the interpreter that will run it",
                commands=(
                    f"{installer(patient.environment)} install --force-reinstall --no-deps --no-cache-dir "
                    f"'{owner.name}=={owner.version}'",
                ),
            ),
            subjects=broken.subjects,
        )


CHECK = Check(
    code="MP409",
    title="A damaged or foreign library",
    promise="A compiled module is no readable library, or one for another processor.",
    explanation=(
        "The head and the tables of every compiled module that matters are read: a file that ends before they do, that "
        "is no ELF file, or whose processor is not that of the interpreter cannot be loaded."
    ),
    example="A copy that stopped half-way: `file too short`; an x86-64 environment copied to an ARM server.",
    cure="Install the distribution again, without pip's cache.",
    find=_find,
    about_code=True,
    explains=("MP203", "MP204", "MP210", "MP211", "MP212"),
)
