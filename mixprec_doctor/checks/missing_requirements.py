"""MP107: required distributions of an engine that are not installed."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.pins import Pin, engine_pins, install_command, names_of, rivals
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in patient.engines:
        absent = [pin for pin in engine_pins(engine, patient) if pin.installed is None]
        needed = [pin for pin in absent if pin.breaks]
        spare = [pin for pin in absent if not pin.breaks]
        if needed:
            yield _needed(engine, needed, patient)
        if spare:
            yield _spare(engine, spare, patient)


def _needed(engine: InstalledEngine, pins: list[Pin], patient: Patient) -> Finding:
    against = rivals(pins, patient)
    command = install_command(pins, patient)
    what = "the code that was asked about" if patient.code is not None else f"starting {engine.engine}"
    return Finding(
        code="MP107",
        # Of code that was asked about MP204 says what it really lacks.
        severity=_severity(patient),
        engine=engine.engine,
        summary=f"{engine.distribution} requires {names_of(pins)}: not installed, and {what} imports it",
        cause="left out by --no-deps or removed later; the import stops at the first one",
        evidence=(*map(str, pins), *against),
        remedy=Remedy(text="give each engine an environment of its own: another one here excludes these versions")
        if against
        else Remedy(text="install what is not there, in the versions that the engine asks for", commands=(command,)),
        subjects=(engine.engine,),
    )


def _spare(engine: InstalledEngine, pins: list[Pin], patient: Patient) -> Finding:
    what = "the code that was asked about imports" if patient.code is not None else "the start of the engine imports"
    return Finding(
        code="MP107",
        severity=Severity.INFO,
        engine=engine.engine,
        summary=f"{engine.distribution} requires {names_of(pins)}: not installed",
        cause=f"nothing that {what} asks for them; they serve single features, such as pictures, tools or one backend",
        evidence=tuple(map(str, pins)),
        subjects=(engine.engine,),
    )


def _severity(patient: Patient) -> Severity:
    """Of code that was asked about MP204 says what it lacks; where it does not, something takes the fault."""
    if patient.code is None:
        return Severity.ERROR
    return Severity.WARNING if patient.code.stop is not None else Severity.INFO


CHECK = Check(
    code="MP107",
    title="Required distributions are not installed",
    promise="An engine's own metadata requires distributions that the environment does not have.",
    explanation=(
        "Read from the Requires-Dist lines of the installed release, with the markers evaluated for the examined "
        "interpreter; extras are not counted. The engine's modules are followed from the one that starts its server: "
        "what they import without a guard is an error, the rest is only noted. With `--code` the modules that the "
        "code imports are followed instead, and it is a warning beside what MP204 says. Where another engine of the "
        "environment excludes the version that is asked for, no command is given."
    ),
    example="`pip install --no-deps sglang`, then `import sglang` ends in `No module named 'numpy'`.",
    cure="Install all of them at once with the command that the finding shows.",
    find=_find,
)
