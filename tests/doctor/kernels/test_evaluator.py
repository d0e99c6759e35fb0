"""The evaluator against Python itself, and its third answer where something is not known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.kernels.comparing import string
from mixprec_doctor.kernels.device import Device
from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.outside import Outside
from mixprec_doctor.kernels.survey import ask
from mixprec_doctor.kernels.values import Raised, Unknown
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.sources import Sources

CUDA = Device(kind="cuda", capability=(9, 0), count=1, architecture="x86_64", cpu_flags=frozenset({"avx2"}))


def evaluator(folder: Path, text: str = "", device: Device = CUDA) -> Evaluator:
    (folder / "pack").mkdir(exist_ok=True)
    (folder / "pack" / "__init__.py").write_text(text)
    sources = Sources.of_folder(folder)
    return Evaluator(Exports(sources), packages=("pack",), outside=Outside(sources, device))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return evaluator(tmp_path_factory.mktemp("plain"))


NUMBERS = st.integers(min_value=-6, max_value=6).map(str) | st.sampled_from(["0.5", "-1.25", "2.0"])
ATOMS = NUMBERS | st.sampled_from(["True", "False", "None", "'a'", "'b'", "(1, 2)", "[1]", "'ab'"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        ["+", "-", "*", "//", "%", "<", "<=", "==", "!=", ">", ">=", "in", "not in", "and", "or", "/"]
    )
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda each: f"({each[0]} {each[1]} {each[2]})"),
        st.tuples(inner, inner, inner).map(lambda each: f"({each[0]} if {each[1]} else {each[2]})"),
        st.tuples(inner, inner).map(lambda each: f"[{each[0]} for x in (1, 2) if {each[1]}]"),
        inner.map(lambda each: f"(not {each})"),
        inner.map(lambda each: f"(lambda y: y)({each})"),
        st.tuples(inner, inner).map(lambda each: f"({each[0]}, {each[1]})"),
        inner.map(lambda each: f"str({each})"),
        inner.map(lambda each: f"(-({each}))"),
    )


@given(st.recursive(ATOMS, _grown, max_leaves=8))
def test_expressions_give_what_python_gives(plain: Evaluator, text: str) -> None:
    try:
        truth: object = eval(text)  # noqa: S307  made of the atoms above
    except Exception as fault:  # noqa: BLE001  whatever Python says to it
        truth = type(fault)
    try:
        own = plain.text(text, "pack")
    except Raised as fault:
        assert isinstance(truth, type) and truth.__name__ == fault.name
        return
    if not isinstance(own, Unknown):  # it may always say that it does not know
        assert own == truth and type(own) is type(truth)


@given(st.lists(st.integers(-5, 5), max_size=4), st.integers(-9, 9))
def test_loops_and_branches_give_what_python_gives(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], limit: int
) -> None:
    source = (
        "def f(values, limit):\n    total = 0\n    for at, value in enumerate(values):\n        if value == 0:\n"
        "            continue\n        if total > limit:\n            break\n        total += value * at\n"
        "    else:\n        return total, 'whole'\n    return total, 'broken'\n"
    )
    names: dict[str, object] = {}
    exec(source, names)  # noqa: S102
    own = evaluator(tmp_path_factory.mktemp("loop"), source).text(f"f({values!r}, {limit})", "pack")
    assert own == eval(f"f({values!r}, {limit})", names)  # noqa: S307


def test_an_unknown_condition_is_taken_both_ways(tmp_path: Path) -> None:
    ev = evaluator(
        tmp_path, "import torch\ndef f():\n    if torch.secret():\n        return False, 'no'\n    return True, None\n"
    )
    assert ask(ev, lambda: ev.text("f", "pack") and ev.call(ev.names.look_up("pack", "f"), [])).reasons == (
        "not known: torch.secret()",
    )


def test_branches_that_end_alike_are_decided(tmp_path: Path) -> None:
    ev = evaluator(
        tmp_path, "import torch\ndef f():\n    if torch.secret():\n        return False, 'a'\n    return False, 'b'\n"
    )
    answer = ask(ev, lambda: ev.call(ev.names.look_up("pack", "f"), []))
    assert (answer.accepted, answer.reasons) == (False, ("a", "b"))


def test_a_question_that_comes_twice_has_one_answer(tmp_path: Path) -> None:
    source = "import torch\ndef f():\n    a = torch.secret()\n    return (True if torch.secret() else False) == bool(a), 'differ'\n"
    ev = evaluator(tmp_path, source)
    assert ask(ev, lambda: ev.call(ev.names.look_up("pack", "f"), [])).accepted is not False


@pytest.mark.parametrize(
    ("source", "text", "value"),
    [
        ("import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\n", "E.A == E.A and E.A != E.B and E(2) is E.B", True),
        ("import enum\nclass E(enum.IntEnum):\n    A = 1\n    B = 2\n", "E.A < E.B", True),
        ("from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int\n    b: int = 2\n", "D(1) == D(1, b=2)", True),
        ("from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int\n", "D(1) in [D(2), D(3)]", False),
        ("from typing import NamedTuple\nclass N(NamedTuple):\n    a: int\n    b: int\n", "N(9, 0) >= (8, 9) and N(1, 2)[1] == 2", True),
        ("class A:\n    X = 1\n    def f(self):\n        return self.X\nclass B(A):\n    X = 2\n    def f(self):\n        return super().f() + 10\n", "B().f()", 12),
        ("class A:\n    @classmethod\n    def make(cls):\n        return cls.__name__\nclass B(A):\n    pass\n", "B.make()", "B"),
        ("class A:\n    @property\n    def p(self):\n        return 7\n", "A().p", 7),
        ("class A:\n    pass\nA.LATER = 3\n", "A.LATER", 3),
        ("import torch\n", "torch.half == torch.float16 and torch.bfloat16 != torch.int8", True),
        ("import torch\n", "torch.float8_e4m3fn.itemsize", 1),
        ("import torch\n", "torch.cuda.get_device_capability()[0] * 10", 90),
        ("import os\n", "bool(int(os.environ.get('PACK_FLAG', '0')))", False),
        ("def f(*, a, b=2, **rest):\n    return a + b + len(rest)\n", "f(a=1, c=1, d=1)", 5),
        ("def f(x):\n    try:\n        return {'a': 1}[x]\n    except KeyError:\n        return None\n", "f('b')", None),
        ("x, (y, *z) = 1, (2, 3, 4)\n", "z", [3, 4]),
        ("def f(n):\n    def inner(k):\n        return n + k\n    return inner\n", "f(2)(3)", 5),
        ("def f():\n    return f'{1 + 1:>3}|{(1,)}|{[True]!r}'\n", "f()", "  2|(1,)|[True]"),
    ],
)  # fmt: skip
def test_forms_of_the_source(tmp_path: Path, source: str, text: str, value: object) -> None:
    assert evaluator(tmp_path, source).text(text, "pack") == value


def test_a_library_that_is_not_there_raises_as_an_import_does(tmp_path: Path) -> None:
    source = (
        "def f():\n    try:\n        import conch\n    except ImportError:\n        return False\n    return True\n"
    )
    ev = evaluator(tmp_path, source)
    outcomes, whole = ev.every_path(lambda: ev.call(ev.names.look_up("pack", "f"), []))
    assert whole and {each.value for each in outcomes} == {True, False}
    assert outcomes[0].assumed == (("whether conch is installed", True),)


def test_a_submodule_that_is_not_there_is_not_found_in_a_package_that_is(tmp_path: Path) -> None:
    ev = evaluator(tmp_path, "from importlib.util import find_spec\n")
    assert ev.text("find_spec('pack') is not None and find_spec('pack.vendored') is None", "pack") is True


def test_messages_show_what_is_not_known(tmp_path: Path) -> None:
    ev = evaluator(tmp_path, "import torch\n")
    assert string(ev, ev.text("f'size {torch.secret()}'", "pack")) == "size <torch.secret()>"


def test_endless_recursion_is_given_up(tmp_path: Path) -> None:
    ev = evaluator(tmp_path, "def f(n):\n    return f(n + 1)\n")
    assert ask(ev, lambda: ev.call(ev.names.look_up("pack", "f"), [0])).accepted is None


def test_huge_numbers_are_not_made(tmp_path: Path) -> None:
    ev = evaluator(tmp_path)
    assert isinstance(ev.text("(1 << 150) << 10 ** 9", "pack"), Unknown)
    assert isinstance(ev.text("'a' * 10 ** 12", "pack"), Unknown)
