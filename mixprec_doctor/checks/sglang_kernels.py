"""MP114: SGLang's kernels: not there, there twice, or of another release."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.pins import KERNELS
from mixprec_doctor.checks.requirements import installer, needed
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Distribution, InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_USUAL_EXTRA = re.compile(r"""extra\s*==\s*["'](?:srt|all|runtime[_-]common)["']""")


def _find(patient: Patient) -> Iterator[Finding]:
    engine = patient.engine("sglang")
    owner = patient.environment.find(engine.distribution) if engine and engine.distribution else None
    wanted = _wanted(owner, patient) if owner is not None else None
    if engine is None or wanted is None:
        return
    there = [each for each in patient.environment.distributions if each.key in KERNELS]
    names = " and ".join(f"{each.name} {each.version}" for each in there)
    pin = f"{wanted.name}{wanted.specifier}"
    found: Finding | None = None
    if len({each.key for each in there}) > 1:
        found = _finding(
            engine,
            f"{names} are both installed and share the package sgl_kernel",
            "the kernels were renamed from sgl-kernel to sglang-kernel; the later one has overwritten the other",
            [f"{_pip(patient)} uninstall -y {' '.join(sorted(KERNELS))}", f"{_pip(patient)} install '{pin}'"],
        )
    elif not there:
        if locate_package(patient.environment, "sgl_kernel") is None:
            found = _finding(
                engine,
                f"{pin}, the kernels of sglang {engine.version}, are not installed",
                "SGLang's quantized layers and attention call them on a GPU",
                [f"{_pip(patient)} install '{pin}'"],
            )
    elif there[0].key != canonicalize_name(wanted.name) or not wanted.specifier.contains(
        there[0].version or "", prereleases=True
    ):
        found = _finding(
            engine,
            f"sglang {engine.version} asks for {pin}; {names} is installed",
            "kernels of another release: their functions and arguments change from release to release",
            [
                *(f"{_pip(patient)} uninstall -y {there[0].name}" for _ in there if there[0].key != wanted.name),
                f"{_pip(patient)} install '{pin}'",
            ],
        )
    if found is not None:
        yield _for_machine(found, patient)


def _for_machine(finding: Finding, patient: Patient) -> Finding:
    """Without a GPU the kernels are of no use whatever their version."""
    if patient.machine.accelerators == ():
        calm = f"{finding.cause}; on this machine, without a GPU, they are of no use anyhow"
        return replace(finding, severity=Severity.INFO, cause=calm)
    return finding


def _wanted(owner: Distribution, patient: Patient) -> Requirement | None:
    """What the release itself asks for: plainly, or in the extra that its server is installed with."""
    for requirement in needed(owner, patient.environment):
        if canonicalize_name(requirement.name) in KERNELS:
            return requirement
    for text in owner.requires:
        extra = parse_requirement(text) if _USUAL_EXTRA.search(text) else None
        if extra is not None and canonicalize_name(extra.name) in KERNELS:
            return extra
    return None


def _pip(patient: Patient) -> str:
    return installer(patient.environment)


def _finding(engine: InstalledEngine, summary: str, cause: str, commands: list[str]) -> Finding:
    return Finding(
        code="MP114",
        severity=Severity.WARNING,
        engine=engine.engine,
        summary=summary,
        cause=cause,
        remedy=Remedy(text="install the kernels that this release asks for", commands=tuple(commands)),
        subjects=("sglang", "sgl_kernel"),
    )


CHECK = Check(
    code="MP114",
    title="SGLang's kernels do not belong to its release",
    promise="The kernels that the installed SGLang asks for are not there, there twice, or of another version.",
    explanation=(
        "SGLang's compiled kernels are a distribution of their own, `sgl-kernel`, in later releases `sglang-kernel`; "
        "both provide the package `sgl_kernel`. Which name and version belongs to the installed release is read from "
        "its own metadata, in old releases from the requirements of its extra `srt`. A warning on a machine with a "
        "GPU; only noted on one without, where the kernels cannot be used."
    ),
    example="SGLang 0.5.21 with `sgl-kernel 0.3.14` left over from an upgrade, beside or in place of `sglang-kernel`.",
    cure="Uninstall both names, then install the one that the release asks for.",
    find=_find,
    explains=("MP103",),
)
