"""What those codes of `mixprec check` mean that are about the project alone, whatever the release."""

from __future__ import annotations

__all__ = ["LADDER", "MISWRITTEN", "PROJECT_EXPLANATIONS", "UNUSED"]

from mixprec_doctor.records.explanation import Explanation

LADDER = "MP880"
UNUSED = "MP890"
MISWRITTEN = "MP891"

PROJECT_EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code=LADDER,
        title="a ladder of imports over releases",
        promise="One class of an engine is imported from several places, one `try` inside of another or after it.",
        explanation=(
            "Each rung of such a ladder is right for some releases, and the next move of the class needs another one. "
            "Where all rungs fail, nobody hears why. `mixprec_doctor.load` finds the class by what it is for, in any "
            "release, and says what is missing where it cannot be had. This is a note, and never written by `--fix`: "
            "`load` raises where a ladder often ends in `None`."
        ),
        example=(
            "`try: from vllm.a import GPTQConfig` and `except ImportError: from vllm.b import AutoGPTQConfig as "
            "GPTQConfig`."
        ),
        cure='Write `GPTQConfig = mixprec_doctor.load("gptq.config", engine="vllm")`, or leave the ladder as it is.',
    ),
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
