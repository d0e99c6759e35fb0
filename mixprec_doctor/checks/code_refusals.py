"""MP208: a call in the code that its function refuses here, whatever its documentation lists."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.blame import blame_of
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.source.exports import Found
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.certainty import certain_calls, may_alter
from mixprec_doctor.usercode.code import MAIN
from mixprec_doctor.usercode.refusals import Refusal, find_refusal
from mixprec_doctor.usercode.scopes import calls_and_meanings


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    if code is None:
        return
    certain = set(map(id, certain_calls(code)))
    for call, found in calls_and_meanings(code.parsed, code.exports):
        if id(call) not in certain or not isinstance(found, Found) or found.module.startswith(MAIN):
            continue
        refusal = find_refusal(call, found, code.exports)
        if refusal is not None and not may_alter(code, refusal, call):
            line = f"{code.place}, line {call.lineno}: {code.line(call)}"
            yield _finding(refusal, line, code, patient)


def _finding(refusal: Refusal, line: str, code: UserCode, patient: Patient) -> Finding:
    package = refusal.module.partition(".")[0]
    blame, flag = None, ", ".join(refusal.names)
    for name in refusal.names:
        if (swallowed := code.swallowed(refusal.module, name)) is not None:
            blame, flag = blame_of(swallowed, code, patient), name
            break
    place = f"{refusal.module}, line {refusal.line}"
    return Finding(
        code="MP208",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"{refusal.function} refuses this call here: {refusal.exception}: {refusal.message}",
        cause=f"{flag} decides that in {place}; {blame.cause}"
        if blame
        else f"what is tested before {place} ({_decided_by(refusal)}) comes out so here",
        evidence=(line, *(blame.evidence if blame else ())),
        remedy=blame.remedy if blame else Remedy(text="give it what it accepts: the message lists that, or its source"),
        subjects=(refusal.module, *(blame.subjects if blame else ())),
    )


def _decided_by(refusal: Refusal) -> str:
    return ", ".join((*refusal.arguments, *refusal.names)) or "nothing"


CHECK = Check(
    code="MP208",
    title="A call that is refused here",
    promise="The code calls something that raises at once, because of what is installed or of the arguments given.",
    explanation=(
        "Only with `--code`. Engines list methods that they then refuse: `get_quantization_config('gptq')` of SGLang "
        "0.4.7 raises unless a dozen imports from vLLM all succeed. The tests at the beginning of what is called "
        "are worked out for the arguments that stand in the code; where a flag that an `except ImportError` set "
        "decides them, the import that really failed is named, and what mends it. The advice in the engine's own "
        "message can be wrong: it asks for vLLM also where vLLM is installed."
    ),
    example="`get_quantization_config('gptq')` with SGLang 0.4.7 and vLLM 0.10.1, which has no `aqlm` any more.",
    cure="Run the command that the finding shows; it mends the import that fails, not the one in the message.",
    find=_find,
    about_code=True,
    explains=("MP107", "MP108", "MP115"),
)
