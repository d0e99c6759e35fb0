"""Verification: what was read of an environment, really tried by its own interpreter."""

from __future__ import annotations

__all__ = ["NeedsLinux", "NoInterpreter", "settle", "usable", "verify"]

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mixprec_doctor.checks import Check
from mixprec_doctor.checks.reading_refuted import refuted_code
from mixprec_doctor.checks.tried import is_essential
from mixprec_doctor.construction import CannotConstruct, plan_call
from mixprec_doctor.errors import MixprecError
from mixprec_doctor.probe import Limits, probe
from mixprec_doctor.probe.prober import Progress
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.probe import Kind, Outcome, Probe, ProbeRequest
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.specimens import SPECIMENS
from mixprec_doctor.usercode import UserCode


class NeedsLinux(MixprecError):
    """What watches a child is only there on Linux."""

    def __init__(self, system: str) -> None:
        super().__init__(system)
        self.system = system

    def __str__(self) -> str:
        return f"--verify needs Linux (prctl(2) and /proc), this is {self.system}\n  try: --static"


class NoInterpreter(MixprecError):
    """There is a folder of packages, but no interpreter that it belongs to."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return f"{self.folder} has no interpreter of its own that could try anything\n  try: --python EXE"


def verify(
    environment: Environment,
    *,
    engines: Sequence[InstalledEngine],
    roles: Mapping[str, Sequence[Resolution]],
    code: UserCode | None,
    limits: Limits,
    progress: Progress | None = None,
) -> tuple[Probe, ...]:
    """What came of importing and constructing what was read of each engine; with code, of running that and no more.

    This imports the packages of the environment and runs the code, in processes that are gone afterwards.
    """
    if sys.platform != "linux":
        raise NeedsLinux(sys.platform)
    python = environment.interpreter.executable
    if python is None:
        raise NoInterpreter((environment.site_paths or ("the environment",))[0])
    if code is not None:
        return probe([_request_of(code)], python=python, limits=limits, progress=progress)
    probes: list[Probe] = []
    for engine in engines:
        if engine.root is not None:
            wanted = requests_of(engine.engine, roles.get(engine.engine, ()))
            probes += probe(wanted, python=python, limits=limits, progress=progress)
    return tuple(probes)


def requests_of(engine: str, resolutions: Sequence[Resolution]) -> tuple[ProbeRequest, ...]:
    """The engine's package, each module that has a role, each name there, and each config made of a specimen."""
    named = [each for each in resolutions if each.status is not Status.MISSING and each.module and each.name]
    modules = dict.fromkeys([engine, *(each.module for each in named)])
    requests: list[ProbeRequest] = []
    for module in modules:
        inside = [each for each in named if each.module == module]
        requests.append(ProbeRequest(kind=Kind.IMPORT, engine=engine, module=module))
        requests += (
            ProbeRequest(kind=Kind.NAME, engine=engine, role=each.role.value, module=module, name=each.name)
            for each in inside
        )
        requests += _constructions(engine, [each for each in inside if each.status is Status.FOUND])
    return tuple(requests)


def _constructions(engine: str, resolutions: Sequence[Resolution]) -> Iterator[ProbeRequest]:
    for each in resolutions:
        specimen = SPECIMENS.get(each.role)
        if specimen is None:
            continue
        try:
            call = plan_call(each, specimen)
        except CannotConstruct:
            continue  # what cannot be called is told by reading already
        yield ProbeRequest(
            kind=Kind.CONSTRUCT, engine=engine, role=each.role.value, module=each.module, name=each.name,
            method=call.method, arguments=call.arguments,
        )  # fmt: skip


def _request_of(code: UserCode) -> ProbeRequest:
    text = b"\n".join(code.parsed.lines).decode("utf-8", errors="replace")
    return ProbeRequest(kind=Kind.CODE, text=text, file=None if code.place == "the code" else code.place)


def settle(findings: Sequence[Finding], probes: Sequence[Probe], checks: Sequence[Check]) -> tuple[Finding, ...]:
    """The findings; errors that reading foresaw for the code and that did not come when it ran become one MP213."""
    if not any(each.request.kind is Kind.CODE and each.worked for each in probes):
        return tuple(findings)
    about_code = {check.code for check in checks if check.about_code}
    refuted = [each for each in findings if each.code in about_code and each.severity is Severity.ERROR]
    kept = [each for each in findings if each not in refuted]
    if refuted and any(check.code == "MP213" for check in checks):
        place = next((at for at, each in enumerate(kept) if each.severity is not Severity.ERROR), len(kept))
        kept.insert(place, refuted_code(refuted))
    there = {each.code for each in kept}
    return tuple(each if each.follows in there else replace(each, follows=None) for each in kept)


def usable(engine: str, probes: Sequence[Probe]) -> bool | None:
    """True when all that was asked of the engine worked, False when something that serving needs did not."""
    own = [each for each in probes if each.request.engine == engine]
    if any(not each.worked and each.outcome is not Outcome.SKIPPED and is_essential(each.request) for each in own):
        return False
    return True if own and all(each.worked for each in own) else None
