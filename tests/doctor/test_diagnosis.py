"""A pasted log is held against the environment: which finding explains it, or that nothing does."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.cli.main import group
from mixprec_doctor.diagnosis import diagnose
from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.diagnosis import Diagnosis
from mixprec_doctor.redaction import Secrets
from mixprec_doctor.reports.diagnoses import render_diagnosis
from mixprec_doctor.reports.page import Page
from tests.doctor.conftest import LAPTOP, FakeEnvironment
from tests.doctor.engines import VLLM


def traceback(*lines: str, error: str) -> str:
    return "Traceback (most recent call last):\n" + "".join(f"  {line}\n" for line in lines) + f"{error}\n"


@pytest.fixture
def vllm(fake: FakeEnvironment) -> FakeEnvironment:
    """vLLM, whose package imports two things that are not there."""
    fake.install("vllm", "0.32.0", files={**VLLM, "vllm/needy.py": "import cloudpickle\nimport zmq\n"})
    return fake


def explain(log: str, fake: FakeEnvironment) -> Diagnosis:
    return diagnose(log, site_packages=fake.site, machine=LAPTOP, offline=True)


def codes(diagnosis: Diagnosis) -> list[str]:
    return [each.finding.code for each in diagnosis.findings]


def test_one_missing_module_leads_to_all_that_the_import_lacks(vllm: FakeEnvironment) -> None:
    log = traceback(
        'File "/srv/job.py", line 1, in <module>', "  import vllm.needy",
        f'File "{vllm.site}/vllm/needy.py", line 1, in <module>', "  import cloudpickle",
        error="ModuleNotFoundError: No module named 'cloudpickle'",
    )  # fmt: skip
    diagnosis = explain(log, vllm)
    assert codes(diagnosis) == ["MP204"]
    assert "zmq" in diagnosis.findings[0].finding.summary
    assert diagnosis.findings[0].certain
    assert (diagnosis.asked, diagnosis.where) == ("import vllm.needy", "vllm 0.32.0")
    assert diagnosis.exit_code() is ExitCode.FINDINGS


def test_a_name_that_moved_is_found_where_it_is_now(vllm: FakeEnvironment) -> None:
    error = "ImportError: cannot import name 'Fp8Config' from 'vllm.config' (unknown location)"
    [each] = explain(traceback('File "<stdin>", line 1, in <module>', error=error), vllm).findings
    assert each.finding.code == "MP203"
    assert "asked about: from vllm.config import Fp8Config" in each.finding.evidence
    assert any("vllm.model_executor.layers.quantization.fp8" in text for text in each.finding.evidence)


def test_a_refused_keyword_is_held_against_the_installed_signature(vllm: FakeEnvironment) -> None:
    error = "TypeError: Fp8Config.__init__() got an unexpected keyword argument 'bits_of_weights'"
    [each] = explain(traceback('File "<stdin>", line 1, in <module>', error=error), vllm).findings
    assert each.finding.code == "MP302"
    assert "bits_of_weights" in each.finding.summary


def test_a_library_built_for_cuda_explains_its_missing_operators(fake: FakeEnvironment) -> None:
    fake.install_torch()
    record = {"torchvision/__init__.py": "", "torchvision/version.py": "cuda = '13.0'\n__version__ = '0.28.0'\n"}
    fake.install("torchvision", "0.28.0+cu130", files=record)
    log = traceback(
        f'File "{fake.site}/torchvision/_meta_registrations.py", line 163, in <module>', "  @register_fake('x')",
        error="RuntimeError: operator torchvision::nms does not exist",
    )  # fmt: skip
    assert "MP401" in codes(explain(log, fake))


def test_what_nothing_explains_is_said_plainly(vllm: FakeEnvironment) -> None:
    diagnosis = explain(traceback('File "/srv/job.py", line 1, in f', "  assert x", error="AssertionError"), vllm)
    assert (diagnosis.findings, diagnosis.faults) == ((), ())
    assert diagnosis.exit_code() is ExitCode.CLEAN
    assert "· nothing that mixprec knows explains this" in render_diagnosis(diagnosis, "text", secrets=Secrets())


def test_errors_about_other_things_are_counted_and_not_blamed(fake: FakeEnvironment) -> None:
    diagnosis = explain(traceback('File "/srv/job.py", line 1, in f', "  assert x", error="AssertionError"), fake)
    assert (diagnosis.findings, diagnosis.others) == ((), 1)  # no engine there
    assert "an error of its own, about other things" in render_diagnosis(diagnosis, "text", secrets=Secrets())


def test_a_fault_of_the_surroundings_is_told_by_its_words(vllm: FakeEnvironment) -> None:
    error = "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"
    diagnosis = explain(traceback('File "/srv/job.py", line 1, in f', "  serve()", error=error), vllm)
    assert [fault.name for fault in diagnosis.faults] == ["port-in-use"]
    assert diagnosis.exit_code() is ExitCode.FINDINGS
    assert "      ss -ltnp 'sport = :8000'" in render_diagnosis(diagnosis, "text", secrets=Secrets()).splitlines()


def test_a_fault_is_told_without_a_traceback_too(vllm: FakeEnvironment) -> None:
    diagnosis = explain("INFO: starting\nERROR: [Errno 98] address already in use\n", vllm)
    assert (diagnosis.raised, [fault.name for fault in diagnosis.faults]) == (None, ["port-in-use"])


def test_a_text_without_a_failure_gives_nothing_to_examine(vllm: FakeEnvironment) -> None:
    assert explain("INFO: all is well\n", vllm).exit_code() is ExitCode.NOTHING_EXAMINED


def test_the_log_of_another_environment_is_noticed(vllm: FakeEnvironment) -> None:
    log = traceback(
        'File "/other/env/lib/python3.11/site-packages/vllm/needy.py", line 1, in <module>', "  import cloudpickle",
        error="ModuleNotFoundError: No module named 'cloudpickle'",
    )  # fmt: skip
    diagnosis = explain(log, vllm)
    assert diagnosis.elsewhere == "/other/env/lib/python3.11/site-packages"
    text = render_diagnosis(diagnosis, "text", secrets=Secrets())
    assert "mixprec explain FILE --site-packages /other/env/lib/python3.11/site-packages" in text
    own = log.replace("/other/env/lib/python3.11/site-packages", str(vllm.site))
    assert explain(own, vllm).elsewhere is None


def test_secrets_of_a_log_are_not_repeated(vllm: FakeEnvironment) -> None:
    error = "RuntimeError: 401 for https://ada:hunter22@host/x?token=abcdef with hf_AbCdEfGh12345678 and s3cr3t-value"
    diagnosis = explain(traceback('File "/home/ada/job.py", line 1, in f', "  f()", error=error), vllm)
    for name in ("text", "json"):
        text = render_diagnosis(diagnosis, name, secrets=Secrets.of({"MY_TOKEN": "s3cr3t-value", "HOME": "/home/ada"}))
        for secret in ("hunter22", "abcdef", "hf_AbCdEfGh12345678", "s3cr3t-value"):
            assert secret not in text


def test_json_is_the_document_of_the_contract(vllm: FakeEnvironment) -> None:
    error = "ImportError: cannot import name 'Fp8Config' from 'vllm.config' (unknown location)"
    diagnosis = explain(traceback('File "<stdin>", line 1, in <module>', error=error), vllm)
    document = json.loads(render_diagnosis(diagnosis, "json", secrets=Secrets()))
    assert document["schema"] == "mixprec.explain/1"
    assert document["explained"] is True
    assert document["exception"]["type"] == "ImportError"
    assert [each["code"] for each in document["findings"]] == ["MP203"]
    assert document["traces"][0]["chain"][0]["frames"][0]["file"] == "<stdin>"


@pytest.mark.parametrize("width", [40, 80])
def test_the_text_fits_the_page_except_what_must_stay_whole(vllm: FakeEnvironment, width: int) -> None:
    error = "ImportError: cannot import name 'Fp8Config' from 'vllm.config' (unknown location)"
    diagnosis = explain(traceback('File "<stdin>", line 1, in <module>', error=error), vllm)
    for line in render_diagnosis(diagnosis, "text", Page(width=width), secrets=Secrets()).splitlines():
        longest = max(len(word) for word in [*line.split(), ""])
        assert len(line) <= max(width, longest + 8) or line.startswith("      ")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mixprec", *map(str, arguments)])
    return run_command_line(group, name="mixprec")


LOG = traceback('File "<stdin>", line 1, in <module>', error="ModuleNotFoundError: No module named 'vllm.gone'")


def test_the_command_reads_a_file_or_standard_input(
    vllm: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failed.log").write_text(LOG)
    assert run(monkeypatch, "explain", tmp_path / "failed.log", "--site-packages", vllm.site, "--offline") == 1
    from_file = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOG.encode())))
    assert run(monkeypatch, "explain", "-", "--site-packages", vllm.site, "--offline") == 1
    from_stdin = capsys.readouterr().out
    assert from_file.splitlines()[:-1] == from_stdin.splitlines()[:-1]
    assert "MP203 vllm 0.32.0 has no module vllm.gone" in from_file


def test_the_command_refuses_a_log_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "explain", tmp_path / "no.log") == 2
    assert "cannot be read" in capsys.readouterr().err
    assert run(monkeypatch, "explain", tmp_path) == 2


def test_a_code_stays_a_code_beside_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MP401").write_text(LOG)
    assert run(monkeypatch, "explain", "MP401") == 0
    assert "Cure: " in capsys.readouterr().out
