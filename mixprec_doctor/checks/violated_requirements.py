"""MP108: required distributions of an engine in versions that it excludes."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.extra_pins import ExtraPin, extra_pins
from mixprec_doctor.checks.pins import Pin, engine_pins, install_command, names_of, rivals
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in patient.engines:
        other = [pin for pin in engine_pins(engine, patient) if pin.installed is not None]
        breaking = [pin for pin in other if pin.breaks]
        harmless = [pin for pin in other if not pin.breaks]
        if breaking:
            yield _breaking(engine, breaking, patient)
        if harmless:
            yield _harmless(engine, harmless, patient)
        if extras := _extras(engine, patient):
            yield _of_extras(engine, extras, patient)


def _breaking(engine: InstalledEngine, pins: list[Pin], patient: Patient) -> Finding:
    gone = [name for pin in pins for name in pin.gone]
    shown = ", ".join(gone[:4]) + (f" and {len(gone) - 4} more" if len(gone) > 4 else "")
    return Finding(
        code="MP108",
        # Of code that was asked about MP204 says what it really lacks.
        severity=Severity.WARNING if patient.code is not None else Severity.ERROR,
        engine=engine.engine,
        summary=f"{engine.distribution} {engine.version} imports {shown}, which the installed version does not have",
        cause=f"{names_of(pins)}: installed in a version that the engine's own metadata excludes",
        evidence=tuple(map(str, pins)),
        remedy=_remedy(pins, patient, text="go back to the versions that the engine was released with"),
        subjects=(engine.engine,),
    )


def _harmless(engine: InstalledEngine, pins: list[Pin], patient: Patient) -> Finding:
    """Nothing that is imported is gone, which proves little where a whole major version lies between the two."""
    pins = sorted(pins, key=lambda pin: not (pin.is_far and _is_imported(pin, patient)))
    far = [pin for pin in pins if pin.is_far and _is_imported(pin, patient)]
    text = "nothing has to be done for the imports"
    if far:
        text = (
            f"if it fails all the same, look at {names_of(far)} first: another major version than the release asks for"
        )
    return Finding(
        code="MP108",
        severity=Severity.INFO,
        engine=engine.engine,
        summary=(
            f"{names_of(pins)}: outside the pins of {engine.distribution} {engine.version}; "
            f"all that {engine.engine} imports from them is there"
        ),
        cause="something installed later moved them; each name that is imported is there, nobody has tested the rest",
        evidence=tuple(map(str, pins)),
        remedy=_remedy(pins, patient, text=f"{text}; the set that the release was made for is"),
        subjects=(engine.engine,),
    )


def _extras(engine: InstalledEngine, patient: Patient) -> tuple[ExtraPin, ...]:
    """Those of packages that the engine, or the code that was asked about, imports."""
    if patient.code is not None and not patient.code.concerns(engine.engine):
        return ()
    return tuple(
        pin for pin in extra_pins(engine, patient)
        if patient.code is None or any(patient.code.concerns(name) for name in pin.installed.packages)
    )  # fmt: skip


def _of_extras(engine: InstalledEngine, pins: tuple[ExtraPin, ...], patient: Patient) -> Finding:
    names = ", ".join(pin.requirement.name for pin in pins[:6]) + (
        f" and {len(pins) - 6} more" if len(pins) > 6 else ""
    )
    wanted = " ".join(f"'{pin.requirement.name}{pin.requirement.specifier}'" for pin in pins)
    return Finding(
        code="MP108",
        severity=Severity.INFO,
        engine=engine.engine,
        summary=f"{names}: other versions than {engine.distribution} {engine.version} pins in its extras",
        cause="the plain requirements leave them open, the extras that its own instructions install do not; an "
        "attribute that moved in between shows only when it is used",
        evidence=tuple(map(str, pins)),
        remedy=Remedy(
            text="if it fails and nothing else explains it, take the versions that the release was made with",
            commands=(f"{installer(patient.environment)} install {wanted}",),
        ),
        subjects=(engine.engine,),
    )


def _is_imported(pin: Pin, patient: Patient) -> bool:
    """Whether an import names the package, be it under a condition or in what the code imports further in."""
    packages = pin.installed.packages if pin.installed is not None else ()
    mentioned = patient.code.rehearsal.mentioned if patient.code is not None else set()
    return pin.reached is not None or bool({each.partition(".")[0] for each in mentioned} & set(packages))


def _remedy(pins: list[Pin], patient: Patient, *, text: str) -> Remedy:
    against = rivals(pins, patient)
    if against:
        return Remedy(text=f"give each engine an environment of its own: {'; '.join(against[:3])}")
    return Remedy(text=text, commands=(install_command(pins, patient),))


CHECK = Check(
    code="MP108",
    title="Required distributions have excluded versions",
    promise="A distribution that an engine requires is installed in a version that its metadata excludes.",
    explanation=(
        "What `pip check` says, for the engines only and with the markers of the examined interpreter, and judged: "
        "the engine's modules are followed from the one that starts its server (with `--code` from those that the "
        "code imports), and what they take from the distribution without a guard is looked up in the installed "
        "version. Something gone is an error; when all is there it is only noted, since engines pin many distributions "
        "exactly that work in other versions too. Exact pins that stand in an engine's extras only are noted too: "
        "`pip check` never looks at those."
    ),
    example="SGLang 0.5.3 pins `torch==2.8.0`; the environment has torch 2.13.0, and every import finds what it takes.",
    cure="Install the versions that the finding lists, or an engine release that was made for those you have.",
    find=_find,
    may_explain=True,
)
