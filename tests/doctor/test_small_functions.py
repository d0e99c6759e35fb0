"""Small functions and tests of a module: what reading makes of them is held against Python, which runs them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixprec_doctor.source import Exports, Sources
from mixprec_doctor.source.expressions import OPEN, THERE
from mixprec_doctor.source.module import parse_module
from tests.doctor.conftest import FakeEnvironment

# The module pkg.a, which binds ``it``; then further modules, each under a line "# path". These have to be decided.
DECIDED = {
    "a_variable_of_the_environment_that_is_not_set": """
import os
it = os.getenv("PKG_NOT_SET", "0") == "1"
""",
    "a_default_that_is_given_by_its_name": """
import os
it = os.environ.get("PKG_NOT_SET", default="on") == "on"
""",
    "a_variable_that_is_set": """
import os
it = os.getenv("PKG_SET").lower() == "yes"
""",
    "a_function_that_asks_the_environment": """
import os
def wanted(name, default="0"):
    text = os.environ.get(name, default)
    return text in ("1", "yes")
it = (wanted("PKG_NOT_SET"), wanted("PKG_NOT_SET", "1"))
""",
    "a_function_of_another_module": """
from pkg.b import wanted
it = wanted(2)
# b.py
LEAST = 2
def wanted(number):
    if number >= LEAST:
        return "enough"
    return "too little"
""",
    "a_function_through_a_star": """
from pkg.b import *
it = wanted()
# b.py
def wanted(): return 3
""",
    "a_function_that_only_ends": """
def f():
    "says nothing"
it = f() is None
""",
    "the_branch_of_a_function_that_runs": """
import sys
if sys.version_info >= (3, 0):
    def f(): return "new"
else:
    def f(): return "old"
it = f()
""",
    "the_function_of_a_try_that_works": """
try:
    import pkg.b
    def f(): return True
except ImportError:
    def f(): return False
it = f()
# b.py
""",
    "the_function_of_a_handler": """
try:
    import nowhere_at_all
    def f(): return True
except ImportError:
    def f(): return False
it = f()
""",
    "a_try_around_an_import_inside": """
def has():
    try:
        import nowhere_at_all
    except ImportError:
        return False
    return True
it = has()
""",
    "a_try_that_returns_after_its_import": """
def has():
    try:
        import pkg.b
        return True
    except ImportError:
        return False
it = has()
# b.py
""",
    "the_handler_that_takes_it": """
def has():
    try:
        import nowhere_at_all
    except ValueError:
        return "a value"
    except ModuleNotFoundError:
        return "no module"
it = has()
""",
    "the_first_operand_that_is_true": """
def f(name=None):
    name = name or "fp8"
    return name
it = (f(), f("awq"))
""",
    "the_first_operand_that_is_false": """
import os
it = os.getenv("PKG_NOT_SET") and "set"
""",
    "an_expression_with_a_choice": """
it = "a" if not 0 else "b"
""",
    "a_list_that_a_module_adds_to": """
NAMES = ["one"]
NAMES.append("two")
it = "one" in NAMES
""",
    "a_name_that_a_dictionary_lacks": """
TABLE = {"one": 1}
it = ("one" in TABLE, "two" in TABLE, "two" not in {**TABLE, "two": 2})
""",
    "the_end_of_a_text": """
it = ("fp8_e4m3".startswith("fp8"), "fp8_e4m3".endswith("fp8"))
""",
    "a_module_that_can_be_found": """
from importlib.util import find_spec
it = (find_spec("pkg") is not None, find_spec("nowhere_at_all") is None)
""",
    "an_attribute_that_nothing_of_a_package_names": """
import pkg.b
it = hasattr(pkg.b, "not_there")
# b.py
there = 1
""",
    "a_device_that_the_stubs_of_a_package_do_not_list": """
import stubbed
it = hasattr(stubbed, "npu")
""",
    "a_flag_of_another_module": """
from . import b
it = b.FLAG
# b.py
FLAG = 5
""",
    "the_version_of_a_package": """
from other import __version__
it = __version__
""",
    "keyword_only_parameters_have_their_own_defaults": """
