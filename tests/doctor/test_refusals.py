"""Calls that are refused: each case is run by Python in a child, and what was read has to agree or stay silent."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.source.module import parse_module
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.usercode import UserCode, read_code
from mixprec_doctor.usercode.refusals import Refusal, find_refusal
from tests.doctor.conftest import LAPTOP, FakeEnvironment

# The lines that call, then the module pkg.a that is called into. These are refused, and reading has to say so.
REFUSED = {
    "an_unknown_method": """from pkg.a import get
get("awq")
# a.py
METHODS = {"fp8": 1, "gptq": 2}
def get(name):
    if name not in METHODS:
        raise ValueError(f"unknown method {name}")
    return METHODS[name]""",
    "a_default_that_is_refused": """from pkg.a import get
get()
# a.py
def get(name=None):
    if name is None:
        raise TypeError("a name is needed")
    return name""",
    "a_keyword": """import pkg.a as a
a.get(strict=True)
# a.py
def get(name="x", *, strict=False):
    if strict:
        raise RuntimeError("not so strict, " + name)
    return name""",
    "a_flag_of_the_module": """import pkg.a
pkg.a.get(1)
# a.py
try:
    import nowhere_at_all
    HAS = True
except ImportError:
    HAS = False
def get(anything):
    if not HAS:
        raise ImportError("install nowhere_at_all")
    return anything""",
    "the_else_of_a_test": """from pkg.a import get
get("no")
# a.py
def get(name):
    if name == "yes":
        return 1
    elif name == "perhaps":
        return 2
    else:
        raise KeyError(name)""",
    "what_an_assignment_before_it_decides": """from pkg.a import get
get("x")
# a.py
def get(name):
    allowed = ["a", "b"]
    wanted = name
    if wanted not in allowed:
        raise ValueError(f"{wanted} is not allowed")""",
    "a_function_that_always_refuses": """from pkg.a import get
get()
# a.py
def get():
    print("on the way")
    raise NotImplementedError""",
    "a_constructor": """from pkg.a import Config
Config(3)
# a.py
class Config:
    def __init__(self, bits, group=128):
        self.bits = bits
        if bits not in (2, 4, 8):
            raise ValueError(f"bits {bits}, not 2, 4 or 8")""",
    "a_small_function_that_decides": """from pkg.a import get
get()
# a.py
import os
def supported():
    return os.getenv("PKG_NOT_SET", "0") == "1"
def get():
    if not supported():
        raise RuntimeError("not supported here")""",
    "a_list_where_none_is_wanted": """from pkg.a import get
get([1, 2])
# a.py
def get(names=None):
    if names is not None:
        raise ValueError("no names here")""",
    "a_flag_that_the_code_only_looks_at": """import pkg.a as a
print("HAS", a.HAS, len(a.NAMES))
if __name__ == "__main__":
    a.get()
# a.py
HAS = False
NAMES = ["one"]
def get():
    if not HAS or "two" not in NAMES:
        raise ImportError("install it")""",
    "a_handler_elsewhere": """from pkg.a import get
try:
    print("nothing")
except ValueError:
    pass
finally:
    get()
# a.py
def get():
    raise ValueError""",
    "a_test_inside_of_a_test": """from pkg.a import get
get("fp8", 3)
# a.py
def get(name, bits):
    if name == "fp8":
        text = "fp8 has 8 bits"
        if bits != 8:
            raise ValueError(text)
    return name""",
}

# These work, and reading must not say that they are refused.
WORKING = {
    "a_known_method": """from pkg.a import get
get("fp8")
# a.py
METHODS = {"fp8": 1}
def get(name):
    if name not in METHODS:
        raise ValueError(name)""",
    "an_operand_stands_for_what_is_empty": """from pkg.a import get
get()
# a.py
def get(name=None):
    name = name or "fp8"
    if name not in ("fp8", "awq"):
        raise ValueError(name)""",
    "a_return_on_a_condition_that_is_open": """from pkg.a import get
get("x")
# a.py
import time
def get(name):
    if time.time() > 0:
        return name
    raise ValueError(name)""",
    "a_loop_that_returns": """from pkg.a import get
