"""What the codes of comments mean that speak to `mixprec check`."""

from __future__ import annotations

__all__ = ["COMMENT_EXPLANATIONS", "MISWRITTEN", "UNUSED"]

from mixprec_doctor.records.explanation import Explanation

UNUSED = "MP890"
MISWRITTEN = "MP891"

COMMENT_EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code=UNUSED,
        title="an ignore comment that ignores nothing",
        promise="A comment `# mixprec: ignore` stands where `mixprec check` finds nothing, or nothing of that code.",
        explanation=(
            "The comment was right once, for another release or before a repair. Left where it is it would hide the "
            "next fault of that line. It is told for the releases that were asked for: a comment that only another "
            "release needs is held against that release too when both are named with `--against`."
        ),
        example="`import vllm  # mixprec: ignore[MP801]`, and vllm is there.",
        cure="Take the comment away, or the code that it names and that ignores nothing.",
    ),
    Explanation(
        code=MISWRITTEN,
        title="a comment to mixprec that is not understood",
        promise="A comment begins with `# mixprec:` and is none that `mixprec check` knows, so it does nothing.",
        explanation=(
            "Known are `# mixprec: ignore`, for all findings of the line, and `# mixprec: ignore[MP801, MP811]` for "
            "some; the beginning of a code stands for all that begin so. A reason may follow. The line may be any of a "
            "statement that goes over several."
        ),
        example="`# mixprec: ignore MP801`, without brackets.",
        cure="Write it as `# mixprec: ignore[MP801]`.",
    ),
)
