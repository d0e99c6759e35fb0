"""MP104: one distribution registered twice in one folder."""

from __future__ import annotations

__all__ = ["CHECK"]

import shlex
from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.environment.manifest import code_version, match_files, public
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    places: dict[tuple[str, str], list[Distribution]] = {}
    for distribution in patient.environment.distributions:
        places.setdefault((distribution.location, distribution.key), []).append(distribution)
    for copies in places.values():
        if len(copies) > 1:
            yield _finding(copies, patient)


def _finding(copies: list[Distribution], patient: Patient) -> Finding:
    name = copies[0].name
    packages = tuple(dict.fromkeys(package for each in copies for package in each.packages))
    versions = ", ".join(each.version or "unknown" for each in copies)
    real = _real(copies, packages, patient)
    stale = [each for each in copies if each is not real] if real else []
    pip = installer(patient.environment)
    pinned = f"{name}=={real.version}" if real and real.version else name
    said = f"; the code that is there is that of {real.version}" if real else ""
    return Finding(
        code="MP104",
        severity=Severity.WARNING,
        engine=next((package for package in packages if patient.engine(package)), None),
        summary=f"{name} is registered {len(copies)} times ({versions}){said}",
        cause="an upgrade was interrupted, or a folder was copied over another: a check of versions may read either",
        evidence=tuple(each.metadata for each in copies),
        remedy=Remedy(
            text="remove the metadata of what is not there, then install the distribution again",
            commands=(
                *(f"rm -r {shlex.quote(each.metadata)}" for each in stale),
                f"{pip} install --force-reinstall --no-deps '{pinned}'",
            ),
        ),
        subjects=packages or (name,),
    )


def _real(copies: list[Distribution], packages: tuple[str, ...], patient: Patient) -> Distribution | None:
    """The copy whose files these are: by the version that the code states, else by the recorded contents."""
    for package in packages:
        place = locate_package(patient.environment, package)
        stated = public(code_version(place)) if place is not None else None
        same = [each for each in copies if stated and public(each.version) == stated]
        if len(same) == 1:
            return same[0]
    whole = [each for each in copies if each.packages and match_files(each, each.packages[0]).whole]
    return whole[0] if len(whole) == 1 else None


CHECK = Check(
    code="MP104",
    title="A distribution is registered twice",
    promise="One folder holds several metadata folders of the same distribution.",
    explanation=(
        "importlib.metadata takes the first that it meets, pip may take another, and the files belong "
        "to one of "
        "them only. Version checks at start-up then compare the wrong number."
    ),
    example="`transformers-4.52.3.dist-info` beside `transformers-4.55.0.dist-info` in one site-packages.",
    cure="`pip install --force-reinstall --no-deps NAME`; delete the older folder if it is still there.",
    find=_find,
)
