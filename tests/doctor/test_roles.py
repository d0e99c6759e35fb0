"""Roles: found in their usual place, through the registry, or by what they are."""

from __future__ import annotations

import pytest

from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import CONFIG_ROLES, LINEAR_METHOD_ROLES, Role
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import LAYOUTS, UnknownEngine, find_layout
from mixprec_doctor.source import Sources
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

QUANT = "vllm/model_executor/layers/quantization"


def resolve(fake: FakeEnvironment, role: Role, files: dict[str, str], engine: str = "vllm") -> Resolution:
    fake.install(engine, files=files)
    return fake.engine(engine).role(role)


@pytest.mark.parametrize("engine, files", [("vllm", VLLM), ("sglang", SGLANG)])
def test_every_role_that_the_engine_has_is_found(fake: FakeEnvironment, engine: str, files: dict[str, str]) -> None:
    fake.install(engine, files=files)
    missing = {each.role for each in fake.engine(engine).roles() if each.status is not Status.FOUND}
    assert missing - find_layout(engine).absent.keys() == set()


def test_a_found_role_can_be_imported_and_called(fake: FakeEnvironment) -> None:
    found = resolve(fake, Role.GPTQ_LINEAR_METHOD, VLLM)
    assert found.import_line == "from vllm.model_executor.layers.quantization.gptq import GPTQLinearMethod"
    assert [each.name for each in found.parameters] == ["quant_config"]
    assert found.binding is not None
    assert (found.binding.via, found.binding.kwargs) == ("constructor", {"quant_config": "config"})


def test_a_config_is_made_by_from_config_where_it_has_that_door(fake: FakeEnvironment) -> None:
    binding = resolve(fake, Role.GPTQ_CONFIG, VLLM).binding
    assert binding is not None
    assert (binding.via, binding.kwargs) == ("from_config", {"config": "config"})


def test_a_config_without_the_door_is_made_by_keyword(fake: FakeEnvironment) -> None:
    source = "class GPTQConfig:\n def __init__(self, weight_bits, group_size, odd, full_config=None): ...\n"
    binding = resolve(fake, Role.GPTQ_CONFIG, {**VLLM, f"{QUANT}/gptq.py": source}).binding
    assert binding is not None
    assert binding.kwargs == {"weight_bits": "bits", "group_size": "group_size", "full_config": "config"}
    assert binding.unfilled == ("odd",)


def test_a_renamed_config_is_found_through_the_registry(fake: FakeEnvironment) -> None:
    files = {path.replace("/gptq.py", "/auto_gptq.py"): text for path, text in VLLM.items()}
    files = {path: _renamed(text) for path, text in files.items()}
    found = resolve(fake, Role.GPTQ_CONFIG, files)
    assert (found.module, found.name) == ("vllm.model_executor.layers.quantization.auto_gptq", "AutoGPTQConfig")
    assert found.tried[0].fault == "no module named vllm.model_executor.layers.quantization.gptq"


def test_a_renamed_linear_method_is_what_its_config_makes(fake: FakeEnvironment) -> None:
    files = {path.replace("/gptq.py", "/auto_gptq.py"): _renamed(text) for path, text in VLLM.items()}
    assert resolve(fake, Role.GPTQ_LINEAR_METHOD, files).name == "AutoGPTQLinearMethod"


def test_a_registry_inside_a_function_is_read_too(fake: FakeEnvironment) -> None:
    files = {path.replace("/gptq.py", "/auto_gptq.py"): _renamed(text) for path, text in VLLM.items()}
    files[f"{QUANT}/__init__.py"] = (
        "def get_quantization_config(quantization):\n from .auto_gptq import AutoGPTQConfig\n"
        " return {'gptq': AutoGPTQConfig}[quantization]\n"
    )
    assert resolve(fake, Role.GPTQ_CONFIG, files).name == "AutoGPTQConfig"


def test_a_config_in_no_registry_is_known_by_its_name(fake: FakeEnvironment) -> None:
    files = {path.replace("/gptq.py", "/auto_gptq.py"): _renamed(text) for path, text in VLLM.items()}
    files[f"{QUANT}/__init__.py"] = ""
    assert resolve(fake, Role.GPTQ_CONFIG, files).name == "AutoGPTQConfig"


def test_a_class_that_moved_elsewhere_is_found(fake: FakeEnvironment) -> None:
    files = {path: text for path, text in VLLM.items() if "model_loader" not in path}
    files["vllm/brand_new/place.py"] = "class DefaultModelLoader: ..."
    assert resolve(fake, Role.DEFAULT_LOADER, files).module == "vllm.brand_new.place"


def test_a_homonym_outside_the_serving_engine_is_not_it(fake: FakeEnvironment) -> None:
    files = {path: text for path, text in SGLANG.items() if "server_args" not in path}
    files["sglang/multimodal_gen/server_args.py"] = "class ServerArgs: ..."
    assert resolve(fake, Role.SERVER_ARGS, files, "sglang").status is Status.MISSING


