"""Each tiny package is imported by Python in a child and rehearsed here: both must end alike."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mixprec_doctor.rehearsal import Rehearsal, Stop
from mixprec_doctor.source import Exports, Sources
from mixprec_doctor.source.module import parse_module
from tests.doctor.conftest import FakeEnvironment

# The lines to run come first, then the files of an engine's package, each under a line "# path".
CASES: dict[str, str] = {
    "all_is_there": """import sglang.a
# a.py
from sglang.b import x
# b.py
x = 1""",
    "a_name_that_is_not_there": """from sglang.a import y
# a.py
x = 1""",
    "a_module_that_is_not_there": """import sglang.a.b
# a.py
x = 1""",
    "a_package_that_is_not_installed": """import sglang.a
# a.py
import nowhere_to_be_found""",
    "a_circle_that_closes_too_early": """from sglang.a import y
# a.py
from sglang.b import z
y = 1
# b.py
from sglang.a import y
z = y""",
    "a_circle_that_closes_after_the_name_is_bound": """from sglang.a import y
# a.py
y = 1
from sglang.b import z
# b.py
from sglang.a import y
z = y""",
    "a_circle_of_modules_without_names": """import sglang.a
# a.py
import sglang.b
# b.py
import sglang.a""",
    "a_circle_through_a_package": """from sglang.p.one import x
# p/__init__.py
from sglang.p.two import y
# p/one.py
x = 1
# p/two.py
from sglang.p import y_of_the_package
y = 1""",
    "the_other_order_of_a_circle_works": """import sglang.b
from sglang.a import y
# a.py
from sglang.b import z
y = 1
# b.py
z = 1
from sglang.a import y""",
    "a_submodule_by_its_package_in_a_circle": """import sglang.p
# p/__init__.py
from sglang.p import inner
# p/inner.py
from sglang.p import other
# p/other.py
x = 1""",
    "an_import_error_is_taken": """import sglang.a
# a.py
try:
    import nowhere
except ImportError:
    nowhere = None""",
    "a_handler_for_missing_modules_does_not_take_a_missing_name": """import sglang.a
# a.py
try:
    from sglang.b import nothing
except ModuleNotFoundError:
    nothing = None
# b.py
x = 1""",
    "a_value_error_is_not_taken_by_except_import_error": """import sglang.a
# a.py
try:
    import sglang.b
except ImportError:
    pass
# b.py
raise ValueError("no")""",
    "a_handler_raises_again": """import sglang.a
# a.py
try:
    import nowhere
except ImportError:
    raise""",
    "a_handler_raises_something_else": """import sglang.a
# a.py
try:
    import nowhere
except ImportError as fault:
    raise RuntimeError("install it") from fault""",
    "a_handler_raises_what_it_took": """import sglang.a
# a.py
try:
    import nowhere
except ImportError as fault:
    raise fault""",
    "names_bound_before_a_taken_fault_stay": """from sglang.a import one
# a.py
try:
    from sglang.b import one
    from sglang.b import two
except ImportError:
    pass
# b.py
one = 1""",
    "the_else_of_a_try_runs_only_without_a_fault": """import sglang.a
# a.py
try:
    import sglang.b
except ImportError:
    pass
else:
    import nowhere
# b.py
x = 1""",
    "what_finally_imports_fails_too": """import sglang.a
# a.py
try:
    import sglang.b
finally:
    import nowhere
# b.py
x = 1""",
    "suppress_takes_it": """import sglang.a
# a.py
from contextlib import suppress
with suppress(ImportError):
    import nowhere""",
    "a_type_checker_alone_imports_it": """import sglang.a
# a.py
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import nowhere""",
    "a_function_imports_it_later": """import sglang.a
# a.py
def f():
    import nowhere""",
    "a_class_body_imports_at_once": """import sglang.a
# a.py
class C:
    import nowhere""",
    "a_name_of_a_class_body_is_no_name_of_the_module": """import sglang.a
# a.py
class C:
    inner = 1
import sglang.b
# b.py
from sglang.a import inner""",
    "a_deleted_name_in_a_circle": """import sglang.a
# a.py
x = 1
del x
import sglang.b
# b.py
from sglang.a import x""",
    "a_fault_taken_once_is_met_again": """import sglang.a
# a.py
try:
    import sglang.b
except ImportError:
    pass
import sglang.b
# b.py
import nowhere""",
    "a_star_from_a_half_loaded_module": """import sglang.a
# a.py
one = 1
import sglang.b
two = 2
# b.py
from sglang.a import *
print(one)""",
    "a_flag_decides": """import sglang.a
# a.py
try:
    import nowhere
    HAS = True
except ImportError:
    HAS = False
if HAS:
    import nowhere_else
else:
    import sglang.b
# b.py
raise RuntimeError("reached")""",
    "a_small_function_decides": """import sglang.a
# a.py
import os
def wanted():
    return os.getenv("SGLANG_TEST_OF_NOTHING", "0") == "1"
if wanted():
    import nowhere
else:
    raise RuntimeError("not wanted")""",
    "a_function_that_is_called_at_once": """import sglang.a
# a.py
def patch():
    try:
        import nowhere
    except ImportError:
        return
    import nowhere_else
def other():
    if True:
        return
    import nowhere
def last():
    import sglang.b
    inner = 1
patch()
other()
last()
# b.py
from sglang.a import inner""",
    "a_function_of_another_module_that_is_called_at_once": """import sglang
# __init__.py
from sglang.patches import apply
apply()
# patches.py
def apply():
    _one()
def _one():
    from sglang.b import gone
# b.py
x = 1""",
    "a_parameter_is_not_the_name_of_the_module": """import sglang.a
# a.py
flag = False
def f(flag):
    if not flag:
        import nowhere
