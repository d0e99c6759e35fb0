"""Imports of what a release does not have."""

from __future__ import annotations

import pytest

from tests.doctor.codecheck.conftest import Bench, told

ENGINE = {
    "config.py": "class LoadConfig: ...\n",
    "layers/fp8.py": "class Fp8Config: ...\ndef shared(): ...\n",
    "layers/new_place.py": "class MovedConfig: ...\n",
    "__init__.py": """
        import typing
        TABLE = {"LLM": ".llm"}
        def __getattr__(name: str):
            from importlib import import_module
            if name in TABLE:
                return getattr(import_module(TABLE[name], __package__), name)
            raise AttributeError(name)
        """,
    "llm.py": "class LLM:\n    def __init__(self, model): ...\n",
    "star.py": "from vllm.layers.fp8 import *\n",
    "computed.py": "globals().update({})\n",
}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import vllm.gone", "MP801"),
        ("from vllm.gone import X", "MP801"),
        ("from vllm.config import Gone", "MP802"),
        ("from vllm import Gone", "MP802"),
        ("from vllm.gone import *", "MP801"),
        ("import importlib\nimportlib.import_module('vllm.gone')", "MP801"),
        ("import vllm.config as c\ngetattr(c, 'Gone')", "MP804"),
    ],
)
def test_what_the_release_lacks_is_an_error(bench: Bench, code: str, expected: str) -> None:
    found = bench.findings(code, ENGINE)
    assert [(each.finding.code, each.finding.severity.value) for each in found] == [(expected, "error")]


@pytest.mark.parametrize(
    "code",
    [
        "import vllm.layers.fp8 as fp8\nfp8.Fp8Config",
        "from vllm.layers import fp8",
        "from vllm import LLM",
        "from vllm.star import Fp8Config",
        "from vllm.computed import Whatever",
        "import vllm\nvllm.__version__, vllm.__path__",
        "import torch.gone\nfrom somewhere import vllm",
        "from . import vllm_helpers",
    ],
)
def test_what_is_there_or_cannot_be_known_is_no_finding(bench: Bench, code: str) -> None:
    assert bench.findings(code, ENGINE) == ()


def test_names_of_one_gone_module_that_are_nowhere_are_one_finding(bench: Bench) -> None:
    (found,) = bench.findings("from vllm.gone import (\n    A,\n    B,\n)", ENGINE)
    assert "A, B cannot be imported" in found.finding.summary
    assert (found.place.line, found.place.column) == (2, 5)


def test_a_name_that_moved_is_told_with_its_place_and_can_be_written(bench: Bench) -> None:
    (found,) = bench.findings("from vllm.layers.fp8 import Fp8Config, MovedConfig", ENGINE)
    assert found.repair is not None and found.repair.certain
    assert (found.repair.old, found.repair.new) == ("vllm.layers.fp8.MovedConfig", "vllm.layers.new_place.MovedConfig")
    assert found.source[found.place.column - 1 : found.place.end_column - 1] == "MovedConfig"


def test_of_two_places_with_that_name_none_is_certain(bench: Bench) -> None:
    engine = ENGINE | {"other/new_place.py": "class MovedConfig: ...\n"}
    (found,) = bench.findings("from vllm.layers.fp8 import MovedConfig", engine)
    assert found.repair is not None and not found.repair.certain


def test_a_function_that_lies_far_away_is_not_certain_to_be_the_same(bench: Bench) -> None:
    engine = ENGINE | {"far/away.py": "def merge(): ...\n"}
    (found,) = bench.findings("from vllm.layers.fp8 import merge", engine)
    assert found.repair is not None and not found.repair.certain


def test_a_placeholder_is_a_warning(bench: Bench) -> None:
    engine = ENGINE | {"kernels.py": "try:\n    from vllm.gone import Fast\nexcept ImportError:\n    Fast = None\n"}
    assert told(bench.findings("from vllm.kernels import Fast", engine)) == [("MP803", "warning", 1)]


def test_what_took_the_place_of_a_gone_class_is_told(bench: Bench) -> None:
    quant = "model_executor/layers/quantization"
    engine = {
        f"{quant}/__init__.py": """
            from vllm.model_executor.layers.quantization.auto_awq import AutoAWQConfig
            QUANTIZATION_METHODS = ["awq"]
            def get_quantization_config(quantization):
                return {"awq": AutoAWQConfig}[quantization]
            """,
        f"{quant}/base_config.py": "class QuantizationConfig: ...\n",
        f"{quant}/auto_awq.py": """
            from vllm.model_executor.layers.quantization.base_config import QuantizationConfig
            class AutoAWQConfig(QuantizationConfig):
                @classmethod
                def get_name(cls): return "awq"
            """,
    }
    (found,) = bench.findings("from vllm.model_executor.layers.quantization.awq import AWQConfig", engine)
    assert found.repair is not None and not found.repair.certain
    assert found.repair.new.endswith("auto_awq.AutoAWQConfig")
    assert found.finding.remedy is not None and "took its place" in found.finding.remedy.text


def test_an_import_in_a_function_says_when_it_fails(bench: Bench) -> None:
    (found,) = bench.findings("class A:\n    def f(self):\n        import vllm.gone\n", ENGINE)
    assert "it fails when A.f is called" in found.finding.evidence


def test_the_classes_that_are_built_on_it_are_named(bench: Bench) -> None:
    (found,) = bench.findings("from vllm.config import Gone\nclass Mine(Gone): ...\n", ENGINE)
    assert "Mine is built on it" in found.finding.evidence


def test_a_file_that_is_no_python_is_told_and_the_others_are_read(bench: Bench) -> None:
    bench.write("import vllm.gone\ndef (:\n", "broken.py")
    assert told(bench.findings("import vllm.gone", ENGINE)) == [("MP801", "error", 1)]
    report = bench.report()
    assert [file.rpartition("/")[2] for file, _ in report.unread] == ["broken.py"]


def test_a_name_taken_over_another_file_of_the_code_is_followed(bench: Bench) -> None:
    bench.write("", "own/__init__.py")
    bench.write("from vllm.llm import LLM\n", "own/compat.py")
    bench.write("from .compat import LLM\nLLM()\n", "own/use.py")
    bench.install(ENGINE)
    (found,) = bench.report().findings
    assert (found.finding.code, found.place.file.rpartition("/")[2]) == ("MP805", "use.py")
