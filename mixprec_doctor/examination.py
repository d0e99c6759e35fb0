"""Examination: read an environment once, ask every check, hand back a Report."""

from __future__ import annotations

__all__ = ["examine"]

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mixprec_doctor.checks import Patient, run_checks, select_checks
from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.extensions import read_workload
from mixprec_doctor.machine import read_machine
from mixprec_doctor.records.codeanswer import answer_about
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.probe import Probe, ProbeRequest
from mixprec_doctor.records.release import Release
from mixprec_doctor.records.report import EngineStatus, Report
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.remedies import check_remedies
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import LAYOUTS, find_layout
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.usercode import read_code

if TYPE_CHECKING:
    from mixprec_doctor.inquiry import Inquiry


def examine(
    *,
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
    engine: str | None = None,
    code: str | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    machine: Machine | None = None,
    mix: str | os.PathLike[str] | None = None,
    verify: bool = False,
    verify_limit: float = 120.0,
    progress: Callable[[int, int, ProbeRequest], None] | None = None,
    offline: bool = False,
    told: Callable[[int, int, Release], None] | None = None,
) -> Report:
    """Examine an environment statically: nothing of it is imported, nothing is installed into it.

    Without ``python`` or ``site_packages`` it is the running interpreter's own. ``engine`` limits the
    examination to one engine; ``code`` asks what would happen to some lines of Python there (``@file`` reads them
    from a file), and what explains a failure of them comes first; ``select`` and ``ignore`` name findings by code
    or by the beginning of one; ``machine`` stands for another machine than the one that runs this.

    With ``verify`` the environment's own interpreter really imports and constructs what was read, and runs the code,
    in processes that are watched and gone afterwards; ``verify_limit`` is the seconds that each thing may take, and
    ``progress`` is told how many are done, of how many, and the one that is tried now.

    Where a finding depends on it, releases on the index that pip is set up for are read to say which of them mends it,
    and ``told`` is told of each; what the remedies install is looked up there too. With ``offline`` no index is asked.
    """
    started = time.perf_counter()
    checks = select_checks(select=select, ignore=ignore)
    environment = read_environment(
        Target(
            python=Path(python) if python is not None else None,
            site_packages=Path(site_packages) if site_packages is not None else None,
        )
    )
    engines = tuple(each for each in find_engines(environment) if engine in (None, each.engine))
    roles = _resolve(environment, engines)
    here = machine or read_machine()
    inquiry = partial(_inquiry, [], environment, told)
    patient = Patient(
        environment=environment,
        machine=here,
        engines=engines,
        roles=roles,
        wanted=engine,
        import_folders=_import_folders(),
        lend=None if offline else lambda *asked: inquiry().lend(*asked),
        changes=None if offline else lambda *asked: inquiry().changes(*asked),
        code=read_code(code, environment, here, beside=_import_folders()) if code is not None else None,
    )
    workload = read_workload(Path(mix)) if mix is not None else None
    if verify:
        patient = replace(patient, probes=_verify(patient, limit=verify_limit, progress=progress))
    if workload is not None or (verify and code is None):
        from mixprec_doctor.proving import choose_kernels

        kernels = choose_kernels(patient, workload, verify=verify, limit=verify_limit, progress=progress)
        patient = replace(patient, kernels=kernels)
    findings = run_checks(patient, checks)
    if verify:
        from mixprec_doctor.verification import settle

        findings = settle(findings, patient.probes, checks)
    findings = check_remedies(findings, environment, offline=offline)
    return Report(
        target=environment,
        machine=patient.machine,
        engines=tuple(EngineStatus(engine=each, usable=_usable(each, findings, patient.probes)) for each in engines),
        roles=tuple(resolution for resolved in roles.values() for resolution in resolved),
        findings=findings,
        code=answer_about(patient.code.place, findings, patient.probes) if patient.code is not None else None,
        kernels=patient.kernels,
        workload=workload,
        checks=tuple(check.code for check in checks),
        seconds=time.perf_counter() - started,
        verified=verify,
        probes=patient.probes,
    )


def _verify(
    patient: Patient, *, limit: float, progress: Callable[[int, int, ProbeRequest], None] | None
) -> tuple[Probe, ...]:
    from mixprec_doctor.probe import usual_limits
    from mixprec_doctor.verification import verify

    return verify(
        patient.environment,
        engines=patient.engines,
        roles=patient.roles,
        code=patient.code,
        limits=usual_limits(limit),
        progress=progress,
    )


def _inquiry(
    made: list[Inquiry], environment: Environment, told: Callable[[int, int, Release], None] | None
) -> Inquiry:
    """The one inquiry of an examination, made at the first question: it brings all that speaks to a server."""
    if not made:
        from mixprec_doctor.inquiry import Inquiry

        made.append(Inquiry(environment, told=told))
    return made[0]


def _import_folders() -> tuple[str, ...]:
    """What ``python -c`` would look into before site-packages: the working directory, then PYTHONPATH."""
    further = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = [] if os.environ.get("PYTHONSAFEPATH") else [str(Path.cwd())]  # as python -P
    return tuple(dict.fromkeys([*here, *(str(Path(each).absolute()) for each in further if each)]))


def _resolve(environment: Environment, engines: tuple[InstalledEngine, ...]) -> dict[str, tuple[Resolution, ...]]:
    """All roles of the engines whose source is there; the trees are shared, as imports between them are."""
    sources = Sources.of_environment(environment)
    known = {layout.engine for layout in LAYOUTS}
    return {
        each.engine: EngineSource(sources, find_layout(each.engine)).roles()
        for each in engines
        if each.engine in known and each.root is not None
    }


def _usable(engine: InstalledEngine, findings: tuple[Finding, ...], probes: tuple[Probe, ...]) -> bool | None:
    """False when an error is about the engine; only an examination that verifies ever proves the contrary."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if any(finding.engine == engine.engine for finding in errors):
        return False
    if not probes:
        return None
    from mixprec_doctor.verification import usable

    return usable(engine.engine, probes)
