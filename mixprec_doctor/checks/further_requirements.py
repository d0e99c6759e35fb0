"""MP115: what the engines' requirements require themselves is not there, or in another version."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.pins import Pin, engine_pins, further_pins, install_command, names_of, plain, reaches, rivals
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    pins = further_pins(patient)
    broken: dict[str, list[Pin]] = {}
    for pin in pins:
        if pin.breaks:
            broken.setdefault(pin.owner.key, []).append(pin)
    for group in broken.values():
        yield _breaking(group, patient)
    known = {pin.requirement.name for engine in patient.engines for pin in engine_pins(engine, patient)}
    calm = [pin for pin in pins if not pin.breaks and pin.requirement.name not in known]
    if calm:
        yield _calm(calm)


def _breaking(pins: list[Pin], patient: Patient) -> Finding:
    package, owner = pins[0].package, pins[0].owner
    wanted = ", ".join(plain(pin.requirement) for pin in pins)
    there = ", ".join(f"{pin.installed.name} {pin.installed.version}" for pin in pins if pin.installed is not None)
    against = rivals(pins, patient)
    return Finding(
        code="MP115",
        severity=_severity(package, patient),
        summary=f"{owner.name} {owner.version} requires {wanted}; {f'{there} is there' if there else 'not installed'}",
        cause=f"an import of {package} takes from it what is not there",
        evidence=(*map(str, pins), *against),
        remedy=_remedy(pins, against, patient),
        subjects=(package,),
    )


def _remedy(pins: list[Pin], against: tuple[str, ...], patient: Patient) -> Remedy:
    owner = pins[0].owner
    moved = [
        pin
        for engine in patient.engines
        for pin in engine_pins(engine, patient)
        if pin.installed is not None and pin.installed.key == owner.key
    ]
    if moved and not rivals(moved, patient):
        text = f"go back to the {owner.name} that {moved[0].owner.name} asks for"
        return Remedy(text=text, commands=(install_command(moved, patient),))
    if against:
        return Remedy(
            text=f"one environment cannot suit both: {'; '.join(against)}. Give each engine its own, or do without the "
            f"feature that uses {owner.name}"
        )
    return Remedy(text=f"install what {owner.name} asks for", commands=(install_command(pins, patient),))


def _severity(package: str, patient: Patient) -> Severity:
    """An error where it certainly is imported; of code that was asked about MP204 says so."""
    if not reaches(patient, package):
        return Severity.INFO if patient.code is not None else Severity.WARNING
    return Severity.WARNING if patient.code is not None else Severity.ERROR


def _calm(pins: list[Pin]) -> Finding:
    return Finding(
        code="MP115",
        severity=Severity.INFO,
        summary=f"{names_of(pins)}: not as other packages ask for, and nothing that they import is touched by it",
        cause="pip check names them too; importing the packages that ask for them finds all that it takes",
        evidence=tuple(map(str, pins)),
        subjects=tuple(dict.fromkeys(pin.package for pin in pins)),
    )


CHECK = Check(
    code="MP115",
    title="Packages that an engine uses do not fit each other",
    promise="A package that an engine, or the code that was asked about, needs lacks one of its own requirements.",
    explanation=(
        "The requirements of the engines' requirements, at any depth, with `--code` also those of what the code "
        "imports. Each that is not met is judged by what an import of its owner takes: something gone is an error "
        "where the engine imports the owner when it starts, and a warning where it imports it later or never. What "
        "changes nothing is noted in one line. Packages that no engine requires are not looked at."
    ),
    example="outlines 0.1.11 requires `outlines_core==0.1.26`; vLLM has brought 0.2.14, which has no `fsm` module.",
    cure="Install the version that is asked for, or, where two engines ask for different ones, use two environments.",
    find=_find,
    may_explain=True,
)