f(True)""",
    "a_loop_over_names": """import sglang.a
# a.py
import importlib
for name in ("sglang.b", "sglang.c"):
    importlib.import_module(name)
# b.py
x = 1""",
    "relative_imports": """import sglang.p.one
# p/__init__.py
# p/one.py
from .two import x
from ..a import missing
# p/two.py
x = 1
# a.py
y = 1""",
    "the_main_lines_take_it_themselves": """try:
    import sglang.a
except ModuleNotFoundError:
    pass
# a.py
import nowhere""",
    "the_main_lines_are_main": """if __name__ == "__main__":
    import sglang.a
# a.py
if __name__ == "__main__":
    import nowhere""",
    "a_lazy_name_is_imported_when_it_is_asked_for": """from sglang.a import Engine
# a.py
def __getattr__(name):
    if name == "Engine":
        from sglang.b import Engine
        return Engine
    raise AttributeError(name)
# b.py
import nowhere
Engine = 1""",
}


def build(fake: FakeEnvironment, case: str) -> str:
    """Write the package of a case, and give the lines to run."""
    lines, *files = re.split(r"^# (?=[\w/]+\.py$)", case, flags=re.MULTILINE)
    written = {"sglang/__init__.py": ""}
    for each in files:
        path, _, text = each.partition("\n")
        written[f"sglang/{path}"] = text
    fake.install("sglang", "0.5.3", files=written)
    return lines


def rehearsed(fake: FakeEnvironment, code: str) -> Stop | None:
    environment = fake.read()
    sources = Sources.of_environment(environment)
    sources.facts = {"os.environ": {}}
    parsed = parse_module("__main__", code.encode(), is_package=False, whole=True)
    return Rehearsal(Exports(sources), environment).run(parsed)


def run(code: str, site: Path) -> tuple[str, str] | None:
    """The type and message of the exception that Python ends with."""
    asked = f"import sys; sys.path.insert(0, {str(site)!r})\n" + code
    done = subprocess.run([sys.executable, "-I", "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        return None
    name, _, message = done.stderr.strip().splitlines()[-1].partition(": ")
    return name, message


@pytest.mark.parametrize("name", CASES)
def test_a_rehearsal_ends_as_python_does(fake: FakeEnvironment, name: str) -> None:
    code = build(fake, CASES[name])
    expected, found = run(code, fake.site), rehearsed(fake, code)
    if expected is None:
        assert found is None
        return
    assert found is not None
    kind, message = expected
    assert found.exception == kind
    if kind in ("ImportError", "ModuleNotFoundError"):
        assert message.startswith(found.text) or "is not a package" in message


def test_a_fault_that_is_taken_is_kept_with_what_the_handler_binds(fake: FakeEnvironment) -> None:
    fake.install("sglang", files={
        "sglang/__init__.py": "",
        "sglang/a.py": "try:\n    import sglang.b\n    FLAG = True\nexcept ImportError:\n    FLAG = False\n    class Dummy: ...\n",
        "sglang/b.py": "import nowhere\n",
    })  # fmt: skip
    environment = fake.read()
    rehearsal = Rehearsal(Exports(Sources.of_environment(environment)), environment)
    assert rehearsal.import_module("sglang.a") is None
    (taken,) = rehearsal.swallowed
    assert (taken.module, taken.first, taken.failed, taken.handler) == ("sglang.a", 2, 2, 4)
    assert taken.bound == ("FLAG", "Dummy")
    assert taken.stop.wanted == "nowhere"
    assert [step.module for step in taken.stop.trail] == ["__main__", "sglang.a", "sglang.b"]


def test_what_transformers_demands_of_its_own_requirements_ends_an_import(fake: FakeEnvironment) -> None:
    fake.install("tokenizers", "0.23.1")
    fake.install("transformers", "4.52.3", requires=("tokenizers<0.22",), files={
        "transformers/__init__.py": "from . import checked\n",
        "transformers/table.py": 'deps = {"tokenizers": "tokenizers>=0.21,<0.22", "absent": "absent>=1"}\n',
        "transformers/checked.py": (
            "from .table import deps\nfrom .versions import require_version_core\nnames = ['absent', 'tokenizers']\n"
            "for name in names:\n    require_version_core(deps[name])\n"
        ),
        "transformers/versions.py": "def require_version_core(wanted): ...\n",
    })  # fmt: skip
    stop = rehearsed(fake, "import transformers")
    assert stop is not None
    assert (stop.exception, stop.requirement) == ("ImportError", "tokenizers<0.22,>=0.21")
    assert "found tokenizers==0.23.1" in stop.text


@pytest.mark.parametrize("call, fails", [
    ('AutoConfig.register("aimv2", Config)', True),
    ('AutoConfig.register("aimv2", Config, exist_ok=True)', False),
    ('AutoConfig.register("of_our_own", Config)', False),
])  # fmt: skip
def test_a_configuration_that_transformers_has_itself_cannot_be_registered(
    fake: FakeEnvironment, call: str, fails: bool
) -> None:
    names = 'NAMES = OrderedDict(\n    [\n        ("aimv2", "Aimv2Config"),\n    ]\n)\n'
    fake.install("transformers", "4.57.0", files={
        "transformers/__init__.py": "",
        "transformers/models/__init__.py": "",
        "transformers/models/auto/__init__.py": "",
        "transformers/models/auto/configuration_auto.py": names,
    })  # fmt: skip
    code = f"try:\n    from sglang.a import x\nexcept ImportError:\n    pass\n# a.py\nx = 1\n{call}"
    stop = rehearsed(fake, build(fake, code))
    assert (stop is not None) == fails
    assert stop is None or (stop.exception, "'aimv2' is already used" in stop.text) == ("ValueError", True)
