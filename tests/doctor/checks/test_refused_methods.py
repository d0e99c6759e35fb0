"""MP215: the function that answers for a method is worked out for each name in its table."""

from __future__ import annotations

from mixprec_doctor.checks import find_check
from mixprec_doctor.records.finding import Severity
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import SGLANG

HOME = "sglang/srt/layers/quantization/__init__.py"
TABLES = """
try:
    from vllm.quantization import Marlin
    VLLM_AVAILABLE = True
except ImportError:
    VLLM_AVAILABLE = False
    Marlin = object
OWN = {"fp8": object}
BORROWED = {"marlin": Marlin, "gguf": Marlin}
METHODS = {**OWN, **BORROWED}

def get_quantization_config(quantization):
    if quantization not in METHODS:
        raise ValueError(f"Invalid quantization method: {quantization}")
    if quantization in BORROWED and not VLLM_AVAILABLE:
        raise ValueError(f"{quantization} quantization requires some operators from vllm")
    return METHODS[quantization]
"""


def found(fake: FakeEnvironment, text: str) -> list[str]:
    fake.install("sglang", "0.5.3", files={**SGLANG, HOME: text})
    findings = list(find_check("MP215").find(fake.patient()))
    assert all(each.severity is Severity.INFO for each in findings)
    return [each.summary for each in findings]


def test_methods_that_the_lookup_refuses_are_named(fake: FakeEnvironment) -> None:
    assert found(fake, TABLES) == ["sglang lists these methods and refuses them here: marlin, gguf"]


def test_nothing_is_refused_where_the_import_behind_the_flag_works(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={"vllm/__init__.py": "", "vllm/quantization.py": "class Marlin: ...\n"})
    assert found(fake, TABLES) == []


def test_a_flag_that_reading_does_not_decide_refuses_nothing(fake: FakeEnvironment) -> None:
    undecided = TABLES.replace("VLLM_AVAILABLE = False", "VLLM_AVAILABLE = probe_the_machine()")
    assert found(fake, undecided) == []


def test_an_entry_that_is_added_later_is_no_method_that_is_missing(fake: FakeEnvironment) -> None:
    assert found(fake, TABLES + "METHODS['late'] = object\n") == [
        "sglang lists these methods and refuses them here: marlin, gguf"
    ]