def test_a_renamed_base_is_the_base_of_its_subclass(fake: FakeEnvironment) -> None:
    files = {path: text.replace("LinearBase", "LayerRoot") for path, text in VLLM.items()}
    assert resolve(fake, Role.LINEAR_BASE, files).name == "LayerRoot"


def test_a_missing_role_says_every_path_tried(fake: FakeEnvironment) -> None:
    files = {path: text for path, text in VLLM.items() if "plugins" not in path}
    missing = resolve(fake, Role.PLUGIN_HOOK, files)
    assert (missing.status, missing.module) == (Status.MISSING, None)
    assert [attempt.path for attempt in missing.tried][:1] == ["vllm.plugins.load_general_plugins"]
    assert all(attempt.fault for attempt in missing.tried)


def test_a_placeholder_is_reported_as_one(fake: FakeEnvironment) -> None:
    text = "try:\n from absent import GPTQLinearMethod\nexcept ImportError:\n GPTQLinearMethod = object\n"
    files = {**VLLM, f"{QUANT}/gptq.py": text}
    found = resolve(fake, Role.GPTQ_LINEAR_METHOD, files)
    assert (found.status, found.condition) == (Status.PLACEHOLDER, "no module named absent")


def test_a_name_of_the_wrong_kind_is_refused(fake: FakeEnvironment) -> None:
    found = resolve(fake, Role.SERVER_ARGS, {**VLLM, "vllm/engine/arg_utils.py": "def EngineArgs(): ..."})
    assert found.status is Status.MISSING
    assert "is not a class" in {attempt.fault for attempt in found.tried}


def test_symbols_name_every_module_that_offers_them(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM)
    found = fake.engine("vllm").symbol("LoadConfig")
    assert [each.module for each in found.defined] == ["vllm.config.load"]
    assert [(each.module, each.how.value) for each in found.importable] == [
        ("vllm.config", "reexport"),
        ("vllm.config.load", "definition"),
    ]


def test_an_unknown_symbol_gives_the_nearest(fake: FakeEnvironment) -> None:
    fake.install("vllm", files=VLLM)
    found = fake.engine("vllm").symbol("GPTQMarlin24Config")
    assert (found.defined, found.importable) == ((), ())
    assert "vllm.model_executor.layers.quantization.gptq_marlin.GPTQMarlinConfig" in found.nearest


def test_layouts_name_roles_once_and_unknown_engines_are_refused() -> None:
    for layout in LAYOUTS:
        assert layout.usual.keys() | layout.absent.keys() == set(Role)
    with pytest.raises(UnknownEngine, match="known: vllm, sglang"):
        find_layout("triton")


def test_role_groups_follow_their_names() -> None:
    assert Role.FP8_CONFIG in CONFIG_ROLES
    assert Role.FP8_LINEAR_METHOD in LINEAR_METHOD_ROLES
    assert (Role.GPTQ_MARLIN_CONFIG.method, Role.LOAD_CONFIG.method) == ("gptq_marlin", None)


def _renamed(text: str) -> str:
    """GPTQ renamed as vLLM did it, its marlin sibling left alone."""
    for name in ("GPTQConfig", "GPTQLinearMethod"):
        text = text.replace(name, f"Auto{name}")
    return text.replace("quantization.gptq import", "quantization.auto_gptq import")


def test_a_namesake_in_another_engine_of_the_package_never_stands_for_the_engines_own(fake: FakeEnvironment) -> None:
    elsewhere = "sglang/multimodal_gen/runtime/layers/quantization/__init__.py"
    files = {**SGLANG, elsewhere: "class Fp8Config: ...\nclass OnlyThere: ...\n"}
    fake.install("sglang", files=files)
    source = fake.engine("sglang")
    assert [each.module for each in source.symbol("Fp8Config").defined] == ["sglang.srt.layers.quantization.fp8"]
    assert source.role(Role.FP8_CONFIG).module == "sglang.srt.layers.quantization.fp8"
    there = ["sglang.multimodal_gen.runtime.layers.quantization"]
    assert [each.module for each in source.symbol("OnlyThere").defined] == there
    lazily = EngineSource(Sources.of_folder(fake.site), find_layout("sglang"), thorough=False)
    assert [each.module for each in lazily.symbol("OnlyThere").defined] == there


def test_only_a_thorough_search_reads_all_of_a_package(fake: FakeEnvironment) -> None:
    fake.install("sglang", files={**SGLANG, "sglang/srt/utils/odd_corner.py": "class Corner: ...\n"})
    for thorough, found in ((True, ["sglang.srt.utils.odd_corner"]), (False, [])):
        source = EngineSource(Sources.of_folder(fake.site), find_layout("sglang"), thorough=thorough)
        assert [each.module for each in source.symbol("Corner").defined] == found
