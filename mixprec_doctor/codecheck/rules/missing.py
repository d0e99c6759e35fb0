"""MP801, MP802 and MP803: what an import asks for is not in the release, or only something that stands in for it."""

from __future__ import annotations

__all__ = ["EXPLANATIONS", "judge_import"]

from collections.abc import Iterator

from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Lost, Standing, follow
from mixprec_doctor.codecheck.needs import ImportNeed, Target
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Severity


def judge_import(need: ImportNeed, facts: ReleaseFacts) -> Iterator[Fault]:
    """What an import lacks in a release."""
    found = follow(need.target, facts)
    if isinstance(found, Standing):
        yield Fault(
            code="MP803", spot=need.spot, severity=Severity.WARNING, subject=str(need.target),
            summary=f"{found.name} of {need.target.module} is a placeholder: {found.text}",
            cause="the import succeeds, and what it gives does not work",
        )  # fmt: skip
    elif isinstance(found, Lost):
        yield lost_import(need, found)


def lost_import(need: ImportNeed, lost: Lost) -> Fault:
    """The fault of an import whose chain ends early."""
    built = tuple(f"{each} is built on it" for each in need.builds)
    package = need.target.package
    if lost.what == "module":
        wanted = Target(need.target.module, need.target.path)
        inner = f", so {need.target.path[0]} cannot be imported from it" if need.target.path else ""
        deeper = f" ({need.target.module} lies below it)" if lost.module != need.target.module else ""
        return Fault(
            code="MP801", spot=need.spot, severity=Severity.ERROR, subject=need.target.module,
            summary=f"{package} has no module {lost.module}{inner}", cause=deeper.strip(" ()"),
            evidence=built, raises="ModuleNotFoundError", wanted=wanted, what="module", statement=need.statement,
        )  # fmt: skip
    plain = f"{lost.module} has no {lost.name}"
    return Fault(
        code="MP802", spot=need.spot, severity=Severity.ERROR, subject=f"{lost.module}.{lost.name}",
        summary=plain, cause="" if lost.text == plain else lost.text, evidence=built, raises="ImportError",
        wanted=need.target, what="name",
    )  # fmt: skip


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code="MP801",
        title="a module that the release does not have",
        promise="The code imports a module that is not in the release.",
        explanation=(
            "Every import of the package is looked up in the source of the release; nothing is imported. An import in "
            "a function fails when that is called. One that a `try` takes is a warning where the handler falls back to "
            "something else, and one that only a type checker sees never is more. Of a ladder of imports each rung is "
            "tried in its order: a ladder of which one works is fine. Where a condition asks for the version, for a "
            "module or for an attribute, only the branch counts that this release takes. The rest of the package is "
            "searched for a module of the same last name and for the names that are wanted of it."
        ),
        example="`from vllm.model_executor.model_loader.loader import DefaultModelLoader`; it is in `default_loader`.",
        cure="Import from where the finding says; `mixprec check --fix` does it where only one thing can be meant.",
    ),
    Explanation(
        code="MP802",
        title="a name that the module does not have",
        promise="The code imports a name that the module does not define, import or make in this release.",
        explanation=(
            "Names are followed through re-exports, star imports and lazy tables of the package. A name that only "
            "running could bind, through `globals()` or a compiled module, is never denied."
        ),
        example="`from vllm.config import ModelConfig`, in a release in which it is called otherwise.",
        cure="Import from where the finding says, or use `mixprec_doctor.load`, which asks for the role, not the path.",
    ),
    Explanation(
        code="MP803",
        title="a name under which a placeholder stands",
        promise="The import succeeds, but what it gives is None, Any or a hollow class.",
        explanation=(
            "Packages put something in place of what could not be imported on this machine, or what a build leaves "
            "out. The import then tells nothing; the first use fails."
        ),
        example="`AWQMarlinConfig = None` in an `except ImportError`.",
        cure="Use a release that has the real one, or install what its import needs.",
    ),
)
