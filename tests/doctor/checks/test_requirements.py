"""Requirements that are not met are judged by what an import takes."""

from __future__ import annotations

from dataclasses import replace

from mixprec_doctor.checks import find_check
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.usercode.code import read_code
from tests.doctor.conftest import LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG

SERVER = "sglang/srt/entrypoints/http_server.py"


def sglang(fake: FakeEnvironment, *requires: str, server: str = "", version: str = "0.5.3") -> None:
    fake.install("sglang", version, files={**SGLANG, SERVER: server + SGLANG[SERVER]}, requires=requires)


def findings(fake: FakeEnvironment, code: str, *, asked: str | None = None) -> list[Finding]:
    patient = fake.patient()
    if asked is not None:
        patient = replace(patient, code=read_code(asked, patient.environment, LAPTOP))
    return list(find_check(code).find(patient))


def commands(finding: Finding) -> tuple[str, ...]:
    return finding.remedy.commands if finding.remedy else ()


def test_what_the_server_imports_is_an_error_and_the_rest_is_noted(fake: FakeEnvironment) -> None:
    sglang(
        fake, "numpy", "IPython>=8", "torch; extra == 'srt'", "tomli; python_version < '3.11'", "torchvision",
        server="import numpy as np\nfrom IPython.display import HTML\n",
    )  # fmt: skip
    error, note = findings(fake, "MP107")
    assert (error.severity, note.severity) == (Severity.ERROR, Severity.INFO)
    assert "IPython, numpy: not installed" in error.summary
    assert commands(error) == ("python -m pip install 'numpy' 'IPython>=8'",)
    assert "torchvision" in note.summary
    assert error.subjects == ("sglang",)


def test_a_guarded_import_makes_no_error(fake: FakeEnvironment) -> None:
    sglang(fake, "uvloop", server="try:\n    import uvloop\nexcept ImportError:\n    uvloop = None\n")
    assert [each.severity for each in findings(fake, "MP107")] == [Severity.INFO]


def test_an_import_in_a_docstring_is_none(fake: FakeEnvironment) -> None:
    sglang(fake, "uvloop", server='"""Use it so:\n\nimport uvloop\n"""\n')
    assert [each.severity for each in findings(fake, "MP107")] == [Severity.INFO]


def test_code_that_does_not_import_it_makes_no_warning(fake: FakeEnvironment) -> None:
    sglang(fake, "uvloop", server="import uvloop\n")
    assert [each.severity for each in findings(fake, "MP107", asked="import sglang")] == [Severity.INFO]
    asked = "import sglang.srt.entrypoints.http_server"
    assert [each.severity for each in findings(fake, "MP107", asked=asked)] == [Severity.WARNING]


def test_an_excluded_version_that_has_all_that_is_taken_is_only_noted(fake: FakeEnvironment) -> None:
    sglang(fake, "openai==1.99.1", server="from openai.types import Chat\n")
    fake.install("openai", "3.54.0", files={"openai/__init__.py": "", "openai/types.py": "class Chat: ..."})
    (found,) = findings(fake, "MP108")
    assert found.severity is Severity.INFO
    assert "all that sglang imports from them is there" in found.summary
    assert commands(found) == ("python -m pip install 'openai==1.99.1'",)


def test_an_excluded_version_without_a_name_that_is_taken_breaks(fake: FakeEnvironment) -> None:
    sglang(fake, "openai==1.99.1", server="from openai.types import (\n    Chat,  # the old one\n    Kept,\n)\n")
    fake.install("openai", "3.54.0", files={"openai/__init__.py": "", "openai/types.py": "class Kept: ..."})
    (found,) = findings(fake, "MP108")
    assert found.severity is Severity.ERROR
    assert "openai.types.Chat" in found.summary
    assert "Kept" not in found.summary


def test_an_excluded_version_without_a_module_that_is_taken_breaks(fake: FakeEnvironment) -> None:
    sglang(fake, "openai==1.99.1", server="import openai.types.responses\n")
    fake.install("openai", "3.54.0", files={"openai/__init__.py": "", "openai/types/__init__.py": ""})
    assert "imports openai.types.responses" in findings(fake, "MP108")[0].summary


def test_a_name_that_a_lazy_package_mentions_nowhere_is_gone(fake: FakeEnvironment) -> None:
    sglang(fake, "transformers==4.57.0", server="from transformers import AutoModel, AutoModelForVision2Seq\n")
    lazy = {
        "transformers/__init__.py": "from ._lazy import table\ndef __getattr__(name): return table(name)\n",
        "transformers/models/auto.py": "class AutoModel: ...\n",
    }
    fake.install("transformers", "5.1.0", files=lazy)
    (found,) = findings(fake, "MP108")
    assert "imports transformers.AutoModelForVision2Seq, which" in found.summary


def test_no_command_that_breaks_the_other_engine(fake: FakeEnvironment) -> None:
    sglang(fake, "xgrammar==0.1.24")
    fake.install("vllm", "0.16.0", requires=["xgrammar==0.2.8"])
    fake.install("xgrammar", "0.2.8")
    (found,) = findings(fake, "MP108")
    assert commands(found) == ()
    assert found.remedy is not None
    assert "vllm 0.16.0 requires xgrammar==0.2.8" in found.remedy.text


def outlines(fake: FakeEnvironment, core: str) -> None:
    text = "from outlines_core.fsm import Guide\n"
    fake.install("outlines", "0.1.11", files={"outlines/__init__.py": text}, requires=["outlines_core==0.1.26"])
    fake.install("outlines_core", "0.2.14", files={"outlines_core/__init__.py": "", **{core: "class Guide: ..."}})


def test_packages_that_an_engine_uses_and_that_break_each_other(fake: FakeEnvironment) -> None:
    outlines(fake, "outlines_core/guide.py")
    sglang(fake, "outlines==0.1.11", server="import outlines\n")
    (found,) = findings(fake, "MP115")
    assert (found.severity, found.subjects) == (Severity.ERROR, ("outlines",))
    assert "outlines_core==0.1.26" in found.summary
    assert "0.2.14" in found.summary


def test_what_an_engine_imports_late_is_a_warning(fake: FakeEnvironment) -> None:
    outlines(fake, "outlines_core/guide.py")
    sglang(fake, "outlines==0.1.11")
    assert [each.severity for each in findings(fake, "MP115")] == [Severity.WARNING]


def test_packages_that_do_not_fit_and_work_are_noted_and_others_are_not_looked_at(fake: FakeEnvironment) -> None:
    outlines(fake, "outlines_core/fsm.py")
    assert findings(fake, "MP115") == []
    sglang(fake, "outlines==0.1.11")
    assert [each.severity for each in findings(fake, "MP115")] == [Severity.INFO]


def test_a_package_that_the_engine_wants_in_another_version_goes_back_to_that(fake: FakeEnvironment) -> None:
    outlines(fake, "outlines_core/guide.py")
    sglang(fake, "outlines==0.1.10", server="import outlines\n")
    assert commands(findings(fake, "MP115")[0]) == ("python -m pip install 'outlines==0.1.10'",)