get("x")
# a.py
def get(name):
    for each in ("x", "y"):
        if each == name:
            return each
    raise ValueError(name)""",
    "a_try_that_returns": """from pkg.a import get
get("1")
# a.py
def get(name):
    try:
        return int(name)
    except ValueError:
        pass
    raise ValueError(name)""",
    "a_local_list_that_grows": """from pkg.a import get
get("c")
# a.py
def get(name):
    allowed = ["a", "b"]
    allowed.append("c")
    if name not in allowed:
        raise ValueError(name)""",
    "a_local_list_that_grows_under_another_name": """from pkg.a import get
get("c")
# a.py
def get(name):
    allowed = ["a", "b"]
    more = allowed
    more.append("c")
    if name not in allowed:
        raise ValueError(name)""",
    "a_local_table_that_gets_a_key": """from pkg.a import get
get("c")
# a.py
def get(name):
    table = {"a": 1}
    table["c"] = 2
    if name not in table:
        raise ValueError(name)""",
    "an_import_that_binds_a_name_inside": """from pkg.a import get
get()
# a.py
FLAG = False
def get():
    from pkg.b import FLAG
    if not FLAG:
        raise ValueError
# b.py
FLAG = True""",
    "a_name_that_a_handler_or_with_binds": """from pkg.a import get
get()
# a.py
import contextlib
flag = None
def get():
    with contextlib.nullcontext(5) as flag:
        pass
    if flag is None:
        raise ValueError""",
    "a_generator_that_nobody_asks": """from pkg.a import get
get(None)
# a.py
def get(name):
    if name is None:
        raise ValueError
    yield name""",
    "a_decorator_that_takes_the_fault": """from pkg.a import get
get()
# a.py
def quiet(function):
    def inner():
        try:
            return function()
        except ValueError:
            return None
    return inner
@quiet
def get():
    raise ValueError""",
    "further_keywords_are_no_names_of_the_module": """from pkg.a import get
get(strict=True)
# a.py
kwargs = None
def get(*args, **kwargs):
    if kwargs is None:
        raise ValueError""",
    "an_empty_list_that_is_spread": """from pkg.a import get
names = []
get([*names])
# a.py
def get(names):
    if names:
        raise ValueError""",
    "a_starred_argument": """from pkg.a import get
get(*[1, 2])
# a.py
def get(one, two=None):
    if two is None:
        raise ValueError""",
    "a_class_that_makes_something_else": """from pkg.a import Config
Config()
# a.py
class Config:
    def __new__(cls):
        return 1
    def __init__(self):
        raise ValueError""",
    "a_lambda_and_a_nested_function": """from pkg.a import get
get()
# a.py
def get():
    def inner():
        raise ValueError
    return inner""",
    "the_code_takes_the_fault": """from pkg.a import get
try:
    get()
except ValueError:
    pass
# a.py
def get():
    raise ValueError""",
    "the_code_suppresses_the_fault": """import contextlib
from pkg.a import get
with contextlib.suppress(ValueError):
    get()
# a.py
def get():
    raise ValueError""",
    "a_branch_of_the_code_that_does_not_run": """from typing import TYPE_CHECKING
from pkg.a import get
if TYPE_CHECKING:
    get()
# a.py
def get():
    raise ValueError""",
    "a_method_of_the_users_own": """from pkg.a import get, register
@register("own")
class Own: ...
get("own")
# a.py
METHODS = {"fp8": 1}
def register(name):
    def keep(found):
        METHODS[name] = found
        return found
    return keep
def get(name):
    if name not in METHODS:
        raise ValueError(name)""",
    "a_name_that_the_code_binds_anew": """from pkg.a import get
def get(name): return name
get("x")
# a.py
def get(name):
    raise ValueError""",
    "a_function_s_own_variable": """from pkg.a import get
def main(get):
    return get()
main(print)
# a.py
def get():
    raise ValueError""",
    "an_environment_variable_that_the_code_sets": """import os
