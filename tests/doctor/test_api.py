"""The Python API: load, construct and resolve, against small engines that really can be imported."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import mixprec_doctor
from mixprec_doctor import api
from mixprec_doctor.api import NoEngine, RoleName, SeveralEngines, TwoTargets, UnknownRole
from mixprec_doctor.construction import plan_call
from mixprec_doctor.records.resolution import Resolution, Status, SymbolResolution
from mixprec_doctor.records.role import CONFIG_ROLES, Role
from mixprec_doctor.resolving.layout import UnknownEngine
from mixprec_doctor.resolving.vocabulary import checkpoint_method, known_keys
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

ROOT = Path(__file__).parents[2]
QUANT = "vllm/model_executor/layers/quantization"
GPTQ = """
from vllm.model_executor.layers.quantization.base_config import LinearMethodBase, QuantizationConfig
class GPTQConfig(QuantizationConfig):
    def __init__(self, w_bits, inserted=None, group_size=128):
        self.given = dict(w_bits=w_bits, inserted=inserted, group_size=group_size)
    @classmethod
    def from_config(cls, config):
        made = cls(config["bits"], group_size=config.get("group_size", 64))
        made.config = config
        return made
class GPTQLinearMethod(LinearMethodBase):
    def __init__(self, setup: GPTQConfig, prefix: str = ""):
        self.setup, self.prefix = setup, prefix
