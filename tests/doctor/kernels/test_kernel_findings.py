"""MP510 to MP512 and the section of the report, over choices that are made here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixprec_doctor.checks import Patient, run_checks, select_checks
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Timing, Verdict
from mixprec_doctor.records.workload import LinearShape
from mixprec_doctor.reports import Page, render_report
from tests.doctor.reporting import report_of

GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)
MISSING = "operator _C::cpu_gemm_wna16 is not in vllm/_C_AVX2.abi3.so"
TIMES = (Timing(rows=1, seconds=2.0, plain_seconds=1.0), Timing(rows=256, seconds=3.0, plain_seconds=1.0))


def native(
    name: str, accepted: bool | None, *reasons: str, proof: Proof | None = None, foreseen: bool = False
) -> Verdict:
    return Verdict(
        candidate=name, tier=Tier.NATIVE, accepted=accepted, reasons=reasons, module=f"vllm.kernels.{name.lower()}",
        proof=proof, foreseen=foreseen,
    )  # fmt: skip


def portable(*, accepted: bool = True, proof: Proof | None = None) -> Verdict:
    reasons = () if accepted else ("works on cuda, not on rocm",)
    return Verdict(candidate="portable int4", tier=Tier.PORTABLE, accepted=accepted, reasons=reasons, proof=proof)


def proof(kernel: str, fault: str | None = None) -> Proof:
    return Proof(kernel=kernel, method="GPTQLinearMethod", fault=fault, error=0.004, bound=0.02, timings=TIMES)


def choice(
    *verdicts: Verdict, inputs: int = 576, modules: tuple[str, ...] = ("model.layers.0.mlp.up_proj",)
) -> KernelChoice:
    shape = LinearShape(inputs=inputs, outputs=(1536,), full_inputs=inputs, full_outputs=(1536,))
    return KernelChoice(engine="vllm", format=GPTQ, shape=shape, dtype="bfloat16", verdicts=verdicts, modules=modules)


def findings(*choices: KernelChoice) -> list[Finding]:
    report = report_of()
    patient = Patient(environment=report.target, machine=report.machine, kernels=choices)
    return list(run_checks(patient, select_checks(select=("MP51",))))


def test_a_kernel_without_its_operator_is_told_once_for_all_shapes() -> None:
    alike = [choice(native("CPUWNA16", False, MISSING), portable(), inputs=inputs) for inputs in (576, 1536)]
    (finding,) = findings(*alike)
    assert (finding.code, finding.severity) == ("MP510", Severity.WARNING)
    assert "CPUWNA16" in finding.summary and "portable int4" in finding.summary
    assert finding.evidence == (f"CPUWNA16: {MISSING}",)
    assert finding.subjects == ("vllm.kernels.cpuwna16",)


def test_a_kernel_that_computes_wrong_is_told_with_what_its_place_costs() -> None:
    wrong = native("Marlin", False, proof=proof("Marlin", "error 45%, at most 2% is right"))
    (finding,) = findings(choice(wrong, portable(proof=proof("portable int4"))))
    assert finding.code == "MP510"
    assert "portable int4: 2.0 times as long as 16 bits at 1 row" in finding.evidence
    assert "portable int4: 3.0 times as long as 16 bits at 256 rows" in finding.evidence


def test_a_kernel_that_the_engine_itself_refuses_is_no_finding() -> None:
    assert findings(choice(native("Machete", False, "needs compute capability 9.0"), native("Marlin", True))) == []


def test_a_broken_kernel_behind_the_winner_is_no_finding() -> None:
    assert findings(choice(native("Marlin", True), native("CPUWNA16", False, MISSING), portable())) == []


@pytest.mark.parametrize("left", [(), (Verdict(candidate="placeholder", tier=Tier.PLACEHOLDER, accepted=True),)])
def test_a_format_without_any_kernel_is_an_error_with_every_reason(left: tuple[Verdict, ...]) -> None:
    (finding,) = findings(choice(native("Marlin", False, "only on CUDA"), portable(accepted=False), *left))
    assert (finding.code, finding.severity) == ("MP511", Severity.ERROR)
    assert finding.evidence == ("Marlin: only on CUDA", "portable int4: works on cuda, not on rocm")
    assert finding.remedy is not None and "model.layers.0.mlp.up_proj" in finding.summary


def test_what_was_tried_unasked_is_only_noted() -> None:
    """``--verify`` without a mixture tries each format; nobody needs to serve them all."""
    replaced = choice(native("CPUWNA16", False, MISSING), portable(), modules=())
    unserved = choice(native("Marlin", False, "only on CUDA"), portable(accepted=False), modules=())
    assert [(each.code, each.severity) for each in findings(replaced, unserved)] == [
        ("MP510", Severity.INFO),
        ("MP511", Severity.INFO),
    ]


def test_a_kernel_that_is_very_slow_is_told_in_these_words() -> None:
    slow = native("Torch", False, "works, and takes 30 times as long", proof=proof("Torch"))
    (finding,) = findings(choice(slow, portable(proof=proof("portable int4"))))
    assert "Torch of vllm is very slow here" in finding.summary
    assert "Torch: works, and takes 30 times as long" in finding.evidence


def test_a_kernel_that_reading_did_not_foresee_is_noted() -> None:
    used = native("Exllama", True, proof=proof("Exllama"))
    (finding,) = findings(choice(used, native("Marlin", True, foreseen=True), portable()))
    assert (finding.code, finding.severity) == ("MP512", Severity.INFO)
    assert "takes Exllama" in finding.summary and "not Marlin" in finding.summary


def test_what_reading_left_open_was_not_foreseen_otherwise() -> None:
    used = native("Exllama", True, proof=proof("Exllama"))
    assert findings(choice(used, native("Conch", None, "not known"), native("Marlin", True, foreseen=True))) == []


def test_without_choices_nothing_is_found() -> None:
    assert findings() == []


def test_the_text_says_what_serves_and_why_not_those_before() -> None:
    report = replace(report_of(), kernels=(choice(native("CPUWNA16", False, MISSING), portable(proof=proof("x"))),))
    text = render_report(report, "text", Page(width=100))
    assert "Kernels of vllm" in text
    assert "✓ gptq-int4-g64: portable int4 (mixprec's own, tried)" in text
    assert f"not CPUWNA16: {MISSING}" in text
    assert "error 0.40%" in text and "1 row: 2.00 times 16 bits" in text


def test_the_text_fits_forty_columns() -> None:
    report = replace(report_of(), kernels=(choice(native("CPUWNA16", False, MISSING), portable(proof=proof("x"))),))
    lines = render_report(report, "text", Page(width=40)).splitlines()
    section = lines[lines.index("Kernels of vllm") : lines.index("Findings")]
    assert max(len(line) for line in section if " " in line.strip()) <= 40


def test_markdown_has_a_row_for_each_format() -> None:
    report = replace(report_of(), kernels=(choice(native("Marlin", True)),))
    assert "| vllm | gptq-int4-g64 | 1 | Marlin |  |" in render_report(report, "markdown", Page())


def test_a_choice_survives_the_way_through_json() -> None:
    one = choice(native("Marlin", True, foreseen=True, proof=proof("Marlin")), portable())
    assert KernelChoice.from_json(one.to_json()) == one
