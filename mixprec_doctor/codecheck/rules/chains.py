"""MP804: a chain such as ``module.Class.method`` names what the release does not have."""

from __future__ import annotations

__all__ = ["EXPLANATIONS", "judge_chain", "lost_chain"]

from collections.abc import Iterator

from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Lost, follow
from mixprec_doctor.codecheck.needs import Target, UseNeed
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Severity


def judge_chain(need: UseNeed, target: Target, imported: int, facts: ReleaseFacts) -> Iterator[Fault]:
    """What a chain lacks; ``imported`` of its names came with an import, which is judged by itself."""
    found = follow(target, facts)
    if isinstance(found, Lost) and found.what != "module" and found.at >= imported:
        yield lost_chain(need, target, found)


def lost_chain(need: UseNeed, target: Target, lost: Lost) -> Fault:
    """The fault of a chain that ends early."""
    return Fault(
        code="MP804", spot=need.spot, severity=Severity.ERROR, subject=f"{lost.module}.{lost.name}",
        summary=f"{need.words}: {lost.module} has no {lost.name}",
        cause="" if "has no" in lost.text else lost.text,
        raises="AttributeError",
        wanted=Target(target.module, target.path[: lost.at + 1]) if lost.what == "name" else target,
        what=lost.what,
    )  # fmt: skip


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code="MP804",
        title="an attribute that the release does not have",
        promise="A chain of names, `module.Class.method`, ends at a name that the release does not have there.",
        explanation=(
            "Chains that begin with something imported are followed through modules and into classes, with all that a "
            "class inherits. Where a base's source is not at hand, where a decorator, a metaclass or `__getattr__` may "
            "bring further attributes, and for attributes of objects nothing is said. `hasattr` and `getattr` with a "
            "default are taken as the questions that they are."
        ),
        example="`vllm.LLM.generate_text(...)`: `vllm.entrypoints.llm.LLM` has no `generate_text`.",
        cure="Use what the release has instead; the finding names where the same name is defined now, if anywhere.",
    ),
)