os.environ["PKG_FLAG"] = "1"
from pkg.a import get
get()
# a.py
import os
def get():
    if os.getenv("PKG_FLAG", "0") != "1":
        raise ValueError("set PKG_FLAG")""",
    "a_module_s_flag_that_the_code_patches": """from unittest import mock
import pkg.a
with mock.patch("pkg.a.STRICT", False):
    pkg.a.get()
# a.py
STRICT = True
def get():
    if STRICT:
        raise ValueError""",
    "a_module_s_table_that_the_code_adds_to": """import pkg.a
pkg.a.METHODS["own"] = 1
pkg.a.get("own")
# a.py
METHODS = {"fp8": 1}
def get(name):
    if name not in METHODS:
        raise ValueError""",
    "a_module_s_list_that_the_code_adds_to": """import pkg.a as a
a.METHODS.append("own")
a.get("own")
# a.py
METHODS = ["fp8"]
def get(name):
    if name not in METHODS:
        raise ValueError""",
    "a_branch_for_another_python": """import sys
from pkg.a import get
if sys.version_info < (3, 0):
    get()
# a.py
def get():
    raise ValueError""",
    "a_module_s_flag_that_the_code_sets": """import pkg.a
pkg.a.STRICT = False
pkg.a.get()
# a.py
STRICT = True
def get():
    if STRICT:
        raise ValueError""",
}


def build(fake: FakeEnvironment, case: str) -> str:
    lines, *files = re.split(r"^# (?=[\w/]+\.py$)", case, flags=re.MULTILINE)
    written = {"pkg/__init__.py": ""}
    for each in files:
        path, _, text = each.partition("\n")
        written[f"pkg/{path}"] = text
    fake.install("pkg", files=written)
    return lines


def refusals(fake: FakeEnvironment, lines: str) -> list[tuple[str, str, int]]:
    """Exception, message and line of every MP208 about the lines."""
    from dataclasses import replace

    from mixprec_doctor.checks import run_checks, select_checks

    code = read_code(lines, fake.read(), LAPTOP)
    patient = replace(fake.patient(), code=code)
    found = run_checks(patient, select_checks(select=["MP208"]))
    return [_said(each.summary) for each in found]


def _said(summary: str) -> tuple[str, str, int]:
    said = summary.partition("here: ")[2]
    return (*said.partition(": ")[::2], 0)


def found_by(code: UserCode) -> list[Refusal]:
    """What reading makes of each call."""
    calls = ((call, resolve_expression(call.func, code.parsed, code.exports)) for call in code.calls())
    found = (find_refusal(call, each, code.exports) for call, each in calls if getattr(each, "node", None))
    return [each for each in found if each is not None]


def run(lines: str, site: Path) -> tuple[str, str, int] | None:
    """The exception that Python ends with, its message and line."""
    asked = f"import sys; sys.path.insert(0, {str(site)!r}); sys.dont_write_bytecode = True\n{lines}"
    done = subprocess.run([sys.executable, "-I", "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        return None
    name, _, message = done.stderr.strip().splitlines()[-1].partition(": ")
    places = re.findall(r'a\.py", line (\d+)', done.stderr)
    return name, message, int(places[-1])


@pytest.mark.parametrize("name", REFUSED)
def test_a_call_is_refused_as_python_refuses_it(fake: FakeEnvironment, name: str) -> None:
    lines = build(fake, REFUSED[name])
    ended = run(lines, fake.site)
    assert ended is not None
    kind, message, line = ended
    (found,) = found_by(read_code(lines, fake.read(), LAPTOP))
    assert (found.exception, found.message.strip("'"), found.line) == (kind, message.strip("'"), line)
    assert [each[:2] for each in refusals(fake, lines)] == [(kind, found.message)]


@pytest.mark.parametrize("name", WORKING)
def test_a_call_that_python_takes_is_not_refused(fake: FakeEnvironment, name: str) -> None:
    lines = build(fake, WORKING[name])
    assert run(lines, fake.site) is None
    assert refusals(fake, lines) == []


def test_an_exception_that_is_made_elsewhere_is_not_named_after_a_variable(fake: FakeEnvironment) -> None:
    lines = build(
        fake, "from pkg.a import get\nget()\n# a.py\ndef get():\n    fault = ValueError('no')\n    raise fault"
    )
    (found,) = found_by(read_code(lines, fake.read(), LAPTOP))
    assert found.exception == "an exception"


def test_what_decided_is_named(fake: FakeEnvironment) -> None:
    lines = build(
        fake,
        "from pkg.a import get\nget('awq', 3)\n# a.py\nHAS = False\nOTHER = True\n"
        "def get(name, bits):\n    if OTHER and bits == 4:\n        return 1\n"
        "    if name == 'awq':\n        if not HAS:\n            raise ValueError('none')\n",
    )
    (found,) = found_by(read_code(lines, fake.read(), LAPTOP))
    assert (found.names, found.arguments) == (("HAS",), ("name",))
    assert found.function == "get"
    assert found.module == "pkg.a"


ATOMS = ("None", "True", "0", "1", "'a'", "'b'", "('a', 1)", "['a', 'b']", "{'a': 1}")
NAMES = st.sampled_from(["x", "y", "z", "FLAG", "TABLE"])


def _tests() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(ATOMS) | NAMES
    plain = st.one_of(
        st.builds("{} {} {}".format, atoms, st.sampled_from(["==", "!=", "in", "not in", "is", "is not"]), atoms),
        st.builds("not {}".format, NAMES),
        NAMES,
    )
    return st.one_of(
        plain, st.builds("({} {} {})".format, plain, st.sampled_from(["and", "or"]), plain), st.just("sorted([y, y])")
    )


def _indented(text: str) -> str:
    return textwrap.indent(text, "    ")


def _blocks() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(ATOMS) | NAMES
    simple = st.one_of(
        st.builds("{} = {}".format, st.sampled_from(["x", "y", "z"]), atoms),
        st.builds("y = z or {}".format, atoms),
        st.just("raise ValueError(x)"),
        st.just("return"),
        st.just("if type(y) is list: y.append('b')"),
        st.just("if type(z) is dict:\n    z['b'] = 2"),
        st.just("for y in (1, 2): pass"),
        st.just("import json as z"),
        st.just("try:\n    x = len(x)\nexcept TypeError:\n    z = 'a'"),
    )
    return st.recursive(
        st.lists(simple, min_size=1, max_size=3).map("\n".join),
        lambda inner: st.builds(
            lambda test, body, other: f"if {test}:\n{_indented(body)}\nelse:\n{_indented(other)}", _tests(), inner, inner
        ) | st.lists(inner, min_size=2, max_size=3).map("\n".join),
        max_leaves=5,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    _blocks(), st.sampled_from(ATOMS), st.sampled_from(ATOMS), st.sampled_from(["get({})", "get({}, z='b')", "get(x={})"])
)  # fmt: skip
def test_no_call_is_refused_that_python_takes(body: str, flag: str, argument: str, call: str) -> None:
    home = f"FLAG = {flag}\nTABLE = {{'a': 1, 'b': 2}}\nx = y = z = 'outside'\ndef get(x, y='a', z=None):\n{_indented(body)}\n"
    called = call.format(argument)
    scope: dict[str, object] = {}
    exec(home, scope)  # noqa: S102  what was generated above
    try:
        eval(called, scope)  # noqa: S307  what was generated above
        ended = None
    except Exception as fault:  # noqa: BLE001  any of them is a refusal
        ended = type(fault).__name__
    sources = Sources(lambda package: None)
    sources.facts = {"os.environ": {}}
    sources.adopt(parse_module("pkg.a", home.encode(), is_package=False))
    lines = parse_module("__main__", f"from pkg.a import get\n{called}\n".encode(), is_package=False, whole=True)
    sources.adopt(lines)
    exports = Exports(sources)
    asked = lines.tree.body[1].value  # type: ignore[attr-defined]
    found = find_refusal(asked, resolve_expression(asked.func, lines, exports), exports)  # type: ignore[arg-type]
    if found is not None:
        assert ended is not None
        assert ended in ("ValueError", "TypeError", "UnboundLocalError")
