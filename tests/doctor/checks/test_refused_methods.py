"""MP215: the function that answers for a method is worked out for each name in its table."""

from __future__ import annotations

from mixprec_doctor.checks import find_check
from mixprec_doctor.records.finding import Finding, Severity
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


def findings_of(fake: FakeEnvironment, text: str) -> list[Finding]:
    fake.install("sglang", "0.5.3", files={**SGLANG, HOME: text})
    return list(find_check("MP215").find(fake.patient()))


def found(fake: FakeEnvironment, text: str) -> list[str]:
    findings = findings_of(fake, text)
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


def test_the_methods_that_work_without_it_are_named_too(fake: FakeEnvironment) -> None:
    (finding,) = findings_of(fake, TABLES)
    assert finding.evidence[0] == "it gives: fp8"


def test_the_release_that_the_message_asks_for_is_the_one_to_install(fake: FakeEnvironment) -> None:
    asking = TABLES.replace("operators from vllm", "operators from vllm. Please `pip install vllm==0.9.0.1`")
    (finding,) = findings_of(fake, asking)
    assert finding.remedy is not None
    assert [each.rpartition(" -m ")[2] for each in finding.remedy.commands] == ["pip install 'vllm==0.9.0.1'"]


def test_without_one_the_remedy_is_to_ask_about_the_method(fake: FakeEnvironment) -> None:
    (finding,) = findings_of(fake, TABLES)
    assert finding.remedy is not None
    assert "get_quantization_config('marlin')" in finding.remedy.commands[0]


def test_what_portable_kernels_serve_meanwhile_is_said_where_they_serve_it(fake: FakeEnvironment) -> None:
    (finding,) = findings_of(fake, TABLES)
    assert not any("meanwhile" in each for each in finding.evidence)
    (finding,) = findings_of(fake, TABLES.replace('{"marlin": Marlin', '{"gptq": Marlin, "marlin": Marlin'))
    assert finding.evidence[-1] == "in a mixture on sglang, mixprec's portable kernels serve gptq meanwhile"
