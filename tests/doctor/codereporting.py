"""Reports of `mixprec check` for tests of its forms."""

from __future__ import annotations

from mixprec_doctor.records.codefinding import Checked, CodeFinding, CodeReport, Place, Repair, WorkingRange
from mixprec_doctor.records.finding import Finding, Remedy, Severity

VERSIONS = tuple(f"0.{minor}.0" for minor in range(10, 20))
IMPORT = "from eng.layers.gptq import GPTQConfig"


def found(
    *,
    code: str = "MP801",
    severity: Severity = Severity.ERROR,
    summary: str = "eng 0.19.0 has no module eng.layers.gptq",
    cause: str = "",
    file: str = "plugin/quant.py",
    line: int = 2,
    column: int = 6,
    end_line: int | None = None,
    end_column: int = 21,
    cell: int | None = None,
    source: str = IMPORT,
    releases: tuple[str, ...] = ("0.19.0",),
    repair: Repair | None = None,
) -> CodeFinding:
    """A fault of some code, by default a module that has moved."""
    return CodeFinding(
        finding=Finding(
            code=code,
            severity=severity,
            summary=summary,
            cause=cause,
            remedy=Remedy(text="import it from where it is"),
            subjects=("eng.layers.gptq",),
        ),
        place=Place(file=file, line=line, column=column, end_line=end_line or line, end_column=end_column, cell=cell),
        source=source,
        package="eng",
        releases=releases,
        repair=repair,
    )


def report_of(
    *findings: CodeFinding,
    versions: tuple[str, ...] = ("0.19.0",),
    unread: tuple[tuple[str, str], ...] = (),
    ranges: tuple[WorkingRange, ...] = (),
    suppressed: int = 0,
) -> CodeReport:
    """A report of three files that were held against some releases of one engine."""
    return CodeReport(
        files=3,
        checked=(Checked(package="eng", distribution="eng", versions=versions, installed=False),),
        findings=findings,
        ranges=ranges,
        unread=unread,
        suppressed=suppressed,
        seconds=0.25,
    )
