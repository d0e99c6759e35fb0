"""MP213: Python says otherwise than the reading."""

from __future__ import annotations

__all__ = ["CHECK", "refuted_code"]

from collections.abc import Iterator, Sequence

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.probe import Kind, Observed, Shape
from mixprec_doctor.records.resolution import Resolution, Status


def _find(patient: Patient) -> Iterator[Finding]:
    for engine, resolutions in patient.roles.items():
        read = {each.role.value: each for each in resolutions}
        named = [each for each in patient.probes if each.request.engine == engine and each.request.kind is Kind.NAME]
        differences = [
            f"{each.request.role}: {words}"
            for each in named
            if each.observed and (words := difference(read[each.request.role or ""], each.observed))
        ]
        if differences:
            yield _finding(engine, differences)


def _finding(engine: str, differences: list[str]) -> Finding:
    return Finding(
        code="MP213",
        severity=Severity.WARNING,
        engine=engine,
        summary=f"Python says otherwise than what was read of {engine}, {len(differences)} times",
        cause="either mixprec reads this release wrongly, or something changes the engine while it is imported",
        evidence=tuple(differences),
        remedy=Remedy(text="take what Python says as the truth, and report it with this evidence"),
        subjects=(engine,),
    )


def refuted_code(errors: Sequence[Finding]) -> Finding:
    """What is left of errors that reading foresaw for the code, once it ran without them."""
    return Finding(
        code="MP213",
        severity=Severity.WARNING,
        engine=errors[0].engine,
        summary="the code ran, though reading foresaw that it would fail",
        cause="either mixprec reads something wrongly, or something changes it while it is imported",
        evidence=tuple(f"{each.code}: {each.summary}" for each in errors),
        remedy=Remedy(text="take what Python says as the truth, and report it with this evidence"),
        subjects=tuple(dict.fromkeys(subject for each in errors for subject in each.subjects)),
    )


def difference(read: Resolution, seen: Observed) -> str | None:
    """What Python saw under a name, where it is not what was read; None where both say the same."""
    if read.status is Status.PLACEHOLDER:
        real = seen.kind == "class" and seen.name == read.name and not seen.hollow
        return f"reading says that a placeholder stands there, Python has {seen.module}.{seen.name}" if real else None
    if seen.hollow and read.parameters:
        return f"reading says {read.defined_in or read.module}.{read.name}, Python has nothing real there"
    if seen.kind == "class" and seen.module not in (read.module, read.defined_in):
        return f"reading says that {read.name} is from {read.defined_in or read.module}, Python from {seen.module}"
    if seen.parameters is None or read.doubt is not None or seen.name != read.name:
        return None  # what one of the two does not know for certain cannot differ
    wanted = tuple(Shape(name=each.name, kind=each.kind, required=each.required) for each in read.parameters)
    if wanted == seen.parameters:
        return None
    return f"reading says {_shape(read.name, wanted)}, Python {_shape(read.name, seen.parameters)}"


def _shape(name: str | None, parameters: tuple[Shape, ...]) -> str:
    words = [each.name if each.required or each.kind.startswith("VAR_") else f"{each.name}=..." for each in parameters]
    return f"{name}({', '.join(words)})"


CHECK = Check(
    code="MP213",
    title="Python says otherwise than the reading",
    promise="What was read from source and what Python shows once it is imported are not the same.",
    explanation=(
        "Only with `--verify`. For each name that mixprec takes from an engine: which class it is, whether it is "
        "real or a placeholder, and the parameters of its constructor, once as read and once as `inspect` sees "
        "it. With `--code`, also when reading foresaw an error and the lines ran: such an error is taken back. "
        "It is a fault of mixprec, or of something that changes the engine at import time, such as a plugin."
    ),
    example="A `.pth` file of another distribution replaces `Fp8Config` as soon as vLLM is imported.",
    cure="Believe Python. Report it, so that the reading learns it.",
    find=_find,
)
