"""MP403: compiled modules for another Python."""

from __future__ import annotations

__all__ = ["CHECK"]

import re
from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.files import LARGEST_LIST, read_start
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_TAGGED = re.compile(rb"(?m)^\"?([^,\"\n]*\.cpython-(\d+)t?(?:-[\w-]+)?\.(?:so|pyd))")


def _find(patient: Patient) -> Iterator[Finding]:
    version = patient.environment.interpreter.version
    if version is None:
        return
    ours = "".join(version.split(".")[:2])
    for distribution in patient.environment.distributions:
        if not any(_foreign_tag(tag, ours) for tag in distribution.tags):
            continue  # the tag alone proves nothing: some wheels are tagged for one Python and built for all
        modules = list(_foreign_modules(distribution, ours))
        if modules:
            yield Finding(
                code="MP403",
                severity=_severity(distribution, patient),
                engine=next((each.engine for each in patient.engines if each.distribution == distribution.name), None),
                summary=(f"{distribution.name} {distribution.version} was installed for another Python than {version}"),
                cause="its compiled modules carry the name of that Python, and this one does not see them",
                evidence=tuple(modules[:3]),
                remedy=Remedy(
                    text="install it again with the interpreter that will run it",
                    commands=(
                        f"{installer(patient.environment)} install --force-reinstall --no-deps "
                        f"'{distribution.name}=={distribution.version}'",
                    ),
                ),
                subjects=distribution.packages,
            )


def _severity(distribution: Distribution, patient: Patient) -> Severity:
    """An error, but where the code has nothing to do with it, or where a ``try`` takes the fault."""
    code, packages = patient.code, set(distribution.packages)
    if code is None:
        return Severity.ERROR
    if not any(code.concerns(package) for package in packages):
        return Severity.WARNING
    taken = {each.stop.root.wanted.partition(".")[0] for each in code.rehearsal.swallowed}
    return Severity.WARNING if code.stop is None and taken & packages else Severity.ERROR


def _foreign_tag(tag: str, ours: str) -> bool:
    python, _, rest = tag.partition("-")
    return python.startswith("cp") and rest.startswith(python) and python != f"cp{ours}"


def _foreign_modules(distribution: Distribution, ours: str) -> Iterator[str]:
    """Modules tagged for another Python only, which lie there and have no sibling for this one."""
    record = read_start(Path(distribution.metadata) / "RECORD", most=LARGEST_LIST) or b""
    stems: dict[str, dict[str, str]] = {}
    for path, python in _TAGGED.findall(record):
        name = path.decode("utf-8", errors="replace")
        stems.setdefault(name.partition(".cpython-")[0], {})[python.decode()] = name
    for found in stems.values():
        if ours not in found:
            name = next(iter(found.values()))
            if (Path(distribution.location) / name).exists():
                yield f"{distribution.location}/{name}"


CHECK = Check(
    code="MP403",
    title="Compiled for another Python",
    promise="A distribution's compiled modules belong to another version of Python.",
    explanation=(
        "Extension modules carry the Python they were built for in their names, as in "
        "`_core.cpython-312-...so`. "
        "Another version does not see them and reports `No module named ...` for something that is "
        "installed. "
        "Modules built for the stable interface (`.abi3.so`) fit every version and are left alone."
    ),
    example="pydantic-core for CPython 3.12 in a copied site-packages of Python 3.11.",
    cure="Install it again with the interpreter that will run it.",
    find=_find,
    explains=("MP204", "MP113", "MP102"),
)
