"""Checks in the order in which a report names their findings; adding one adds a module and a line here."""

from __future__ import annotations

__all__ = [
    "CHECKS",
    "Check",
    "Patient",
    "UnknownCode",
    "find_check",
    "register",
    "run_checks",
    "select_checks",
]

from collections.abc import Iterable, Sequence

from mixprec_doctor.checks import (
    borrowed_names,
    broken_engine,
    capabilities,
    changed_defaults,
    code_calls,
    code_imports,
    code_needs,
    code_placeholders,
    code_refusals,
    code_tried,
    companion_versions,
    construct_tried,
    cpu_features,
    cuda_companions,
    cuda_releases,
    damaged_libraries,
    dead_editables,
    duplicate_metadata,
    embedded_engine,
    engine_clash,
    foreign_wheels,
    further_requirements,
    gpu_code,
    gpu_unused,
    import_deadly,
    import_order,
    import_raises,
    import_tried,
    kernel_missing,
    kernel_replaced,
    kernel_unforeseen,
    leftovers,
    library_versions,
    little_memory,
    missing_requirements,
    missing_roles,
    missing_symbols,
    needed_libraries,
    no_engine,
    no_gpu,
    no_nvcc,
    old_driver,
    open_files,
    other_python,
    placeholder_roles,
    plugin_absent,
    reading_refuted,
    refused_methods,
    sglang_kernels,
    shadowed_engine,
    shared_memory,
    shared_packages,
    stale_metadata,
    tries_left_out,
    unfilled_arguments,
    violated_requirements,
)
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.grouping import group
from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.usercode import UserCode

_GRAVEST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_TRIED = ("MP210", "MP211", "MP212", "MP304")  # what really failed, as against what was read


class UnknownCode(MixprecError):
    """No check has that code."""

    def __init__(self, code: str, known: Sequence[str]) -> None:
        super().__init__(code, known)
        self.code = code
        self.known = tuple(known)

    def __str__(self) -> str:
        return f"no finding has the code {self.code!r}; known: {', '.join(self.known)}"


def register(*checks: Check) -> tuple[Check, ...]:
    """The checks, in order; a code that two of them claim is refused."""
    seen: set[str] = set()
    for check in checks:
        if check.code in seen:
            raise ValueError(f"two checks have the code {check.code}")
        seen.add(check.code)
    return checks


CHECKS: tuple[Check, ...] = register(
    no_engine.CHECK,
    broken_engine.CHECK,
    shared_packages.CHECK,
    duplicate_metadata.CHECK,
    leftovers.CHECK,
    engine_clash.CHECK,
    missing_requirements.CHECK,
    violated_requirements.CHECK,
    plugin_absent.CHECK,
    shadowed_engine.CHECK,
    stale_metadata.CHECK,
    dead_editables.CHECK,
    foreign_wheels.CHECK,
    sglang_kernels.CHECK,
    further_requirements.CHECK,
    embedded_engine.CHECK,
    missing_roles.CHECK,
    placeholder_roles.CHECK,
    code_imports.CHECK,
    code_needs.CHECK,
    code_placeholders.CHECK,
    borrowed_names.CHECK,
    import_order.CHECK,
    code_refusals.CHECK,
    import_raises.CHECK,
    import_tried.CHECK,
    import_deadly.CHECK,
    code_tried.CHECK,
    reading_refuted.CHECK,
    tries_left_out.CHECK,
    refused_methods.CHECK,
    unfilled_arguments.CHECK,
    code_calls.CHECK,
    changed_defaults.CHECK,
    construct_tried.CHECK,
    cuda_companions.CHECK,
    companion_versions.CHECK,
    other_python.CHECK,
    library_versions.CHECK,
    needed_libraries.CHECK,
    missing_symbols.CHECK,
    cuda_releases.CHECK,
    gpu_code.CHECK,
    damaged_libraries.CHECK,
    gpu_unused.CHECK,
    no_gpu.CHECK,
    capabilities.CHECK,
    little_memory.CHECK,
    shared_memory.CHECK,
    open_files.CHECK,
    no_nvcc.CHECK,
    cpu_features.CHECK,
    old_driver.CHECK,
    kernel_replaced.CHECK,
    kernel_missing.CHECK,
    kernel_unforeseen.CHECK,
)


def find_check(code: str) -> Check:
    """The check of a code; an unknown one is refused with those known."""
    for check in CHECKS:
        if check.code == code.upper():
            return check
    raise UnknownCode(code, [check.code for check in CHECKS])


def select_checks(*, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Check, ...]:
    """Checks by code or by the beginning of one (``MP4``); what matches nothing is refused."""
    wanted, unwanted = _prefixes(select), _prefixes(ignore)
    return tuple(
        check
        for check in CHECKS
        if (not wanted or check.code.startswith(wanted)) and not (unwanted and check.code.startswith(unwanted))
    )


def run_checks(patient: Patient, checks: Iterable[Check] = CHECKS) -> tuple[Finding, ...]:
    """Findings of the checks, gravest first; of one severity what was read before what then failed, and what is about
    the code that was asked about before the rest, otherwise in the order of the checks. Each that another explains
    comes beneath that one."""
    checks = tuple(checks)
    code = patient.code
    if code is not None:
        checks = tuple(check for check in checks if not check.about_mixprec)
    found = [(check, finding) for check in checks for finding in check.find(patient)]
    if code is not None:
        found = [each for each in found if each[0].about_code or _concerns(code, *each)]
        if any(finding.severity is Severity.ERROR for _, finding in found):  # it is explained
            found = [each for each in found if each[0].about_code or each[1].severity is not Severity.INFO]

    def rank(each: tuple[Check, Finding]) -> tuple[int, bool, bool, bool]:
        check, finding = each
        ends_it = code is not None and check.about_code and code.ends_at(finding.subjects)
        return _GRAVEST_FIRST.index(finding.severity), finding.code in _TRIED, not check.about_code, not ends_it

    found.sort(key=rank)
    explains = {check.code: check.explains for check in checks}
    for _, finding in found:  # an error that was read explains what then fails in the same place
        if finding.severity is Severity.ERROR and finding.code not in _TRIED:
            explains[finding.code] = (*explains[finding.code], *_TRIED)
    return group([finding for _, finding in found], explains, exact=_TRIED)


def _concerns(code: UserCode, check: Check, finding: Finding) -> bool:
    """Whether a finding of another check can explain what happens to the code: it is grave, or could be, and about
    what the code uses."""
    about_it = not finding.subjects or any(code.concerns(each) for each in finding.subjects)
    return about_it and (finding.severity is not Severity.INFO or check.may_explain)


def _prefixes(codes: Iterable[str]) -> tuple[str, ...]:
    prefixes = tuple(code.strip().upper() for code in codes if code.strip())
    for prefix in prefixes:
        if not any(check.code.startswith(prefix) for check in CHECKS):
            raise UnknownCode(prefix, [check.code for check in CHECKS])
    return prefixes