"""


@pytest.fixture
def importable(fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEnvironment]:
    """An environment whose packages the running interpreter imports, and that is forgotten afterwards."""
    engines = ("vllm", "sglang")
    for name in [name for name in sys.modules if name.partition(".")[0] in engines]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(fake.site))
    yield fake
    for name in [name for name in sys.modules if name.partition(".")[0] in engines]:
        del sys.modules[name]


def with_gptq(importable: FakeEnvironment, source: str = GPTQ) -> None:
    importable.install("vllm", files={**VLLM, f"{QUANT}/gptq.py": source})


def test_a_role_is_loaded_as_the_class_itself(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    found = mixprec_doctor.load("gptq.config", engine="vllm")
    assert (found.__module__, found.__name__) == ("vllm.model_executor.layers.quantization.gptq", "GPTQConfig")
    assert mixprec_doctor.load(Role.GPTQ_CONFIG) is found


def test_functions_and_tables_are_loaded_too(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    registry = mixprec_doctor.load("quantization_registry")
    assert mixprec_doctor.load("get_quantization_config")("fp8") is registry["fp8"]


def test_resolving_imports_nothing_of_the_engine(importable: FakeEnvironment) -> None:
    importable.install("vllm", files={path: f"raise SystemExit\n{text}" for path, text in VLLM.items()})
    found = mixprec_doctor.resolve("fp8.config")
    assert (found.status, found.name) == (Status.FOUND, "Fp8Config")
    assert not [name for name in sys.modules if name.partition(".")[0] == "vllm"]


def test_a_name_of_the_engine_gives_its_symbol_record(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    found = mixprec_doctor.resolve("Fp8Config")
    assert isinstance(found, SymbolResolution)
    assert [each.module for each in found.defined] == ["vllm.model_executor.layers.quantization.fp8"]
    assert isinstance(mixprec_doctor.resolve("load_config"), Resolution)  # the role, not a name of that spelling


def test_another_environment_is_read_by_its_folder(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM)
    assert mixprec_doctor.resolve(Role.GPTQ_CONFIG, site_packages=fake.site).name == "GPTQConfig"


def test_two_environments_at_once_are_refused(fake: FakeEnvironment) -> None:
    with pytest.raises(TwoTargets, match="give one of them"):
        mixprec_doctor.resolve("fp8.config", python=sys.executable, site_packages=fake.site)


def test_nothing_is_read_twice(importable: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gptq(importable)
    reads: list[object] = []
    read = api.read_environment
    monkeypatch.setattr(api, "read_environment", lambda target: reads.append(target) or read(target))
    first = mixprec_doctor.load("gptq.config")
    assert [mixprec_doctor.load("gptq.config"), mixprec_doctor.load("gptq.config", engine="vllm")] == [first, first]
    assert mixprec_doctor.resolve("fp8.config") is mixprec_doctor.resolve("fp8.config")
    assert len(reads) == 1


def test_an_engine_installed_later_is_seen(importable: FakeEnvironment) -> None:
    with pytest.raises(NoEngine, match="has no sglang"):
        mixprec_doctor.resolve("fp8.config", engine="sglang")
    importable.install("sglang", files=SGLANG)
    assert mixprec_doctor.resolve("fp8.config", engine="sglang").status is Status.FOUND


def test_without_an_engine_the_error_says_so(fake: FakeEnvironment) -> None:
    with pytest.raises(NoEngine, match=r"has no vllm or sglang\n  try: name another environment"):
        mixprec_doctor.resolve("fp8.config", site_packages=fake.site)


def test_of_two_engines_one_has_to_be_named(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM)
    fake.install("sglang", files=SGLANG)
    with pytest.raises(SeveralEngines, match="has vllm and sglang\n  try: engine='vllm' or engine='sglang'"):
        mixprec_doctor.resolve("fp8.config", site_packages=fake.site)
    assert mixprec_doctor.resolve("fp8.config", engine="sglang", site_packages=fake.site).engine == "sglang"


def test_an_unknown_engine_is_refused_with_those_known() -> None:
    with pytest.raises(UnknownEngine, match="known: vllm, sglang"):
        mixprec_doctor.load("fp8.config", engine="triton")


@pytest.mark.parametrize("call", [mixprec_doctor.load, mixprec_doctor.construct])
def test_an_unknown_role_names_near_ones(call: object) -> None:
    with pytest.raises(UnknownRole, match=r"no role 'fp8\.confg'\n  near: fp8\.config"):
        call("fp8.confg")  # type: ignore[operator]
    with pytest.raises(UnknownRole, match="near: default_loader"):
        call("default_loadr")  # type: ignore[operator]


def test_a_role_with_a_dot_that_is_none_is_no_symbol() -> None:
    with pytest.raises(UnknownRole, match=r"near: fp8\.config"):
        mixprec_doctor.resolve("fp8.confg")


def test_a_missing_role_shows_every_path_tried(importable: FakeEnvironment) -> None:
    importable.install("vllm", files={path: text for path, text in VLLM.items() if "plugins" not in path})
    with pytest.raises(mixprec_doctor.UnresolvedRole) as caught:
        mixprec_doctor.load("plugin_hook")
    assert "this release has it under no name" in str(caught.value)
    assert "tried vllm.plugins.load_general_plugins: no module named vllm.plugins" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  our own bytes


def test_a_placeholder_is_never_returned(importable: FakeEnvironment) -> None:
    with_gptq(importable, "try:\n from absent import GPTQConfig\nexcept ImportError:\n GPTQConfig = object\n")
    for call in (mixprec_doctor.load, mixprec_doctor.construct):
        with pytest.raises(mixprec_doctor.UnresolvedRole, match="is a placeholder: no module named absent"):
            call("gptq.config")  # type: ignore[operator]


def test_an_import_that_fails_says_its_root_cause(importable: FakeEnvironment) -> None:
    importable.write(
        "helper.py",
        "try:\n import absent_thing\nexcept ImportError as fault:\n raise RuntimeError('no kernels') from fault\n",
    )
    with_gptq(importable, f"import helper\n{GPTQ}")
    with pytest.raises(mixprec_doctor.UnresolvedRole) as caught:
        mixprec_doctor.load("gptq.config")
    assert caught.value.resolution.status is Status.FOUND
    assert "from vllm.model_executor.layers.quantization.gptq import GPTQConfig fails" in str(caught.value)
    assert caught.value.cause == (
        "RuntimeError: no kernels; the root of it is ModuleNotFoundError: No module named 'absent_thing'"
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_engine_that_exits_while_it_is_imported_does_not_end_the_process(importable: FakeEnvironment) -> None:
    with_gptq(importable, f"{GPTQ}\nraise SystemExit(9)\n")
    with pytest.raises(mixprec_doctor.UnresolvedRole, match="SystemExit: 9"):
        mixprec_doctor.load("gptq.config")


@pytest.mark.parametrize("after, words", [
    ("del gptq.GPTQConfig", "the module was imported and has no GPTQConfig"),
    ("gptq.GPTQConfig = None", "None stands there, a placeholder"),
])  # fmt: skip
def test_what_the_import_leaves_behind_is_looked_at(importable: FakeEnvironment, after: str, words: str) -> None:
    with_gptq(importable)
    registry = f"{QUANT}/__init__.py"
    importable.write(registry, f"{VLLM[registry]}\nfrom . import gptq\n{after}\n")
    with pytest.raises(mixprec_doctor.UnresolvedRole, match=words):
        mixprec_doctor.load("gptq.config")


def test_a_condition_that_does_not_hold_leaves_a_placeholder(importable: FakeEnvironment) -> None:
    with_gptq(
        importable,
        f"class Hollow: ...\nGPTQConfig = Hollow\nimport os\nif os.environ.get('NEVER_SET_HERE'):\n{indented(GPTQ)}",
    )
    assert mixprec_doctor.resolve("gptq.config").condition == "os.environ.get('NEVER_SET_HERE')"
    with pytest.raises(mixprec_doctor.UnresolvedRole, match=r"Hollow'> stands there, a placeholder unless os\.environ"):
        mixprec_doctor.load("gptq.config")


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_a_config_is_built_through_from_config(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    made = mixprec_doctor.construct("gptq.config", bits=4, sym=True)
    assert made.given == {"w_bits": 4, "inserted": None, "group_size": 64}
    assert made.config == {"bits": 4, "sym": True, "quant_method": "gptq"}  # nothing else is filled in


def test_the_method_that_was_given_is_kept(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    assert (
        mixprec_doctor.construct("gptq.config", bits=4, quant_method="gptqmodel").config["quant_method"] == "gptqmodel"
    )


def test_a_config_without_from_config_is_built_by_keyword(importable: FakeEnvironment) -> None:
    source = (
        "class GPTQConfig:\n def __init__(self, weight_bits, full_config, group_size=128, odd=None):\n"
        "  self.given = (weight_bits, full_config, group_size, odd)\n"
    )
    with_gptq(importable, source)
    made = mixprec_doctor.construct("gptq.config", bits=4, odd="x")
    assert made.given == (4, {"bits": 4, "odd": "x"}, 128, "x")
    with pytest.raises(mixprec_doctor.CannotConstruct, match=r"missing: bits \(fills weight_bits\)"):
        mixprec_doctor.construct("gptq.config", group_size=64)


def test_a_linear_method_takes_its_config_under_the_name_of_the_release(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    config = mixprec_doctor.construct("gptq.config", bits=4)
    made = mixprec_doctor.construct("gptq.linear_method", config=config, prefix="q_proj")
    assert (made.setup, made.prefix) == (config, "q_proj")
    assert mixprec_doctor.construct("unquantized.linear_method") is not None


def test_every_fault_of_a_call_is_told_at_once(importable: FakeEnvironment) -> None:
    with_gptq(importable, GPTQ.replace("cls, config", "cls, config, device"))
    with pytest.raises(mixprec_doctor.CannotConstruct) as caught:
        mixprec_doctor.construct("gptq.config", bitz=4, nonsense=1)
    assert caught.value.faults == (
        "unknown: bitz (near: bits)",
        "unknown: nonsense",
        "missing: bits (fills w_bits)",
        "nothing to give for: device (required by this release)",
    )
    assert "this release has: GPTQConfig(w_bits, inserted=None, group_size=128)" in str(caught.value)
    assert "called through: GPTQConfig.from_config(config)" in str(caught.value)
    assert not [name for name in sys.modules if name.partition(".")[0] == "vllm"]  # refused before it was imported


def test_what_a_release_newly_requires_can_be_given_by_name(importable: FakeEnvironment) -> None:
    with_gptq(importable, GPTQ.replace("cls, config", "cls, config, device").replace("prefix: str = ''", "prefix"))
    made = mixprec_doctor.construct("gptq.config", bits=4, device="cpu")
    assert made.config == {"bits": 4, "quant_method": "gptq"}


def test_faults_of_a_linear_method_are_told_at_once(importable: FakeEnvironment) -> None:
    with_gptq(importable, GPTQ.replace("setup: GPTQConfig, prefix: str = ", "setup: GPTQConfig, rank, prefix: str = "))
    with pytest.raises(mixprec_doctor.CannotConstruct) as caught:
        mixprec_doctor.construct("gptq.linear_method", quant_config=1)
    assert caught.value.faults == (
        "unknown: quant_config (near: config)",
        "missing: config (this release takes it as setup)",
        "nothing to give for: rank (required by this release)",
    )


def test_what_is_no_config_or_linear_method_is_loaded_and_not_constructed(importable: FakeEnvironment) -> None:
    with_gptq(importable)
    with pytest.raises(mixprec_doctor.CannotConstruct, match="only configs and linear methods"):
        mixprec_doctor.construct("default_loader")


@pytest.mark.parametrize("role", sorted(CONFIG_ROLES, key=lambda role: role.value))
def test_keys_that_quantizers_write_are_no_fault_where_a_release_passes_over_them(
    role: Role, fake: FakeEnvironment
) -> None:
    fake.install("sglang", files=SGLANG)
    found = fake.engine("sglang").role(role)
    meaning = dict.fromkeys(known_keys(role) | {"bits", "group_size"}, 4)
    passed = plan_call(found, meaning).arguments["config"]
    assert passed == meaning
    assert checkpoint_method(role) in {
        "gptq",
        "awq",
        "fp8",
        "blockwise_int8",
        "w8a8_int8",
        "w8a8_fp8",
        "compressed-tensors",
    }


def test_the_literal_names_are_those_of_the_roles() -> None:
    assert list(get_args(RoleName)) == [role.value for role in Role]


def test_importing_the_package_loads_nothing_until_something_is_called() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\nimport mixprec_doctor\nprint(*sorted(set(sys.modules) - before))\n"
        "assert {'load', 'construct', 'resolve'} <= set(dir(mixprec_doctor))\n"
    )
    child = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    loaded = set(child.stdout.split())
    assert {name for name in loaded if name.startswith("mixprec")} == {"mixprec_doctor", "mixprec_doctor.version"}
    assert not loaded & {"ast", "click", "importlib.metadata", "json", "packaging", "pathlib", "rich", "subprocess"}


def test_a_name_that_the_package_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        mixprec_doctor.lod  # type: ignore[attr-defined]  # noqa: B018
    assert all(getattr(mixprec_doctor, name) is not None for name in mixprec_doctor.__all__)


def test_everything_that_an_import_lacks_is_named_at_once(importable: FakeEnvironment) -> None:
    with_gptq(importable, f"import lacking_one\nfrom lacking_two.inner import thing\n{GPTQ}")
    with pytest.raises(api.UnresolvedRole) as caught:
        mixprec_doctor.load("gptq.config")
    assert [need.import_name for need in caught.value.resolution.needs or ()] == ["lacking_one", "lacking_two"]
    assert "lacking_two" in str(caught.value)