flag = False
def f(*, flag=True): return flag
it = f()
""",
}

# Here reading may leave it open, but it must not say anything else than Python.
TRAPS = {
    "a_parameter_hides_a_function_of_the_module": """
def check(): return True
def other(): return False
def f(check): return check()
it = f(other)
""",
    "a_parameter_hides_a_module": """
from . import b
class Other: FLAG = "other"
def f(b): return b.FLAG
it = f(Other)
# b.py
FLAG = "module"
""",
    "a_local_name_is_no_name_of_another_module": """
from . import b
def f(base): return b.FLAG
it = f("parameter")
# b.py
base = "module"
FLAG = base
""",
    "a_default_means_the_module_and_not_the_caller": """
FLAG = "module"
def inner(value=FLAG): return value
def f(FLAG): return inner()
it = f("caller")
""",
    "a_function_without_parameters_does_not_see_its_caller": """
FLAG = False
def inner():
    if FLAG:
        return "caller"
    return "module"
def f(FLAG): return inner()
it = f(True)
""",
    "a_decorator_may_give_something_else": """
def turned(function): return lambda: not function()
@turned
def f(): return True
it = f()
""",
    "a_generator_returns_nothing_yet": """
def f():
    return 1
    yield
it = bool(f())
""",
    "an_import_binds_a_name_inside": """
FLAG = False
def f():
    from pkg.b import FLAG
    return FLAG
it = f()
# b.py
FLAG = True
""",
    "a_walrus_binds_a_name_inside": """
x = 1
def f():
    y = (x := 5)
    return x
it = f()
""",
    "a_function_sets_a_global": """
FLAG = False
def enable():
    global FLAG
    FLAG = True
enable()
it = FLAG
""",
    "a_name_that_the_imported_module_lacks": """
def f():
    try:
        from pkg.b import gone
    except ImportError:
        return "gone"
    return "there"
it = f()
# b.py
x = 1
""",
    "an_imported_module_that_lacks_something_itself": """
def f():
    try:
        import pkg.b
    except ImportError:
        return "broken"
    return "whole"
it = f()
# b.py
import nowhere_at_all
""",
    "a_finally_that_returns": """
def f():
    try:
        import pkg.b
    except ImportError:
        return 1
    finally:
        return 2
it = f()
# b.py
""",
    "a_list_that_grows_in_another_module": """
from pkg.b import NAMES
it = "two" in NAMES
# b.py
NAMES = ["one"]
NAMES.append("two")
""",
    "an_empty_table_that_others_fill": """
from pkg.b import TABLE
import pkg.c
it = "one" in TABLE
# b.py
TABLE = {}
# c.py
from pkg.b import TABLE
TABLE["one"] = 1
""",
    "a_name_that_is_taken_out_again": """
NAMES = ["one", "two"]
NAMES.remove("two")
it = "two" in NAMES
""",
    "a_key_that_is_deleted": """
TABLE = {"one": 1, "two": 2}
del TABLE["two"]
it = "two" in TABLE
""",
    "a_local_list_that_grows": """
def f():
    names = ["one"]
    names.append("two")
    return "two" in names
it = f()
""",
    "a_local_list_under_two_names": """
def f():
    names = ["one"]
    more = names
    more += ["two"]
    return "two" in names
it = f()
""",
    "a_star_that_comes_last": """
FLAG = False
from pkg.b import *
it = FLAG
# b.py
FLAG = True
""",
    "lists_and_tuples_are_not_alike": """
it = ((1, [2]) == (1, (2,)), [1] == (1,), ({"a": 1},) == ({"a": 2},))
""",
    "a_module_below_one_that_is_not_there": """
from importlib.util import find_spec
try:
    it = find_spec("nowhere_at_all.below") is None
except ModuleNotFoundError:
    it = "raised"
""",
    "an_attribute_that_comes_from_a_star": """
import pkg.b
it = hasattr(pkg.b, "hidden")
# b.py
from pkg.c import *
# c.py
hidden = 1
""",
    "an_attribute_that_is_made_when_it_is_asked_for": """
