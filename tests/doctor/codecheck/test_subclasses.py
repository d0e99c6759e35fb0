"""Classes of the code and what they are built on."""

from __future__ import annotations

import pytest

from tests.doctor.codecheck.conftest import Bench, told

BASE = """
    from abc import ABC, abstractmethod
    class Method(ABC):
        @abstractmethod
        def apply(self, layer, x, bias=None): ...
        @abstractmethod
        def create(self, layer, *, size): ...
        def optional(self):
            raise NotImplementedError
        @classmethod
        def named(cls): ...
        @property
        def width(self): ...
        def free(self, *args, **kwargs): ...
    class Half(Method):
        def create(self, layer, *, size): ...
    class Open(Method):
        def create(self, layer, *, size): ...
        def optional(self): ...
    class Plain:
        def step(self, a, b): ...
    def factory(): ...
    """
ENGINE = {
    "base.py": BASE,
    "runner.py": "def run(m, layer, x):\n    m.apply(layer, x, bias=1)\n    m.create(layer, size=2)\n",
}
WHOLE = "    def apply(self, layer, x, bias=None): ...\n    def create(self, layer, *, size): ...\n    def optional(self): ...\n"


def own(body: str, base: str = "Method") -> str:
    return f"from vllm.base import Half, Method, Open, Plain, factory\nclass Mine({base}):\n{body}"


@pytest.mark.parametrize(
    ("method", "severity"),
    [
        ("def apply(self, layer): ...", "error"),
        ("def apply(self, layer, x): ...", "warning"),
        ("def apply(self, layer, x, bias, more): ...", "error"),
        ("def create(self, layer): ...", "error"),
        ("def named(self): ...", "warning"),
        ("def width(self): ...", "warning"),
    ],
)
def test_an_override_that_cannot_be_called_like_its_base(bench: Bench, method: str, severity: str) -> None:
    found = bench.findings(own(f"    {method}\n"), ENGINE)
    assert [each.finding.severity.value for each in found if each.finding.code == "MP808"] == [severity]


@pytest.mark.parametrize(
    "method",
    [
        "def apply(self, layer, x, bias=None): ...",
        "def apply(self, layer, x, bias=None, more=None): ...",
        "def apply(self, *args, **kwargs): ...",
        "def create(self, layer, **words): ...",
        "def free(self, a, b): ...",
        "@classmethod\n    def named(cls): ...",
        "@staticmethod\n    def named(): ...",
        "@property\n    def width(self): ...",
        "def other(self): ...",
        "@wrapped\n    def apply(self): ...",
        "def __init__(self, anything): ...",
    ],
)
def test_an_override_that_fits_or_cannot_be_known_is_no_finding(bench: Bench, method: str) -> None:
    found = bench.findings(own(f"    {method}\n"), ENGINE)
    assert [each.finding.code for each in found if each.finding.code == "MP808"] == []


def test_a_method_that_the_code_calls_its_own_way_is_a_note(bench: Bench) -> None:
    code = own("    def apply(self, layer): ...\ndef go(m):\n    m.apply(1)\n")
    found = bench.findings(code, ENGINE)
    assert [each.finding.severity.value for each in found if each.finding.code == "MP808"] == ["info"]


def test_what_nothing_in_the_release_calls_so_is_a_note(bench: Bench) -> None:
    assert told(bench.findings(own("    def step(self, a): ...\n", "Plain"), ENGINE)) == [("MP808", "info", 3)]


def test_an_abstract_method_left_out_is_an_error_where_one_is_made(bench: Bench) -> None:
    body = "    def apply(self, layer, x, bias=None): ...\n    def optional(self): ...\n"
    assert told(bench.findings(own(body + "Mine()\n"), ENGINE)) == [("MP809", "error", 2)]
    bench.write(own(body))
    assert told(bench.report().findings) == [("MP809", "warning", 2)]


@pytest.mark.parametrize(
    "code",
    [
        own(WHOLE) + "Mine()\n",
        own("    def apply(self, layer, x, bias=None): ...\n", "Open") + "Mine()\n",
        own("    pass\n") + f"class Leaf(Mine):\n{WHOLE}Leaf()\n",
        own("    apply = create = optional = None\n") + "Mine()\n",
        "from somewhere import Mixin\n" + own("    pass\n", "Mixin, Method") + "Mine()\n",
        "class Mixin:\n" + WHOLE + own("    pass\n", "Mixin, Method") + "Mine()\n",
        own("    pass\n", "Half"),
    ],
)
def test_a_class_that_is_whole_or_abstract_or_unknown_is_no_finding(bench: Bench, code: str) -> None:
    assert [each for each in told(bench.findings(code, ENGINE)) if each[1] != "info"] == []


def test_a_method_that_only_raises_is_a_note(bench: Bench) -> None:
    body = WHOLE.replace("    def optional(self): ...\n", "")
    assert told(bench.findings(own(body) + "Mine()\n", ENGINE)) == [("MP809", "info", 2)]


def test_a_base_that_is_a_function_is_an_error(bench: Bench) -> None:
    assert told(bench.findings(own("    pass\n", "factory"), ENGINE)) == [("MP807", "error", 2)]


def test_a_method_that_the_base_no_longer_has_is_never_called(bench: Bench) -> None:
    old = bench.wheel("1.0", {"base.py": "class Plain:\n    def gone(self): ...\n    def kept(self): ...\n"})
    new = bench.wheel("2.0", {"base.py": "class Plain:\n    def kept(self): ...\n"})
    bench.write("from vllm.base import Plain\nclass Mine(Plain):\n    def gone(self): ...\n    def kept(self): ...\n")
    assert told(bench.report([new], from_=old).findings) == [("MP810", "warning", 3)]
    assert told(bench.report([new]).findings) == []
    called = bench.wheel("3.0", {"base.py": "class Plain:\n    def kept(self): ...\ndef f(x):\n    x.gone()\n"})
    assert told(bench.report([called], from_=old).findings) == []
