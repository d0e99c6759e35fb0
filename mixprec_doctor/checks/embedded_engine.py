"""MP116: mixprec's own engine lacks something, where it was asked for."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.embedded import embedded_lacks
from mixprec_doctor.records.finding import Finding, Remedy, Severity

ENGINE = "torch"


def _find(patient: Patient) -> Iterator[Finding]:
    if patient.wanted != ENGINE or patient.engine(ENGINE) is None:
        return
    if lacks := embedded_lacks(patient.environment):
        yield Finding(
            code="MP116",
            severity=Severity.ERROR,
            engine=ENGINE,
            summary=f"mixprec's own engine lacks {', '.join(lacks)}",
            cause="it is PyTorch and transformers, and answers over HTTP with Starlette and Uvicorn",
            evidence=tuple(f"looked in {path}" for path in patient.environment.site_paths),
            remedy=Remedy(
                text="install what the extra `torch` of mixprec names",
                commands=(f"{installer(patient.environment)} install 'mixprec[torch]'",),
            ),
            subjects=(ENGINE,),
        )


CHECK = Check(
    code="MP116",
    title="The embedded engine is not complete",
    promise="mixprec's own engine was asked for, and the environment has torch, but not all that goes with it.",
    explanation=(
        "`mixprec launch --engine torch` serves with PyTorch and transformers. It needs a transformers of release 5, "
        "whose loading lets a quantizer bring its own tensors, Jinja2 for chat templates, and Starlette and Uvicorn "
        "for the server. The extra `torch` brings all of them."
    ),
    example="`mixprec doctor --engine torch` in an environment with torch and transformers 4.57.",
    cure="`python -m pip install 'mixprec[torch]'`.",
    find=_find,
    about_mixprec=True,
)