import pkg.b
it = hasattr(pkg.b, "hidden")
# b.py
def __getattr__(name): return 1
""",
    "an_attribute_that_is_set_from_a_list": """
import pkg.b
it = hasattr(pkg.b, "hid" "den")
# b.py
for each in ("hid",):
    globals()[each + "den"] = 1
""",
    "true_and_one": """
it = (True == 1, 1 in (True,), (1 or 2) is True, 0 == False)
""",
    "operands_are_given_back_as_they_are": """
import os
it = ((os.getenv("PKG_NOT_SET") and True) is False, ("" or None) is None, (0 or "x") == "x", ("x" and 1) == True)
""",
    "a_loop_may_bind_anything": """
def f():
    x = 1
    for x in (1, 2, 3):
        pass
    return x
it = f()
""",
    "a_function_that_calls_itself": """
def f(n):
    if n == 0:
        return "end"
    return f(0)
it = f(1)
""",
    "a_module_below_that_nothing_imports": """
import other
it = hasattr(other, "below")
""",
    "a_parameter_that_is_called_like_a_package": """
def f(other): return hasattr(other, "mark")
f.mark = 1
it = f(f)
""",
    "a_variable_that_is_called_like_a_package": """
other = "a text"
it = hasattr(other, "lower")
""",
    "a_local_list_that_loses_something_on_the_way": """
def f():
    names = ["one", "two"]
    last = names.pop()
    return "two" in names
it = f()
""",
    "a_try_that_does_more_than_import": """
def f():
    try:
        import pkg.b
        x = int("no number")
    except ImportError:
        return "absent"
    except ValueError:
        return "no number"
    return "there"
it = f()
# b.py
""",
    "an_attribute_that_another_distribution_may_add": """
import other, other_device
it = hasattr(other, "device")
""",
    "a_numbered_type_that_no_stub_lists": """
import stubbed
it = hasattr(stubbed, "int4")
""",
    "a_function_that_a_star_of_a_stubbed_package_brings": """
import stubbed
it = hasattr(stubbed, "einsum")
""",
    "a_function_that_is_bound_anew": """
def f(): return 1
f = lambda: 2
it = f()
""",
    "too_many_operators": """
it = -1 < 0 < 1, not -1, 2 + 2 == 4, "ab"[0] == "a"
""",
}


def build(fake: FakeEnvironment, text: str) -> None:
    first, *files = re.split(r"^# (?=[\w/]+\.py$)", text, flags=re.MULTILINE)
    written = {"pkg/__init__.py": "", "pkg/a.py": first}
    for each in files:
        path, _, inner = each.partition("\n")
        written[f"pkg/{path}"] = inner
    fake.install("pkg", files=written)
    fake.install("other", "2.3.4", files={"other/__init__.py": "__version__ = '2.3.4'\n", "other/below.py": ""})
    fake.install("other-device", files={"other_device.py": "import other\nother.device = 1\n"})
    fake.install("stubbed", files=STUBBED)


STUBBED = {
    "stubbed/__init__.py": "from stubbed.functional import *\nfor each in (1, 2, 4):\n    globals()['int' + str(each)] = each\n",
    "stubbed/functional.py": "def einsum(): ...\n",
    "stubbed/_C/__init__.pyi": "class Tensor: ...\n",
}


def read(fake: FakeEnvironment) -> object:
    """What reading makes of ``it``."""
    environment = fake.read()
    sources = Sources.of_environment(environment)
    sources.facts = {"os.environ": {"PKG_SET": "Yes"}, "versions": {"other": "2.3.4"}}
    parsed = sources.module("pkg.a")
    assert parsed is not None
    asked = ast.parse("it", mode="eval").body
    return Exports(sources).conditions.value(asked, parsed, {})


def run(site: Path) -> object:
    """What ``it`` is in Python."""
    asked = f"import sys; sys.path.insert(0, {str(site)!r}); sys.dont_write_bytecode = True\nimport pkg.a\nprint(repr(pkg.a.it))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import os; os.environ['PKG_SET'] = 'Yes'\n{asked}"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return ast.literal_eval(done.stdout)


@pytest.mark.parametrize("name", DECIDED)
def test_what_a_module_decides_is_read_as_python_has_it(fake: FakeEnvironment, name: str) -> None:
    build(fake, DECIDED[name])
    found = read(fake)
    assert found is not OPEN
    assert repr(found) == repr(run(fake.site))


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", TRAPS)
def test_what_is_hard_to_read_is_left_open_or_read_as_python_has_it(fake: FakeEnvironment, name: str) -> None:
    build(fake, TRAPS[name])
    found, expected = read(fake), run(fake.site)
    assert found is OPEN or (found is THERE and expected) or repr(found) == repr(expected)


ATOMS = ("None", "True", "False", "0", "1", "''", "'a'", "'b'", "('a', 1)", "['a', 'b']", "[]", "{'a': 1}", "{1, 'a'}")


def expressions(names: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions of the kinds that stand in tests."""
    operators = st.sampled_from(["==", "!=", "is", "is not", "in", "not in", "<", ">="])
    return st.recursive(
        st.sampled_from(ATOMS) | names,
        lambda inner: st.one_of(
            st.builds("({} {} {})".format, inner, operators, inner),
            st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
            st.builds("(not {})".format, inner),
            st.builds("({} if {} else {})".format, inner, inner, inner),
            st.builds("bool({})".format, inner),
        ),
        max_leaves=5,
    )


