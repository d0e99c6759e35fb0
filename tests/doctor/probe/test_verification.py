"""What `mixprec doctor --verify` makes of an environment whose packages were really imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from mixprec_doctor import examine
from mixprec_doctor.checks.tried import subjects
from mixprec_doctor.cli.doctor import doctor
from mixprec_doctor.probe.limits import usual_memory
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.probe import Fault, Kind, Outcome, Probe, ProbeRequest
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports import render_report
from mixprec_doctor.verification import NoInterpreter
from tests.doctor.conftest import LAPTOP
from tests.doctor.engines import VLLM
from tests.doctor.probe.conftest import Victim

_QUANT = "vllm/model_executor/layers/quantization"
_TRIED = ["MP210", "MP211", "MP212", "MP213", "MP214", "MP304"]


def install(victim: Victim, changed: Mapping[str, str] | None = None) -> None:
    """A small vLLM, some of its files changed."""
    for path, text in {**VLLM, **(changed or {})}.items():
        victim.write(path, text)
    victim.write("vllm-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: vllm\nVersion: 1.0\n")
    victim.write("vllm-1.0.dist-info/RECORD", "".join(f"{path},,\n" for path in VLLM))


def verified(victim: Victim, *, code: str | None = None, limit: float = 60.0) -> Report:
    """The report of what was tried."""
    return examine(python=victim.python, machine=LAPTOP, code=code, verify=True, verify_limit=limit)


def tried(report: Report) -> list[Finding]:
    """Its findings about what was tried."""
    return [each for each in report.findings if each.code in _TRIED]


def test_an_engine_whose_imports_and_constructions_work_is_proven(victim: Victim) -> None:
    install(victim)
    report = verified(victim)
    assert tried(report) == []
    assert [each.usable for each in report.engines] == [True]
    assert report.verified
    assert {each.request.kind for each in report.probes} == {Kind.IMPORT, Kind.NAME, Kind.CONSTRUCT}
    made = [
        each for each in report.probes if each.request.role == "gptq.config" and each.request.kind is Kind.CONSTRUCT
    ]
    assert [(each.outcome, each.observed and each.observed.name) for each in made] == [(Outcome.WORKED, "GPTQConfig")]


def test_the_document_has_every_probe_and_the_text_says_verified(victim: Victim) -> None:
    install(victim)
    report = verified(victim)
    document = json.loads(render_report(report, "json"))
    assert document["verified"] is True
    assert document["engines"][0]["usable"] is True
    assert (document["probes"][0]["asked"], document["probes"][0]["outcome"]) == ("import vllm", "worked")
    text = render_report(report, "text")
    assert "(verified, " in text.splitlines()[-1]
    count = len(report.probes)
    assert f"✓ vllm: {count} of {count} imports, names and constructions worked" in text
    static = json.loads(render_report(examine(python=victim.python, machine=LAPTOP), "json"))
    assert (static["verified"], static["probes"]) == (False, None)


def test_a_package_that_does_not_import_is_one_error_and_the_rest_is_not_tried(victim: Victim) -> None:
    install(victim, {"vllm/__init__.py": "import math\nmath.sqrt(-1)\n"})
    report = verified(victim)
    (found,) = tried(report)
    assert (found.code, found.severity) == ("MP210", Severity.ERROR)
    assert found.summary == "import vllm fails when it is really tried: ValueError: math domain error"
    assert any(f"{victim.site}/vllm/__init__.py:2" in each for each in found.evidence)
    assert report.engines[0].usable is False
    assert {each.outcome for each in report.probes[1:]} == {Outcome.SKIPPED}


def test_imports_that_fail_for_one_reason_are_one_finding(victim: Victim) -> None:
    lacking = {f"{_QUANT}/{name}.py": f"import ghost_kernels\n{VLLM[f'{_QUANT}/{name}.py']}" for name in ("fp8", "awq")}
    install(victim, lacking)
    victim.write("ghost_kernels/__init__.py", "raise ImportError('kernels refuse')\n")
    report = verified(victim)
    (found,) = tried(report)
    assert (found.code, found.severity) == ("MP210", Severity.ERROR)  # the registry imports them all
    assert "kernels refuse" in found.summary
    assert "fails alike" in found.evidence[-1]


def test_a_crash_in_one_format_costs_that_format_only(victim: Victim) -> None:
    registry = VLLM[f"{_QUANT}/__init__.py"].replace(
        "from vllm.model_executor.layers.quantization.awq_marlin import", "#"
    )
    crash = f"import os\nos.abort()\n{VLLM[f'{_QUANT}/awq_marlin.py']}"
    install(victim, {f"{_QUANT}/__init__.py": registry.replace(', "awq_marlin": AWQMarlinConfig', ""),
                     f"{_QUANT}/awq_marlin.py": crash})  # fmt: skip
    report = verified(victim)
    (found,) = tried(report)
    assert (found.code, found.severity) == ("MP211", Severity.WARNING)
    assert found.summary.endswith("awq_marlin: the process died of an abort (SIGABRT)")
    assert "awq_marlin.config" in found.cause
    assert report.engines[0].usable is None
    lost = {each.request.role for each in report.probes if each.outcome is Outcome.SKIPPED}
    assert lost == {"awq_marlin.config", "awq_marlin.linear_method"}


def test_a_hang_says_how_to_give_more_time(victim: Victim) -> None:
    install(victim, {"vllm/__init__.py": "import time\ntime.sleep(1000)\n"})
    (found,) = tried(verified(victim, limit=2.0))
    assert found.code == "MP211"
    assert found.remedy is not None
    assert found.remedy.commands == ("mixprec doctor --verify --time-limit 10",)


def test_a_class_that_is_replaced_at_import_time_is_a_disagreement(victim: Victim) -> None:
    text = VLLM[f"{_QUANT}/fp8.py"]
    install(
        victim,
        {f"{_QUANT}/fp8.py": f"{text}\nglobals()['Fp8' + 'Config'].__init__ = lambda self, scheme, block: None\n"},
    )
    (found,) = tried(verified(victim))
    assert (found.code, found.severity) == ("MP213", Severity.WARNING)
    assert found.evidence == (
        "fp8.config: reading says Fp8Config(weight_bits, group_size), Python Fp8Config(scheme, block)",
    )


def test_a_config_that_wants_a_gpu_is_only_noted_and_one_that_does_not_bind_is_a_warning(victim: Victim) -> None:
    gptq = VLLM[f"{_QUANT}/gptq.py"]
    refusing = gptq.replace('return cls(config["bits"], config["group_size"])', "raise RuntimeError('no GPU')")
    install(victim, {f"{_QUANT}/gptq.py": refusing})
    report = verified(victim)
    (found,) = tried(report)
    assert (found.code, found.severity) == ("MP304", Severity.INFO)
    assert "RuntimeError: no GPU" in found.summary
    assert report.engines[0].usable is None
    other = f"{gptq}\nglobals()['GPTQ' + 'Config'].from_config = staticmethod(lambda config, layer: None)\n"
    install(victim, {f"{_QUANT}/gptq.py": other})
    found = next(each for each in tried(verified(victim)) if each.code == "MP304")
    assert found.severity is Severity.WARNING


def test_code_that_fails_without_warning_is_told_with_its_line(victim: Victim) -> None:
    victim.write("shop/__init__.py", "def sell(count):\n    return 1 / (count - count)\n")
    (found,) = tried(verified(victim, code="import shop\nshop.sell(3)"))
    assert (found.code, found.severity) == ("MP212", Severity.ERROR)
    assert found.summary == "the code fails when it is really run: ZeroDivisionError: division by zero"
    assert found.evidence[0] == "the code, line 2: shop.sell(3)"


def test_a_failure_that_was_read_stands_above_the_real_one(victim: Victim) -> None:
    report = verified(victim, code="import ghost")
    codes = [(each.code, each.follows) for each in report.findings if each.severity is Severity.ERROR]
    assert codes[0] == ("MP204", None)
    assert codes[-1][0] == "MP212"


def test_code_runs_as_python_would_run_it(victim: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local.py").write_text("here = True\n")
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "deep" / "job.py"
    script.parent.mkdir()
    lines = (
        "import sys\nassert __name__ == '__main__' and __import__('local').here\n"
        "assert sys.argv == ['-c'] and sys.path[0] == ''\n"
    )
    assert tried(verified(victim, code=lines)) == []
    script.write_text("import sys\nassert __file__ == sys.argv[0]\nassert sys.path[0].endswith('deep')\nsys.exit(0)\n")
    assert tried(verified(victim, code=f"@{script}")) == []
    script.write_text("import sys\nsys.exit('not today')\n")
    (found,) = tried(verified(victim, code=f"@{script}"))
    assert found.summary.endswith("the process ended itself with code 1")


def test_an_error_that_was_read_and_did_not_come_is_taken_back(victim: Victim) -> None:
    victim.write("conjured.pth", "import sys, types; sys.modules['ghost'] = types.ModuleType('ghost')\n")
    report = verified(victim, code="import ghost")
    (found,) = tried(report)
    assert (found.code, found.severity) == ("MP213", Severity.WARNING)
    assert found.evidence == ("MP204: ghost: not installed",)
    assert [each.code for each in report.findings if each.severity is Severity.ERROR] == []


def test_static_mode_runs_nothing_of_the_code(victim: Victim, tmp_path: Path) -> None:
    proof = tmp_path / "it-ran"
    examine(python=victim.python, machine=LAPTOP, code=f"import pathlib\npathlib.Path({str(proof)!r}).touch()")
    assert not proof.exists()


def test_what_there_was_no_time_for_is_told(victim: Victim) -> None:
    slow = {
        path: f"import time\ntime.sleep(1000)\n{text}" for path, text in VLLM.items()
        if path.startswith(("vllm/config/load", "vllm/engine", "vllm/plugins", "vllm/entrypoints"))
    }  # fmt: skip
    slow[f"{_QUANT}/base_config.py"] = "import time\ntime.sleep(1000)\n" + VLLM[f"{_QUANT}/base_config.py"]
    install(victim, slow)
    report = verified(victim, limit=1.0)
    assert any(each.code == "MP214" for each in report.findings)
    assert report.seconds < 30


def test_a_folder_without_an_interpreter_cannot_be_tried(victim: Victim, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(NoInterpreter, match="--python EXE"):
        examine(site_packages=target, machine=LAPTOP, verify=True)


@pytest.mark.parametrize(
    "options", [["--static", "--verify"], ["--time-limit", "5"], ["--verify", "--time-limit", "0"]]
)
def test_options_that_do_not_go_together_are_misuse(options: list[str]) -> None:
    assert CliRunner().invoke(doctor, options).exit_code == 2


def test_memory_is_bounded_by_the_machine_and_by_its_control_group(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    assert usual_memory(proc=tmp_path, groups=tmp_path) == 700 * 1024
    (tmp_path / "memory.max").write_text("1024\n")
    assert usual_memory(proc=tmp_path, groups=tmp_path) == 921
    assert usual_memory(proc=tmp_path / "none", groups=tmp_path / "none") is None


@pytest.mark.parametrize("name, path, subject", [
    ("_C", "/env/lib/python3.11/site-packages/vllm/_C.abi3.so", "vllm._C"),
    ("_fast", "/usr/lib/python3/dist-packages/a/b/_fast.cpython-311-x86_64-linux-gnu.so", "a.b._fast"),
    ("a.b", "/env/lib/python3.11/site-packages/a/b.py", "a.b"),
    ("_C", None, "_C"),
])  # fmt: skip
def test_a_compiled_module_that_does_not_load_is_named_in_full(name: str, path: str | None, subject: str) -> None:
    fault = Fault(
        type="RuntimeError", message="on top", cause=Fault(type="ImportError", message="m", about=name, path=path)
    )
    request = ProbeRequest(kind=Kind.IMPORT, engine="vllm", module="vllm.anything")
    assert subjects(Probe(request=request, outcome=Outcome.RAISED, fault=fault)) == (subject,)
