"""Where names come from: each test is one difficulty of Python's imports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.records.resolution import How
from mixprec_doctor.source import Exports, Found, Outside, Sources, Standin, Unbound
from mixprec_doctor.source.module import UnparsableModule, parse_module
from tests.doctor.conftest import FakeEnvironment


def found(fake: FakeEnvironment, module: str, name: str) -> Found:
    origin = fake.exports().look_up(module, name)
    assert isinstance(origin, Found), origin
    return origin


def test_a_definition(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "class A: ...")
    assert (found(fake, "p", "A").module, found(fake, "p", "A").how) == ("p", How.DEFINITION)


@pytest.mark.parametrize("line", ["from p.q.deep import A", "from .q.deep import A", "from .q import A",
                                  "from p.q.deep import B as A", "from .q import *"])  # fmt: skip
def test_reexports_are_followed_to_the_definition(fake: FakeEnvironment, line: str) -> None:
    fake.write("p/__init__.py", line)
    fake.write("p/q/__init__.py", "from .deep import A")
    fake.write("p/q/deep.py", "class A: ...\nclass B: ...")
    origin = found(fake, "p", "A")
    assert (origin.module, origin.how, origin.chain[0]) == ("p.q.deep", How.REEXPORT, "p")


def test_star_imports_honour_all(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from .q import *")
    fake.write("p/q.py", "__all__ = ['A']\nclass A: ...\nclass B: ...\nclass _C: ...")
    assert found(fake, "p", "A").module == "p.q"
    assert isinstance(fake.exports().look_up("p", "B"), Unbound)


def test_star_imports_leave_private_names_out(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from .q import *")
    fake.write("p/q.py", "class _C: ...")
    assert isinstance(fake.exports().look_up("p", "_C"), Unbound)


def test_a_failing_import_leaves_the_placeholder(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "try:\n    from absent.x import A\nexcept ImportError:\n    A = None")
    origin = fake.exports().look_up("p", "A")
    assert isinstance(origin, Standin)
    assert (origin.text, origin.because) == ("None", "no module named absent")


def test_one_missing_name_fails_the_whole_try(fake: FakeEnvironment) -> None:
    fake.write("vllm/__init__.py", "class A: ...")
    fake.write("p/__init__.py", "try:\n from vllm import Gone\n from vllm import A\nexcept ImportError:\n A = object")
    origin = fake.exports().look_up("p", "A")
    assert isinstance(origin, Standin)
    assert origin.because == "vllm has no Gone"


def test_an_import_that_can_succeed_wins_over_its_placeholder(fake: FakeEnvironment) -> None:
    fake.write("vllm/__init__.py", "class A: ...")
    fake.write("p/__init__.py", "try:\n    from vllm import A\nexcept ImportError:\n    A = None")
    assert found(fake, "p", "A").module == "vllm"


def test_hollow_classes_of_an_except_are_placeholders(fake: FakeEnvironment) -> None:
    text = "try:\n import absent\nexcept ImportError:\n class Dummy:\n  def f(self): return None\n A = B = Dummy"
    fake.write("p/__init__.py", text)
    assert isinstance(fake.exports().look_up("p", "B"), Standin)


def test_type_checking_imports_are_not_there_at_run_time(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .q import A")
    fake.write("p/q.py", "class A: ...")
    origin = fake.exports().look_up("p", "A")
    assert isinstance(origin, Unbound)
    assert "TYPE_CHECKING" in origin.fault


def test_a_flag_set_by_the_try_is_followed(fake: FakeEnvironment) -> None:
    text = (
        "try:\n import absent\n OK = True\nexcept ImportError:\n OK = False\n"
        "if OK:\n from .q import A\nelse:\n A = None"
    )
    fake.write("p/__init__.py", text)
    fake.write("p/q.py", "class A: ...")
    assert isinstance(fake.exports().look_up("p", "A"), Standin)


def test_a_flag_that_depends_on_itself_stays_open(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "OK = probe()\nif OK:\n OK = probe()\n if OK:\n  OK = True\nif OK:\n class A: ...")
    assert found(fake, "p", "A").condition == "OK"


def test_what_a_getattr_makes_on_demand_is_there(fake: FakeEnvironment) -> None:
    fake.write("p/q.py", "def __getattr__(name):\n if name == 'A': return make()\n raise AttributeError")
    fake.write("p/__init__.py", "from .q import A")
    origin = fake.exports().look_up("p", "A")
    assert isinstance(origin, Outside)
    assert origin.how is How.LAZY
    assert isinstance(fake.exports().look_up("p.q", "B"), Unbound)


def test_platform_conditions_are_reported_with_their_text(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from .u import is_cuda\nif is_cuda():\n    from .q import A")
    fake.write("p/u.py", "def is_cuda(): return True")
    fake.write("p/q.py", "class A: ...")
    origin = found(fake, "p", "A")
    assert (origin.how, origin.condition) == (How.CONDITIONAL, "is_cuda()")


def test_the_version_of_the_examined_python_is_judged(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "import sys\nif sys.version_info >= (3, 12):\n class A: ...\nelse:\n class B: ...")
    assert isinstance(fake.exports().look_up("p", "A"), Unbound)
    assert found(fake, "p", "B").how is How.DEFINITION


def test_a_lazy_getattr_table(fake: FakeEnvironment) -> None:
    table = "T = {'A': '.q:A', 'B': '.q', 'C': ('p.q', 'A')}\ndef __getattr__(name): ..."
    fake.write("p/__init__.py", table)
    fake.write("p/q.py", "class A: ...\nclass B: ...")
    assert [found(fake, "p", name).name for name in "ABC"] == ["A", "B", "A"]
    assert found(fake, "p", "A").how is How.LAZY


def test_a_lazy_import_object(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from .u import LazyImport\nA = LazyImport('p.q', 'A')")
    fake.write("p/u.py", "class LazyImport: ...")
    fake.write("p/q.py", "class A: ...")
    assert (found(fake, "p", "A").module, found(fake, "p", "A").how) == ("p.q", How.LAZY)


def test_an_alias_and_a_class_rebuilt_from_itself(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "class A:\n x: int\nB = A\nA = rebuild('A', A)")
    assert found(fake, "p", "A").condition == "rebuilt from its class by rebuild on line 4"
    assert found(fake, "p", "B").name == "A"


def test_a_deleted_name_is_gone(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "class A: ...\ndel A")
    assert isinstance(fake.exports().look_up("p", "A"), Unbound)


def test_a_circle_ends(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from .q import A")
    fake.write("p/q.py", "from p import A")
    assert isinstance(fake.exports().look_up("p", "A"), Unbound)


def test_a_circle_does_not_spoil_what_is_asked_next(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from .q import A\nclass A: ...\nfrom .q import B")
    fake.write("p/q.py", "from p import A\nfrom p.r import *")
    fake.write("p/r.py", "from p import A\nclass B: ...")
    exports = fake.exports()
    assert isinstance(exports.look_up("p.r", "A"), Found)
    assert [type(exports.look_up(module, "A")) for module in ("p", "p.q", "p.r")] == [Found, Found, Found]


def test_compiled_and_library_modules_are_outside(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "from abc import ABC\nfrom ._c import f")
    fake.write("p/_c.abi3.so")
    assert isinstance(fake.exports().look_up("p", "ABC"), Outside)
    assert isinstance(fake.exports().look_up("p", "f"), Outside)


def test_a_compiled_module_at_the_top_level_can_be_imported(fake: FakeEnvironment) -> None:
    fake.install("fast", files={"_fast.abi3.so": b""})
    fake.write("p/__init__.py", "try:\n from _fast import A\nexcept ImportError:\n A = None")
    assert isinstance(fake.exports().look_up("p", "A"), Outside)


def test_what_stands_beside_a_lone_release_is_not_known(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "try:\n from vllm import A\nexcept ImportError:\n A = None")
    origin = Exports(Sources.of_folder(fake.site)).look_up("p", "A")
    assert isinstance(origin, Outside)
    assert origin.condition is not None


def test_the_fault_names_the_shortest_missing_part(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py")
    assert fake.exports().look_up("p.a.b", "X") == Unbound(fault="no module named p.a")


def test_source_that_cannot_be_parsed_is_a_fault(fake: FakeEnvironment) -> None:
    fake.write("p/__init__.py", "class A(:")
    origin = fake.exports().look_up("p", "A")
    assert isinstance(origin, Unbound)
    assert "cannot be parsed" in origin.fault


def test_the_encoding_cookie_is_honoured(fake: FakeEnvironment) -> None:
    fake.write(
        "p/__init__.py", "# coding: latin-1\nNAME = 'é'\nclass A:\n def __init__(self, x='é'): ...".encode("latin-1")
    )
    exports = fake.exports()
    origin = exports.look_up("p", "A")
    assert isinstance(origin, Found)
    from mixprec_doctor.source import parameters_of

    assert parameters_of(origin, exports)[0].default == "'é'"


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(source: bytes) -> None:
    try:
        parse_module("m", source, is_package=False)
    except UnparsableModule as fault:
        assert str(fault)


_LINES = st.sampled_from([
    "import os", "from . import x", "from .a import *", "class A: pass", "x = y = 1", "(a, *b), c = d",
    "try:\n import q\nexcept (ImportError, OSError):\n q = None\nelse:\n r = 1\nfinally:\n s = 2",
    "if TYPE_CHECKING:\n from t import T\nelse:\n T = object", "with suppress(ImportError):\n import z",
    "for i in x:\n j = i", "while 0:\n k = 1", "del x", "async def f(): ...", "def __getattr__(n): return 1",
    "match x:\n case 1:\n  m = 1", "T = {'A': '.a', **T}", "__all__ = ['A']", "__all__ += other",
])  # fmt: skip


@given(st.lists(_LINES, max_size=8), st.sampled_from(["A", "T", "q", "x", "j", "m", "nothing"]))
def test_every_question_about_any_module_is_answered(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], name: str
) -> None:
    fake = FakeEnvironment(tmp_path_factory.mktemp("any") / "env")
    fake.write("p/__init__.py", "\n".join(lines))
    fake.write("p/a.py", "from p import *\nclass A: ...")
    assert isinstance(fake.exports().look_up("p", name), (Found, Standin, Outside, Unbound))
