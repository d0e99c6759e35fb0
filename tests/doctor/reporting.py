"""Reports for tests of the forms: one of every kind of finding."""

from __future__ import annotations

from mixprec_doctor.records.environment import Distribution, Environment, InstalledEngine, Interpreter
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.report import EngineStatus, Report
from tests.doctor.conftest import LAPTOP

SITE = "/srv/env/lib/python3.11/site-packages"
CLASH = Finding(
    code="MP401",
    severity=Severity.ERROR,
    engine="vllm",
    summary="torchvision 0.28.0 is a CUDA build, torch 2.13.0 a CPU build",
    cause="its library: cannot be loaded, 100% of the time",
    evidence=(f"{SITE}/torchvision/_C.so needs libc10_cuda.so",),
    remedy=Remedy(text="remove it", commands=("/srv/env/bin/python -m pip uninstall -y torchvision",)),
    subjects=("torchvision",),
)
FOLLOWER = Finding(
    code="MP204", severity=Severity.ERROR, summary="importing this needs torchvision", subjects=("torchvision",), follows="MP401"
)  # fmt: skip
MOVED = Finding(
    code="MP203",
    severity=Severity.WARNING,
    summary="sglang 0.5.3 has no module sglang.gone",
    evidence=("jobs/serve.py, line 7: from sglang.gone import x",),
    subjects=("sglang.gone",),
)
NOTE = Finding(code="MP107", severity=Severity.INFO, summary="vllm requires torchaudio: not installed", engine="vllm")


def report_of(*findings: Finding, checks: tuple[str, ...] | None = None) -> Report:
    """A report with some findings, about an environment with vLLM."""
    return Report(
        target=Environment(
            interpreter=Interpreter(
                executable="/srv/env/bin/python", version="3.11.7", implementation="cpython", platform="linux-x86_64"
            ),
            prefix="/srv/env",
            site_paths=(SITE,),
            distributions=(
                Distribution(
                    name="vllm",
                    version="0.32.0",
                    location=SITE,
                    metadata=f"{SITE}/vllm-0.32.0.dist-info",
                    packages=("vllm",),
                ),
            ),
        ),
        machine=LAPTOP,
        engines=(
            EngineStatus(
                engine=InstalledEngine(engine="vllm", version="0.32.0", distribution="vllm", root=f"{SITE}/vllm"),
                usable=None,
            ),
        ),
        roles=(),
        findings=findings,
        seconds=0.25,
        checks=checks,
    )
