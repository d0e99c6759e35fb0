"""MP113: wheels that were made for another platform."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.manifest import read_manifest
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.machine import Machine

_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_ALIASES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def _find(patient: Patient) -> Iterator[Finding]:
    platform = patient.environment.interpreter.platform
    if platform is None or not platform.startswith("linux-"):
        return
    architecture = platform.removeprefix("linux-").replace("-", "_")
    for owner in patient.environment.distributions:
        faults = [_fault(tag.rpartition("-")[2], architecture, patient.machine) for tag in owner.tags]
        known = [fault for fault in faults if fault is not None]
        if known and len(known) == len(faults) and (compiled := _compiled(owner)) is not None:
            yield _finding(owner, min(known, key=lambda fault: fault[0] is not Severity.WARNING), compiled, patient)


def _fault(platforms: str, architecture: str, machine: Machine) -> tuple[Severity, str] | None:
    """Why none of the platforms of a tag is this one; None when one is, or when that is not known."""
    found: tuple[Severity, str] | None = None
    for name in platforms.split("."):
        fault = _judge(name, architecture, machine)
        if fault is None:
            return None
        if found is None or fault[0] is Severity.WARNING:
            found = fault
    return found


def _judge(name: str, architecture: str, machine: Machine) -> tuple[Severity, str] | None:
    if name == "any":
        return None
    if "linux" not in name:
        return Severity.ERROR, f"made for {name}, this is linux_{architecture}"
    if not name.endswith(f"_{architecture}"):
        return Severity.ERROR, f"made for {name}, this machine is {architecture}"
    if name.startswith("musllinux") and machine.libc is not None and machine.libc.startswith("glibc"):
        return Severity.ERROR, f"made for musl ({name}), this system has {machine.libc}"
    if name.startswith("manylinux") and machine.libc is not None and machine.libc.startswith("musl"):
        return Severity.ERROR, f"made for glibc ({name}), this system has {machine.libc}"
    wanted, there = _wanted_glibc(name), _glibc(machine)
    if wanted is not None and there is not None and wanted > there:
        return (
            Severity.WARNING,
            f"made for glibc {wanted[0]}.{wanted[1]} and later, this system has {there[0]}.{there[1]}",
        )
    return None


def _wanted_glibc(name: str) -> tuple[int, int] | None:
    if found := _GLIBC.fullmatch(name):
        return int(found[1]), int(found[2])
    return _ALIASES.get(name.partition("_")[0])


def _glibc(machine: Machine) -> tuple[int, int] | None:
    found = re.fullmatch(r"glibc (\d+)\.(\d+)\S*", machine.libc or "")
    return (int(found[1]), int(found[2])) if found else None


def _compiled(owner: Distribution) -> str | None:
    """A compiled file of a distribution; one without any runs everywhere, whatever its tag says."""
    endings = (".so", ".pyd", ".dylib", ".dll")
    return next(
        (each.path for each in read_manifest(owner) if each.path.endswith(endings) or ".so." in each.path), None
    )


def _finding(owner: Distribution, fault: tuple[Severity, str], compiled: str, patient: Patient) -> Finding:
    severity, words = fault
    return Finding(
        code="MP113",
        severity=severity,
        engine=next((each.engine for each in patient.engines if each.distribution == owner.name), None),
        summary=f"{owner.name} {owner.version} is a wheel for another platform: {words}",
        cause="installed for another machine, or copied from one; its compiled files are not found or not loaded",
        evidence=(*(f"Tag: {tag}" for tag in owner.tags), f"{owner.location}/{compiled}"),
        remedy=Remedy(
            text="install it again with the interpreter that will run it",
            commands=(
                f"{installer(patient.environment)} install --force-reinstall --no-deps '{owner.name}=={owner.version}'",
            ),
        ),
        subjects=owner.packages,
    )


CHECK = Check(
    code="MP113",
    title="A wheel for another platform",
    promise="A distribution with compiled files was installed from a wheel whose tags exclude this platform.",
    explanation=(
        "The Tag lines of its WHEEL file against the examined interpreter: the operating system, the processor, glibc "
        "or musl, and the version of glibc. Another system or processor is an error, a newer glibc a warning, since "
        "some wheels ask for more than they use. Wheels without compiled files are left alone; which Python a wheel "
        "was made for is judged by its modules (MP403)."
    ),
    example="`pip install --target site-packages --platform musllinux_1_2_x86_64` on Debian.",
    cure="Install it again with the interpreter that will run it.",
    find=_find,
    explains=("MP203", "MP204", "MP403"),
)
