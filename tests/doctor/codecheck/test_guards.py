"""Imports that something guards: tries, conditions, type checking."""

from __future__ import annotations

import pytest

from tests.doctor.codecheck.conftest import Bench, told

ENGINE = {"new.py": "class X: ...\ndef make(x): ...\n", "config.py": "", "version.py": "__version__ = '1.0'\n"}


def test_a_ladder_of_which_one_rung_works_is_fine(bench: Bench) -> None:
    code = """
        try:
            from vllm.old import X
        except ImportError:
            try:
                from vllm.older import X
            except ImportError:
                from vllm.new import X
        X()
        """
    assert bench.findings(code, ENGINE) == ()


def test_a_ladder_of_which_no_rung_works_is_one_error_at_the_last(bench: Bench) -> None:
    code = """
        try:
            from vllm.old import X
        except ImportError:
            from vllm.older import X
        """
    (found,) = bench.findings(code, ENGINE)
    assert (found.finding.code, found.finding.severity.value, found.place.line) == ("MP801", "error", 5)
    assert any("line 3" in line for line in found.finding.evidence)


@pytest.mark.parametrize(
    ("handler", "severity"),
    [
        ("except ImportError:\n    X = None", "warning"),
        ("except Exception:\n    pass", "warning"),
        ("except:\n    pass", "warning"),
        ("except ImportError as fault:\n    raise RuntimeError('no') from fault", "error"),
        ("except ImportError:\n    import sys\n    sys.exit(1)", "error"),
        ("except ValueError:\n    pass", "error"),
    ],
)
def test_a_handler_decides_how_grave_it_is(bench: Bench, handler: str, severity: str) -> None:
    bench.write(f"try:\n    from vllm.old import X\n{handler}\n")
    bench.install(ENGINE)
    assert told(bench.report().findings) == [("MP801", severity, 2)]


def test_a_missing_name_is_no_missing_module(bench: Bench) -> None:
    code = "try:\n    from vllm.new import Gone\nexcept ModuleNotFoundError:\n    Gone = None\n"
    assert told(bench.findings(code, ENGINE)) == [("MP802", "error", 2)]


def test_suppress_guards_like_a_try(bench: Bench) -> None:
    code = "import contextlib\nwith contextlib.suppress(ImportError):\n    import vllm.old\n"
    assert told(bench.findings(code, ENGINE)) == [("MP801", "warning", 3)]


def test_a_handler_that_another_package_may_need_is_a_warning(bench: Bench) -> None:
    code = "try:\n    import flash_attn as X\nexcept ImportError:\n    import vllm.old as X\n"
    assert told(bench.findings(code, ENGINE)) == [("MP801", "warning", 4)]


def test_what_only_a_type_checker_sees_is_a_warning(bench: Bench) -> None:
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import vllm.old\n"
    assert told(bench.findings(code, ENGINE)) == [("MP801", "warning", 3)]


