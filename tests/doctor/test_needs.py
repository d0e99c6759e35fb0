"""What an import needs in vain: each test is one rule of what runs at import time, or of who provides it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

import pytest

from mixprec_doctor.records.need import Need
from mixprec_doctor.resolving.importnames import DISTRIBUTIONS_OF
from mixprec_doctor.resolving.needs import NeedFinder, missing_needs
from mixprec_doctor.resolving.providers import cure
from tests.doctor.conftest import FakeEnvironment

ASKED = "vllm.layers.fp8"


def finder(fake: FakeEnvironment) -> NeedFinder:
    return NeedFinder(fake.exports(), fake.read(), engine="vllm")


def engine(
    fake: FakeEnvironment, text: str, more: Mapping[str, str] | None = None, *, requires: Sequence[str] = ()
) -> None:
    """vLLM with one module that is asked for, and more by their paths in the package, without ``.py``."""
    files: dict[str, str | bytes] = {
        "vllm/__init__.py": "", "vllm/layers/__init__.py": "", "vllm/layers/fp8.py": text,
        **{f"vllm/{path}.py": content for path, content in (more or {}).items()},
    }  # fmt: skip
    fake.install("vllm", "0.9.0", files=files, requires=requires)


def needed(fake: FakeEnvironment, text: str, more: Mapping[str, str] | None = None) -> list[str]:
    """The import names that the asked module needs in vain."""
    engine(fake, text, more)
    return [need.import_name for need in finder(fake).missing(ASKED)]


@pytest.mark.parametrize(
    "text",
    [
        "import absent",
        "import absent.deep as other",
        "from absent.deep import name",
        "class A:\n    import absent",
        "class A:\n    class B:\n        from absent import name",
        "with open('x') as f:\n    import absent",
        "if True:\n    import absent",
        "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import absent",
        "import sys\nif sys.version_info >= (3, 8):\n    import absent",
        "try:\n    import absent\nfinally:\n    pass",
        "try:\n    import absent\nexcept KeyError:\n    pass",
        "try:\n    import gone\nexcept ImportError:\n    import absent",
        "try:\n    import json\nexcept ImportError:\n    pass\nelse:\n    import absent",
        "try:\n    pass\nexcept ImportError:\n    pass\nfinally:\n    import absent",
        "try:\n    import absent\nexcept ImportError as fault:\n    raise RuntimeError('install it') from fault",
        "import importlib\nM = importlib.import_module('absent.deep')",
        "from importlib import import_module\nclass A:\n    M = import_module('absent')",
        "for name in ('absent',):\n    globals()[name] = __import__(name)",
    ],
)
def test_what_certainly_runs_at_import_time_is_needed(fake: FakeEnvironment, text: str) -> None:
    assert needed(fake, text) == ["absent"]


@pytest.mark.parametrize(
    "text",
    [
        "import json, os.path, collections.abc",
        "def f():\n    import absent",
        "class A:\n    def f(self):\n        import absent",
        "f = lambda: __import__('absent')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import absent",
        "if False:\n    import absent",
        "import sys\nif sys.platform == 'win32':\n    import absent",
        "if __name__ == '__main__':\n    import absent",
        "try:\n    import absent\nexcept ImportError:\n    absent = None",
        "try:\n    import absent\nexcept (OSError, ModuleNotFoundError):\n    absent = None",
        "try:\n    import absent\nexcept:\n    absent = None",
        "try:\n    import json\nexcept ImportError:\n    import absent",
        "try:\n    import absent\nexcept ImportError:\n    pass\nelse:\n    import gone",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import absent",
        "raise ImportError('not here')\nimport absent",
    ],
)
def test_what_need_not_run_is_not_needed(fake: FakeEnvironment, text: str) -> None:
    assert needed(fake, text) == []


def test_what_nobody_can_judge_is_needed_under_its_condition(fake: FakeEnvironment) -> None:
    text = "import os\nif os.environ.get('X'):\n    import absent\nelif later():\n    from .kernels import run"
    engine(fake, text, {"layers/kernels": "import gone\nrun = 1"})
    asked = finder(fake)
    assert asked.missing(ASKED) == ()
    assert [(need.import_name, need.condition) for need in asked.conditional(ASKED)] == [
        ("absent", "os.environ.get('X')"),
        ("gone", "not (os.environ.get('X')) and later()"),
    ]


def test_a_need_that_is_certain_elsewhere_has_no_condition(fake: FakeEnvironment) -> None:
    engine(fake, "if maybe():\n    import absent\nimport absent")
    asked = finder(fake)
    assert [need.condition for need in asked.missing(ASKED)] == [None]
    assert asked.conditional(ASKED) == ()


def test_packages_run_before_the_modules_in_them(fake: FakeEnvironment) -> None:
    engine(fake, "import third")
    fake.write("vllm/__init__.py", "import first")
    fake.write("vllm/layers/__init__.py", "import second")
    needs = finder(fake).missing(ASKED)
    assert [need.import_name for need in needs] == ["first", "second", "third"]
    assert [(step.module, step.line) for step in needs[0].chain] == [(ASKED, None), ("vllm", 1)]


def test_the_chain_leads_to_the_statement_that_fails(fake: FakeEnvironment) -> None:
    engine(fake, "x = 1\nfrom ..utils.common import f", {"utils/common": "\n\nimport zmq.asyncio  # messages\nf = 1"})
    (need,) = finder(fake).missing(ASKED)
    assert [(step.module, step.path, step.line, step.statement) for step in need.chain] == [
        (ASKED, "vllm/layers/fp8.py", 2, "from ..utils.common import f"),
        ("vllm.utils.common", "vllm/utils/common.py", 3, "import zmq.asyncio # messages"),
    ]


def test_the_chain_of_a_package_ends_in_its_init(fake: FakeEnvironment) -> None:
    engine(fake, "from vllm import utils", {"utils/__init__": "import absent"})
    (need,) = finder(fake).missing(ASKED)
    assert need.chain[-1].path == "vllm/utils/__init__.py"


def test_circles_end(fake: FakeEnvironment) -> None:
    assert needed(fake, "from . import other", {"layers/other": "from . import fp8\nimport absent"}) == ["absent"]


def test_a_try_whose_module_fails_further_in_has_failed(fake: FakeEnvironment) -> None:
    text = "try:\n    from . import fast\nexcept ImportError:\n    from . import slow"
    assert needed(fake, text, {"layers/fast": "import quick", "layers/slow": "import lame"}) == ["lame"]


def test_a_missing_name_is_not_caught_as_a_missing_module(fake: FakeEnvironment) -> None:
    fake.install("other", files={"other/__init__.py": "a = 1"})
    assert needed(fake, "try:\n    from other import b\nexcept ModuleNotFoundError:\n    b = None") == ["other.b"]
    assert needed(fake, "try:\n    from other import b\nexcept ImportError:\n    b = None") == []


@pytest.mark.parametrize(
    ("init", "wanted"),
    [
        ("", ["absent"]),
        ("from . import deep", ["absent"]),
        ("import vllm.tools.deep as deep", ["absent"]),
        ("deep = 1", []),
        ("from .shallow import deep", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .shallow import deep", ["absent"]),
    ],
)
def test_a_submodule_is_imported_where_the_package_has_no_such_name(
    fake: FakeEnvironment, init: str, wanted: list[str]
) -> None:
    more = {"tools/__init__": init, "tools/deep": "import absent", "tools/shallow": "deep = 1"}
    assert needed(fake, "from vllm.tools import deep", more) == wanted


def test_star_imports_bring_the_modules_that_all_names(fake: FakeEnvironment) -> None:
    more = {"tools/__init__": "__all__ = ['deep']", "tools/deep": "import absent"}
    assert needed(fake, "from vllm.tools import *", more) == ["absent"]


def test_a_name_that_a_lazy_module_imports_is_followed(fake: FakeEnvironment) -> None:
    init = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .deep import A\ndef __getattr__(name): ..."
    more = {"tools/__init__": init, "tools/deep": "import absent\nclass A: ..."}
    assert needed(fake, "from vllm.tools import A", more) == ["absent"]


# Other packages


def third_party(fake: FakeEnvironment, files: Mapping[str, str], *, requires: Sequence[str] = ()) -> None:
    fake.install("other", "4.1", files=dict(files), requires=requires)


def test_a_package_that_has_all_it_requires_is_trusted(fake: FakeEnvironment) -> None:
    third_party(fake, {"other/__init__.py": "import vendored_by_magic"})
    assert needed(fake, "import other") == []


def test_a_package_that_lacks_a_requirement_is_followed_for_it(fake: FakeEnvironment) -> None:
    files = {"other/__init__.py": "from .hub import x\nimport vendored_by_magic", "other/hub.py": "import hub_client"}
    third_party(fake, files, requires=["hub-client>=2", "never-imported"])
    engine(fake, "from other import x")
    (need,) = finder(fake).missing(ASKED)
    assert (need.import_name, need.reason, need.distribution) == ("hub_client", "not installed", "hub-client>=2")
    assert [step.module for step in need.chain] == [ASKED, "other", "other.hub"]


def test_a_requirement_of_a_requirement_is_followed_too(fake: FakeEnvironment) -> None:
    third_party(fake, {"other/__init__.py": "import between"}, requires=["between"])
    fake.install("between", files={"between/__init__.py": "import hub_client"}, requires=["hub-client"])
    assert needed(fake, "import other") == ["hub_client"]


@pytest.mark.parametrize("requirement", ["hub-client; extra == 'all'", "hub-client; python_version < '3'"])
def test_requirements_of_extras_and_other_pythons_raise_no_doubt(fake: FakeEnvironment, requirement: str) -> None:
    third_party(fake, {"other/__init__.py": "import hub_client"}, requires=[requirement])
    assert needed(fake, "import other") == []


def test_a_caught_failure_inside_a_package_is_no_need(fake: FakeEnvironment) -> None:
    third_party(fake, {"other/__init__.py": "try: import hub\nexcept ImportError: hub = None"}, requires=["hub"])
    assert needed(fake, "import other") == []


def test_a_lazy_package_in_doubt_is_followed_by_its_files(fake: FakeEnvironment) -> None:
    files = {
        "other/__init__.py": "import sys\nfrom .lazy import _LazyModule\nsys.modules[__name__] = _LazyModule(__name__)",
        "other/lazy.py": "class _LazyModule: ...",
        "other/auto/__init__.py": "",
        "other/auto/config.py": "import hub_client\nclass AutoConfig: ...",
    }
    third_party(fake, files, requires=["hub-client"])
    assert needed(fake, "from other import AutoConfig") == ["hub_client"]


@pytest.mark.parametrize(
    ("text", "wanted", "reason"),
    [
        ("import other.new", "other.new", "installed 4.1 has no such module"),
        ("from other.new.deep import x", "other.new", "installed 4.1 has no such module"),
        ("from other.old import fresh", "other.old.fresh", "installed 4.1 has no name fresh"),
        ("from other import fresh", "other.fresh", "installed 4.1 has no name fresh"),
        (
            "from other import stars_do_not_help",
            "other.stars_do_not_help",
            "installed 4.1 has no name stars_do_not_help",
        ),
    ],
)
def test_what_an_installed_version_lacks_is_needed(fake: FakeEnvironment, text: str, wanted: str, reason: str) -> None:
    third_party(fake, {"other/__init__.py": "from .old import *\nx = 1  # not fresh", "other/old.py": "class A: ..."})
    engine(fake, text, requires=["other>=5"])
    (need,) = finder(fake).missing(ASKED)
    assert (need.import_name, need.reason, need.distribution) == (wanted, reason, "other>=5")


@pytest.mark.parametrize(
    "init",
    [
        "def __getattr__(name): ...",
        "globals().update(x=1)",
        "import sys\nsys.modules['other.x'] = sys",
        "from ._compiled import *",
        "from json import *",
        "from .old import *",
        "for x in (): ...",
        "def f():\n    global x\nf()",
        "with open('f') as x: ...",
    ],
)
def test_names_that_could_be_made_at_import_time_are_trusted(fake: FakeEnvironment, init: str) -> None:
    files = {"other/__init__.py": init, "other/_compiled.abi3.so": "", "other/old.py": "x = 1"}
    third_party(fake, files)
    assert needed(fake, "from other import x") == []


def test_a_star_brings_only_what_all_lists(fake: FakeEnvironment) -> None:
    old = "__all__ = ['a']\na = x = 1\nsetattr(a, 'y', 1)"
    third_party(fake, {"other/__init__.py": "from .old import *", "other/old.py": old})
    assert needed(fake, "from other import a, x") == ["other.x"]
    fake.write("other/old.py", f"{old}\n__all__ += ['x']")
    assert needed(fake, "from other import a, x") == []


def test_compiled_packages_are_trusted(fake: FakeEnvironment) -> None:
    third_party(fake, {"other/__init__.py": "", "other/_C.abi3.so": "", "loose.abi3.so": ""})
    fake.write("unlisted.cpython-311-x86_64-linux-gnu.so")
    text = "import loose.x\nimport unlisted\nimport other._C.deep\nfrom other._C import a\nfrom other import _C"
    assert needed(fake, text) == []


def test_namespace_packages_are_asked_for_what_lies_in_them(fake: FakeEnvironment) -> None:
    fake.install("googleapis-common-protos", files={"google/api/http.py": ""})
    assert needed(fake, "import google.api.http\nfrom google import protobuf") == ["google.protobuf"]


def test_a_file_that_the_engine_itself_lost_is_needed(fake: FakeEnvironment) -> None:
    engine(fake, "from vllm import lost\nfrom vllm.gone import x")
    found = [(need.import_name, need.reason) for need in finder(fake).missing(ASKED)]
    assert found == [
        ("vllm.lost", "installed 0.9.0 has no name lost"),
        ("vllm.gone", "installed 0.9.0 has no such module"),
    ]


# What to install


@pytest.mark.parametrize(
    ("text", "requires", "distribution"),
    [
        ("import some_thing", ["Some.Thing>=2,<3"], "Some.Thing<3,>=2"),
        ("import zmq", ["pyzmq>=25.1"], "pyzmq>=25.1"),
        ("import google.protobuf.message", ["protobuf>=5"], "protobuf>=5"),
        ("import sgl_kernel", ["sgl-kernel==0.3"], "sgl-kernel==0.3"),
        ("import sgl_kernel", ["sglang-kernel==0.4"], "sglang-kernel==0.4"),
        ("import cv2", ["opencv-python-headless>=4.11"], "opencv-python-headless>=4.11"),
        ("import absent", ["absent==1; extra == 'x'"], "absent==1"),
        ("import absent", ["absent==1; extra == 'x'", "absent>=2"], "absent>=2"),
        ("import absent", ["absent==1; python_version < '3'", "absent>=2; python_version >= '3'"], "absent>=2"),
        ("import absent", ["absent[fast]>=2"], "absent[fast]>=2"),
        ("import absent", ["absent @ https://example.org/a.whl"], "absent @ https://example.org/a.whl"),
        ("import zmq", [], "pyzmq"),
        ("import sgl_kernel", [], None),
        ("import absent", ["other"], None),
        ("import absent", ["not a requirement !!"], None),
    ],
)
def test_the_distribution_is_the_one_that_the_metadata_names(
    fake: FakeEnvironment, text: str, requires: list[str], distribution: str | None
) -> None:
    engine(fake, text, requires=requires)
    (need,) = finder(fake).missing(ASKED)
    assert need.distribution == distribution
    assert (distribution or "no metadata here names what provides it") in str(need)


def test_other_distributions_may_name_it_but_not_in_their_extras(fake: FakeEnvironment) -> None:
    third_party(fake, {"other/__init__.py": ""}, requires=["absent>=3", "gone>=1; extra == 'dev'"])
    engine(fake, "import absent, gone")
    assert [need.distribution for need in finder(fake).missing(ASKED)] == ["absent>=3", None]


def test_one_line_cures_all(fake: FakeEnvironment) -> None:
    engine(fake, "import zmq, yaml, absent\nfrom . import b", {"layers/b": "import zmq"}, requires=["pyzmq>=25,<26"])
    needs = finder(fake).missing(ASKED)
    line = cure(needs, fake.read())
    assert line is not None
    assert shlex.split(line)[1:] == ["-m", "pip", "install", "pyyaml", "pyzmq<26,>=25"]
    assert cure(needs[2:], fake.read()) is None


def test_a_version_that_lacks_something_is_upgraded_within_all_bounds(fake: FakeEnvironment) -> None:
    third_party(fake, {"other/__init__.py": ""})
    fake.install("more", files={"more/__init__.py": "from other import b"}, requires=["Other>=5"])
    engine(fake, "from other import a\nimport more", requires=["other<6"])
    line = cure(finder(fake).missing(ASKED), fake.read())
    assert line is not None
    assert shlex.split(line)[3:] == ["install", "--upgrade", "other<6,>=5"]


def test_every_need_is_named_once_and_in_the_order_of_the_import(fake: FakeEnvironment) -> None:
    assert needed(fake, "import b.c\nfrom . import x\nimport a", {"layers/x": "import a, b, d"}) == ["b", "a", "d"]


def test_needs_survive_json(fake: FakeEnvironment) -> None:
    engine(fake, "import zmq\nif maybe(): import absent", requires=["pyzmq>=25"])
    asked = finder(fake)
    needs = (*asked.missing(ASKED), *asked.conditional(ASKED))
    assert len(needs) == 2
    assert tuple(Need.from_json(json.loads(json.dumps(need.to_json()))) for need in needs) == needs


def test_modules_are_parsed_once_for_all_questions(fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    from mixprec_doctor.source import sources

    parsed: list[str] = []
    parse = sources.parse_module
    monkeypatch.setattr(
        sources, "parse_module",
        lambda name, source, **rest: (parsed.append(name), parse(name, source, **rest))[1],
    )  # fmt: skip
    engine(fake, "from . import shared", {"layers/shared": "import zmq", "layers/other": "from . import shared"})
    asked = finder(fake)
    for module in (ASKED, "vllm.layers.other", ASKED):
        assert [need.import_name for need in asked.missing(module)] == ["zmq"]
    assert sorted(parsed) == ["vllm", "vllm.layers", ASKED, "vllm.layers.other", "vllm.layers.shared"]


def test_without_an_environment_nothing_is_known_to_be_missing(fake: FakeEnvironment) -> None:
    from mixprec_doctor.source import Exports, Sources

    engine(fake, "import absent\nfrom . import lost")
    sources = Sources.of_folder(fake.site)
    needs = missing_needs(sources, Exports(sources), None, ASKED, engine="vllm")
    assert [(need.import_name, need.reason) for need in needs] == [
        ("vllm.layers.lost", "what is read has no name lost")
    ]


def test_the_table_holds_only_names_that_normalizing_does_not_give() -> None:
    from packaging.utils import canonicalize_name

    for name, distributions in DISTRIBUTIONS_OF.items():
        assert distributions
        assert [canonicalize_name(each) for each in distributions] == list(distributions)
        assert "." in name or canonicalize_name(name) != distributions[0]


@pytest.mark.parametrize("source", [
    "class Lazy:\n    def __getattr__(self, key): ...\n",
    "def load(name, module):\n    import sys\n    sys.modules[name] = module\n",
    "def fill(thing):\n    setattr(thing, 'x', vars())\n",
])  # fmt: skip
def test_what_only_looks_computed_does_not_hide_a_missing_name(fake: FakeEnvironment, source: str) -> None:
    """As vLLM 0.7's ``vllm.utils``, which has no ``print_warning_once`` any more."""
    fake.install("other", files={"other/__init__.py": "", "other/utils.py": source})
    assert needed(fake, "from other.utils import gone") == ["other.utils.gone"]


def test_a_package_that_registers_one_name_lacks_the_others_all_the_same(fake: FakeEnvironment) -> None:
    """As outlines_core 0.2, which has no ``fsm`` any more."""
    registers = (
        "import sys\nfrom . import _schema\n# sys.modules: for old imports\nsys.modules['other.schema'] = _schema\n"
    )
    fake.install("other", files={"other/__init__.py": registers, "other/_schema.py": "x = 1\n"})
    assert needed(fake, "from other.fsm.guide import Guide") == ["other.fsm"]
    assert needed(fake, "from other.schema import x") == []
