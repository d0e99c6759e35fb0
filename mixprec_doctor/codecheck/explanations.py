"""What the codes mean that reading somebody's code can find; `mixprec explain` and docs/reference show these texts."""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]

from mixprec_doctor.codecheck.rules import calls, chains, missing, patches, subclasses
from mixprec_doctor.records.explanation import Explanation

EXPLANATIONS: tuple[Explanation, ...] = (
    *missing.EXPLANATIONS,
    *chains.EXPLANATIONS,
    *calls.EXPLANATIONS,
    *subclasses.EXPLANATIONS,
    *patches.EXPLANATIONS,
)