@pytest.mark.parametrize(
    "test",
    [
        "Version(vllm.__version__) >= Version('2.0')",
        "version.parse(vllm.__version__).base_version >= '2.0'",
        "vllm.__version__ == '0.9'",
        "vllm.__version__.startswith('0.')",
        "vllm.__version_tuple__ >= (2, 0)",
        "vllm.__version_tuple__[:2] == (0, 9)",
        "'2.0' <= vllm.__version__",
        "Version('2.0') <= Version(importlib.metadata.version('vllm')) < Version('3.0')",
        "Version(vllm.__version__) in (Version('0.8'), Version('0.9'))",
        "not Version(vllm.__version__) < Version('2.0')",
        "HERE > Version('2.0')",
        "IS_NEW",
        "newer_than('2.0')",
        "newer_than(target='2.0')",
        "importlib.util.find_spec('vllm.old')",
        "importlib.util.find_spec('vllm.old') is not None",
        "hasattr(vllm, 'old')",
        "hasattr(vllm.new, 'Y')",
        "getattr(vllm.new, 'Y', None) is not None",
        "sys.version_info >= (3, 99)",
        "HAS_OLD",
        "HAS_OLD and x",
        "OLD is not None",
        "NEEDED",
        "'y' in inspect.signature(make).parameters",
        "'y' in PARAMETERS",
        "False",
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "if {test}:\n    import vllm.old\n",
        "if not ({test}):\n    pass\nelse:\n    import vllm.old\n",
        "def f():\n    if not ({test}):\n        return\n    import vllm.old\n",
        "import vllm.old.deep if {test} else 1",
    ],
)
def test_a_branch_that_the_release_does_not_take_is_left_out(bench: Bench, test: str, form: str) -> None:
    if " if " in form:
        form = "x = vllm.old.deep if {test} else 1\n"
    head = """\
import importlib.metadata, importlib.util, inspect, sys
from packaging import version
from packaging.version import Version
import vllm
import vllm.new
HERE = Version(vllm.__version__)
IS_NEW = HERE >= Version("2.0")
def newer_than(target):
    found = vllm.__version__
    return Version(found) > Version(target)
try:
    import vllm.old
    HAS_OLD = True
except ImportError:
    HAS_OLD = False
try:
    from vllm.new import OLD
except ImportError:
    OLD = None
try:
    NEEDED = HERE < Version("0.5")
except ValueError:
    NEEDED = False
from vllm.new import make
PARAMETERS = inspect.signature(make).parameters
"""
    bench.write(head + form.format(test=test))
    bench.install(ENGINE)
    assert [line for _, _, line in told(bench.report().findings) if line > 25] == []


def test_the_branch_that_the_release_takes_is_judged(bench: Bench) -> None:
    code = """
        import vllm
        from packaging.version import Version
        if Version(vllm.__version__) >= Version("0.5"):
            import vllm.old
        """
    assert told(bench.findings(code, ENGINE)) == [("MP801", "error", 5)]


def test_where_nobody_can_decide_one_branch_that_works_is_enough_for_a_note(bench: Bench) -> None:
    code = """
        from somewhere import vllm_version_is
        if vllm_version_is("0.9"):
            from vllm.old import X
        else:
            from vllm.new import X
        """
    assert told(bench.findings(code, ENGINE)) == [("MP801", "info", 4)]


def test_where_nobody_can_decide_and_no_branch_works_it_is_a_warning(bench: Bench) -> None:
    code = """
        from somewhere import vllm_version_is
        if vllm_version_is("0.9"):
            from vllm.old import X
        else:
            from vllm.older import X
        """
    assert told(bench.findings(code, ENGINE)) == [("MP801", "warning", 4), ("MP801", "warning", 6)]


def test_a_condition_about_something_else_guards_nothing(bench: Bench) -> None:
    assert told(bench.findings("import os\nif os.name:\n    import vllm.old\n", ENGINE)) == [("MP801", "error", 3)]


def test_a_function_that_only_another_release_calls_is_left_out(bench: Bench) -> None:
    code = """
        import vllm
        from packaging.version import Version
        def _legacy():
            import vllm.old
        if Version(vllm.__version__) < Version("0.5"):
            _legacy()
        """
    assert bench.findings(code, ENGINE) == ()


def test_a_function_that_is_called_somewhere_is_judged(bench: Bench) -> None:
    code = """
        import vllm
        from packaging.version import Version
        def _legacy():
            import vllm.old
        if Version(vllm.__version__) < Version("0.5"):
            _legacy()
        run = [_legacy]
        """
    assert told(bench.findings(code, ENGINE)) == [("MP801", "error", 5)]


def test_a_condition_may_come_from_a_file_that_is_read_later(bench: Bench) -> None:
    bench.write("", "own/__init__.py")
    bench.write(
        "from own.utils import is_new\nif is_new('2.0'):\n    import vllm.old\nelse:\n    import vllm.older\n",
        "own/a.py",
    )
    bench.write(
        "import vllm\nfrom packaging.version import Version\n"
        "def is_new(v):\n    return Version(vllm.__version__) >= Version(v)\n",
        "own/utils.py",
    )
    bench.install(ENGINE)
    assert told(bench.report().findings) == [("MP801", "error", 5)]
