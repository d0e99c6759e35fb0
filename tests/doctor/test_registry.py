"""The engine's own registry: what it gives for a method's name, in whichever shape it is written."""

from __future__ import annotations

import pytest

from mixprec_doctor.records.resolution import How, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.resolving.registry import registered_classes
from mixprec_doctor.source import Exports, Sources
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import SGLANG

HOME = "sglang/srt/layers/quantization"
MODULE = "sglang.srt.layers.quantization"
SHAPES = {
    "a table": "from .home import Kind\nQUANTIZATION_METHODS = {'gptq': Kind}\n",
    "an annotated table": "from .home import Kind\nQUANTIZATION_METHODS: dict[str, type] = {'gptq': Kind}\n",
    "a table made from another": "from .home import Kind\nBASE = {'gptq': Kind}\nQUANTIZATION_METHODS = {**BASE}\n",
    "a table inside of the function": (
        "def get_quantization_config(name):\n    from .home import Kind\n    return {'gptq': Kind}[name]\n"
    ),
    "a chain of ifs": (
        "def get_quantization_config(name):\n    if name == 'fp8':\n        return None\n"
        "    elif name in ('gptq', 'auto_gptq'):\n        from .home import Kind\n        return Kind\n"
    ),
    "an update": "from .home import Kind\nQUANTIZATION_METHODS = {}\nQUANTIZATION_METHODS.update({'gptq': Kind})\n",
}


def entries(fake: FakeEnvironment, registry: str) -> list[tuple[str | None, str | None]]:
    fake.write(f"{HOME}/home.py", "class Kind: ...\nclass Other: ...\n")
    fake.write(f"{HOME}/__init__.py", registry)
    exports = Exports(Sources.of_folder(fake.site))
    found = registered_classes(exports, MODULE, "gptq")
    return [(getattr(each.origin, "name", None), each.condition) for each in found]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_entry_is_found(fake: FakeEnvironment, shape: str) -> None:
    assert entries(fake, SHAPES[shape]) == [("Kind", None)]


@pytest.mark.parametrize("body, condition", [
    ("if is_npu():\n    QUANTIZATION_METHODS.update({'gptq': Kind})\n", "is_npu()"),
    ("if is_npu():\n    pass\nelse:\n    QUANTIZATION_METHODS['x'] = {'gptq': Kind}\n", "not (is_npu())"),
    ("if A:\n    if B:\n        QUANTIZATION_METHODS.update({'gptq': Kind})\n", "A and B"),
    ("CPU_METHODS = {'gptq': Kind}\n", "CPU_METHODS is used"),
])  # fmt: skip
def test_an_entry_that_is_there_only_sometimes_says_when(fake: FakeEnvironment, body: str, condition: str) -> None:
    assert entries(fake, f"from .home import Kind\nQUANTIZATION_METHODS = {{}}\n{body}") == [("Kind", condition)]


def test_another_method_is_no_entry(fake: FakeEnvironment) -> None:
    assert entries(fake, "from .home import Kind\nQUANTIZATION_METHODS = {'gptq_marlin': Kind}\n") == []


def test_a_class_that_the_registry_has_only_elsewhere_is_conditional(fake: FakeEnvironment) -> None:
    """As SGLang 0.5.20: the class is still there, and CUDA has no plain GPTQ any more."""
    registry = SGLANG[f"{HOME}/__init__.py"].replace('"gptq": GPTQConfig, ', "")
    later = "if is_npu():\n    QUANTIZATION_METHODS.update({'gptq': GPTQConfig})\n"
    fake.install("sglang", files={**SGLANG, f"{HOME}/__init__.py": registry + later})
    role = EngineSource(Sources.of_folder(fake.site), find_layout("sglang")).role(Role.GPTQ_CONFIG)
    assert (role.status, role.how, role.name) == (Status.FOUND, How.CONDITIONAL, "GPTQConfig")
    assert role.condition == "the registry has 'gptq' only if is_npu()"


def test_what_the_engine_takes_from_another_package_is_found_there(fake: FakeEnvironment) -> None:
    """As SGLang 0.4.0: read alone, GPTQConfig is vLLM's, and how it is called is not known."""
    home = "vllm.model_executor.layers.quantization.gptq"
    files = {path: text for path, text in SGLANG.items() if not path.endswith("/gptq.py")}
    init = files[f"{HOME}/__init__.py"].replace(f"from {MODULE}.gptq import", f"from {home} import")
    fake.install("sglang", files={**files, f"{HOME}/__init__.py": init})
    role = EngineSource(Sources.of_folder(fake.site), find_layout("sglang")).role(Role.GPTQ_CONFIG)
    assert (role.status, role.import_line) == (Status.FOUND, f"from {home} import GPTQConfig")
    assert role.condition == f"{home} can be imported"
    assert role.parameters == ()
