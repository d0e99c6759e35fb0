"""Parameters of calling a class or function, against what inspect says of the same source."""

from __future__ import annotations

import inspect
import sys

import pytest

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.source import Found, parameters_of
from tests.doctor.conftest import FakeEnvironment


def parameters(fake: FakeEnvironment, source: str, name: str = "A") -> tuple[Parameter, ...]:
    fake.write("p/__init__.py", source)
    exports = fake.exports()
    found = exports.look_up("p", name)
    assert isinstance(found, Found)
    return parameters_of(found, exports)


CASES = {
    "own": "class A:\n def __init__(self, a, /, b: int, *args, c, d=1, **kw): ...",
    "inherited": "class B:\n def __init__(self, x, y=2): ...\nclass A(B): ...",
    "diamond": "class R:\n def __init__(self, r): ...\nclass B(R): ...\nclass C(R):\n def __init__(self, c): ...\n"
    "class A(B, C): ...",
    "none": "class A: ...",
    "dataclass": "from dataclasses import *\n@dataclass\nclass B:\n x: int\n y: int = 1\n"
    "@dataclass\nclass A(B):\n z: list = field(default_factory=list)\n"
    " w: int = field(init=False, default=3)\n x: int = 5",
    "keyword-only dataclass": "from dataclasses import *\n@dataclass(kw_only=True)\nclass A:\n x: int\n y: int = 1",
    "mixed dataclass": "from dataclasses import *\n@dataclass\nclass A:\n x: int\n _: KW_ONLY\n y: int = 1",
    "subclass of a dataclass": "from dataclasses import *\n@dataclass\nclass B:\n x: int\nclass A(B):\n y: int = 2",
    "class variables": "from dataclasses import *\nfrom typing import *\n@dataclass\n"
    "class A:\n x: int\n c: ClassVar[int] = 1",
    "named tuple": "from typing import *\nclass A(NamedTuple):\n x: int\n y: int = 1",
    "function": "def A(x, *, y=None): ...",
    "new": "class A:\n def __new__(cls, x): ...",
    "overloads": "from typing import *\nclass A:\n @overload\n def __init__(self, x: int): ...\n @overload\n"
    " def __init__(self, x: str): ...\n def __init__(self, x): ...",
}


@pytest.mark.parametrize("case", CASES)
def test_parameters_are_those_that_inspect_gives(fake: FakeEnvironment, case: str) -> None:
    namespace: dict[str, object] = {"__name__": "case"}
    sys.modules.setdefault("case", type(sys)("case"))
    code = compile(CASES[case], "case", "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102  the source is above
    signature = inspect.signature(namespace["A"])  # type: ignore[arg-type]
    wanted = [
        (each.name, each.kind.name, each.default is each.empty and each.kind not in (2, 4))
        for each in signature.parameters.values()
    ]
    assert [(each.name, each.kind, each.required) for each in parameters(fake, CASES[case])] == wanted


def test_defaults_and_annotations_are_source_text(fake: FakeEnvironment) -> None:
    (found,) = parameters(fake, 'class A:\n def __init__(self, x: "Optional[int]" = 0x10): ...')
    assert (found.annotation, found.default) == ('"Optional[int]"', "0x10")


def test_a_decorator_of_the_package_that_makes_dataclasses(fake: FakeEnvironment) -> None:
    fake.write("p/u.py", "@dataclass_transform()\ndef config(cls): return dataclass(cls)")
    found = parameters(fake, "from .u import config\n@config\nclass A:\n x: int\n y: int = Field(default=1, ge=0)")
    assert [(each.name, each.required) for each in found] == [("x", True), ("y", False)]


def test_pydantic_models_take_keywords(fake: FakeEnvironment) -> None:
    found = parameters(
        fake, "from pydantic import BaseModel, Field\nclass A(BaseModel):\n x: int = Field(...)\n y: int = 1"
    )
    assert [(each.name, each.kind, each.required) for each in found] == [
        ("x", "KEYWORD_ONLY", True),
        ("y", "KEYWORD_ONLY", False),
    ]


def test_an_enum_takes_nothing_of_ours(fake: FakeEnvironment) -> None:
    assert parameters(fake, "from enum import Enum\nclass A(str, Enum):\n X = 'x'") == ()


def test_classes_that_inherit_from_each_other_end(fake: FakeEnvironment) -> None:
    fake.write("p/q.py", "from p import A\nclass B(A): ...")
    assert parameters(fake, "from p.q import B\nclass A(B): ...") == ()