NAMES = st.sampled_from(["x", "y", "z", "FLAG", "TABLE"])


def blocks() -> st.SearchStrategy[str]:
    """Statements of a function, in one scope."""
    simple = st.one_of(
        st.builds("{} = {}".format, st.sampled_from(["x", "y", "z"]), expressions(NAMES)),
        st.builds("return {}".format, expressions(NAMES)),
        st.just("pass"),
        st.just("try:\n    import pkg_of_nothing\n    y = 1\nexcept ImportError:\n    y = 2"),
        st.just("try:\n    import json\nexcept ImportError:\n    return 'none'\nelse:\n    x = 'json'"),
        st.builds("for z in (1, 2):\n    x = {}".format, expressions(NAMES)),
        st.just("if type(y) is list:\n    y.append('b')"),
    )
    return st.recursive(
        st.lists(simple, min_size=1, max_size=3).map("\n".join),
        lambda inner: st.builds(
            lambda test, body, other: f"if {test}:\n{_indented(body)}\nelse:\n{_indented(other)}",
            expressions(NAMES), inner, inner,
        ) | st.lists(inner, min_size=1, max_size=2).map("\n".join),
        max_leaves=4,
    )  # fmt: skip


def _indented(text: str) -> str:
    return textwrap.indent(text, "    ")


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    blocks(), st.sampled_from(ATOMS), st.sampled_from(ATOMS), st.sampled_from(["f({})", "f({}, z='b')", "f({}, 'a')"])
)
def test_no_function_is_read_otherwise_than_python_runs_it(body: str, flag: str, argument: str, call: str) -> None:
    text = (
        f"FLAG = {flag}\nTABLE = {{'a': 1, 'b': 2}}\nx = y = z = 'outside'\n"
        f"def f(x, y='a', z=None):\n{_indented(body)}\nit = {call.format(argument)}\n"
    )
    scope: dict[str, object] = {}
    try:
        exec(text, scope)  # noqa: S102  what was generated above
    except (TypeError, UnboundLocalError):
        return
    sources = Sources(lambda package: None)
    sources.facts = {"os.environ": {}}
    parsed = parse_module("pkg.a", text.encode(), is_package=False)
    sources.adopt(parsed)
    asked = ast.parse("it", mode="eval").body
    found = Exports(sources).conditions.value(asked, parsed, {})
    if found is THERE:
        assert scope["it"]
    elif isinstance(scope["it"], (list, dict, set)):
        assert found is OPEN or set(found) == set(scope["it"])  # type: ignore[call-overload]
    else:
        assert found is OPEN or repr(found) == repr(scope["it"])
