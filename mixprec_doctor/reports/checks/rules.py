"""Rules: the explanations of all that `mixprec check` can find, in the order of their codes."""

from __future__ import annotations

__all__ = ["RULES"]

from mixprec_doctor.project.explanations import COMMENT_EXPLANATIONS
from mixprec_doctor.records.explanation import Explanation

RULES: tuple[Explanation, ...] = COMMENT_EXPLANATIONS
