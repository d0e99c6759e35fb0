"""``doctor --code``: what would happen to some lines of Python in an environment, without running them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor import examine
from mixprec_doctor.checks import run_checks, select_checks
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.lenders import Lenders
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.resolving.borrowing import Borrowed
from mixprec_doctor.usercode import UnreadableCode, read_code
from mixprec_doctor.usercode.calls import abbreviates, misfit
from tests.doctor.conftest import LAPTOP, FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM

HOME = "sglang/srt/layers/quantization"


@pytest.fixture
def sglang(fake: FakeEnvironment) -> FakeEnvironment:
    files = {
        **SGLANG,
        "sglang/srt/utils/__init__.py": "",
        "sglang/srt/utils/tokenizers.py": "import absent_one\nfrom absent_two import x\ndef get_tokenizer(name, *, fast=True): ...\n",
        f"{HOME}/odd.py": "try:\n    from missing_engine import Real\nexcept ImportError:\n    Real = None\nMETHODS = {'real': Real}\n",
        "sglang/lazy.py": "def __getattr__(name):\n    if name == 'Engine':\n        from sglang.srt.utils.tokenizers import get_tokenizer\n        return get_tokenizer\n    raise AttributeError(name)\n",
        "sglang/later.py": "from sglang.help import LazyImport\nEngine = LazyImport('sglang.srt.utils.tokenizers', 'get_tokenizer')\n",
        "sglang/help.py": "class LazyImport:\n    def __init__(self, module, name): ...\n    def __call__(self, *args): ...\n",
    }
    fake.install("sglang", "0.5.3", files=files, requires=("pypi-one>=2", "absent_two"))
    return fake


def findings(fake: FakeEnvironment, code: str) -> list[Finding]:
    """Those about the code: none of it is run, so its side effects would be noticed by nobody."""
    found = examine(site_packages=fake.site, code=code, machine=LAPTOP).findings
    return [each for each in found if each.code in ("MP203", "MP204", "MP205", "MP302")]


def test_a_module_that_moved_is_named_with_its_new_place(sglang: FakeEnvironment) -> None:
    first = findings(sglang, "from sglang.srt.tokenizers import get_tokenizer")[0]
    assert first.code == "MP203"
    assert "sglang 0.5.3 has no module sglang.srt.tokenizers" in first.summary
    assert first.remedy is not None
    assert first.remedy.commands == ("from sglang.srt.utils.tokenizers import get_tokenizer",)


def test_a_name_that_moved_is_named_with_its_new_place(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "from sglang.srt.layers.quantization import Fp8LinearMethod")
    assert found.code == "MP203"
    assert found.remedy is not None
    assert found.remedy.commands == ("from sglang.srt.layers.quantization.fp8 import Fp8LinearMethod",)


def test_names_of_a_module_that_is_gone_are_looked_for_one_by_one(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "from sglang.srt.server import get_tokenizer, Fp8LinearMethod")
    assert found.remedy is not None
    assert found.remedy.commands == (
        "from sglang.srt.utils.tokenizers import get_tokenizer",
        "from sglang.srt.layers.quantization.fp8 import Fp8LinearMethod",
    )


def test_a_module_of_the_same_name_without_what_is_wanted_is_no_new_place(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "from sglang.srt.tokenizers import nothing_of_the_kind")
    assert found.remedy is not None
    assert found.remedy.commands == ()
    assert "nowhere" not in found.remedy.text
    assert "has no sglang.srt.tokenizers.nothing_of_the_kind" in found.remedy.text


def test_a_misspelt_name_is_named_as_it_is_spelt(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "from sglang.srt.layers.quantization.fp8 import Fp8LinearMethods")
    assert found.remedy is not None
    assert found.remedy.commands == ("from sglang.srt.layers.quantization.fp8 import Fp8LinearMethod",)


@pytest.mark.parametrize(
    "code",
    [
        "import sglang.srt.utils.tokenizers as t\nt.get_tokenizers('x')",
        "import sglang.help\nsglang.help.LazyImports",
        "from sglang.srt.utils import tokenizers\ntokenizers.get_tokenizers",
    ],
)
def test_an_attribute_that_a_module_does_not_have_is_named(sglang: FakeEnvironment, code: str) -> None:
    found = [each for each in findings(sglang, code) if each.code == "MP203"]
    assert len(found) == 1
    assert "has no " in found[0].summary
    assert found[0].remedy is not None
    assert found[0].remedy.commands[0] in (
        "from sglang.srt.utils.tokenizers import get_tokenizer",
        "from sglang.help import LazyImport",
    )


@pytest.mark.parametrize(
    "code",
    [
        "import sglang.lazy\nsglang.lazy.Engine",
        "import sglang.help\ntry:\n    sglang.help.Gone\nexcept AttributeError:\n    pass",
        "import sglang.help as h\nh.new = 1\nclass h:\n    Gone = 1\nh.Gone",
        "import sglang\nsglang.srt.layers",
        "import sglang\nprint(sglang.__version__, sglang.__file__)",
    ],
)
def test_an_attribute_that_may_well_be_there_is_none(sglang: FakeEnvironment, code: str) -> None:
    assert [each.code for each in findings(sglang, code) if each.code == "MP203"] == []


@pytest.fixture
def forwarding(fake: FakeEnvironment) -> FakeEnvironment:
    """A constructor that hands its further keywords on, and one that hands them on through a class attribute."""
    files = {
        "vllm/__init__.py": "",
        "vllm/args.py": (
            "from dataclasses import dataclass\n@dataclass\nclass Args:\n    model: str\n    tp_size: int = 1\n"
            "    stats: bool = True\n"
        ),
        "vllm/llm.py": (
            "from vllm.args import Args\nclass LLM:\n    def __init__(self, model, *, seed=0, **kwargs):\n"
            "        if 'stats' not in kwargs:\n            kwargs['stats'] = False\n"
            "        kwargs.pop('legacy', None)\n        self.args = Args(model=model, **kwargs)\n"
            "class Engine:\n    args_class: type = Args\n    def __init__(self, **kwargs):\n"
            "        if 'args' in kwargs:\n            self.args = kwargs['args']\n        else:\n"
            "            self.args = self.args_class(**kwargs)\n"
            "class Filled(LLM):\n    def __init__(self, **kwargs):\n        kwargs.update(more())\n"
            "        super().__init__(**kwargs)\n"
        ),
    }
    fake.install("vllm", "1.0", files=files)
    return fake


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            "LLM('x', tensor_parallel_size=2)",
            ("no parameter tensor_parallel_size", "rename tensor_parallel_size to tp_size"),
        ),
        ("Engine(tp_size=2)", ("nothing for model",)),
        ("Engine(model='x', tp_sise=2)", ("rename tp_sise to tp_size",)),
    ],
)
def test_keywords_that_are_handed_on_are_held_against_what_gets_them(
    forwarding: FakeEnvironment, call: str, words: tuple[str, ...]
) -> None:
    (found,) = findings(forwarding, f"from vllm.llm import LLM, Engine\n{call}")
    assert found.code == "MP302"
    assert found.remedy is not None
    said = f"{found.summary} {found.remedy.text}"
    assert [word for word in words if word not in said] == []
    assert "hands its further keywords on to Args" in found.cause


@pytest.mark.parametrize(
    "call",
    [
        "LLM('x', seed=1, tp_size=2, legacy=3, stats=True)",
        "Engine(args=1)",
        "Engine(**everything)",
        "Filled(whatever=1)",
    ],
)
def test_keywords_that_may_well_be_taken_are_no_fault(forwarding: FakeEnvironment, call: str) -> None:
    assert findings(forwarding, f"from vllm.llm import LLM, Engine, Filled\n{call}") == []


def test_what_a_function_imports_is_known_inside_of_it_and_its_variables_hide_imports(sglang: FakeEnvironment) -> None:
    code = (
        "from sglang.srt.utils.tokenizers import get_tokenizer\n"
        "def main():\n    from sglang.help import LazyImport as L\n    return L(wrong=1)\n"
        "def other(get_tokenizer):\n    return get_tokenizer(wrong=1)\n"
    )
    calls = [each for each in findings(sglang, code) if each.code == "MP302"]
    assert [each.summary.partition("(")[0] for each in calls] == ["LazyImport"]


def test_a_class_that_a_call_makes_is_held_against_what_it_was_made_of(fake: FakeEnvironment) -> None:
    made = "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\nlog = print.__call__('x')\n"
    fake.install("maker", files={"maker/__init__.py": made})
    (found,) = findings(fake, "from maker import Point, log\nPoint(x=1, z=2)\nlog(1, 2)")
    assert "no parameter z" in found.summary


@pytest.mark.parametrize(
    ("short", "long", "fits"),
    [
        ("tp_size", "tensor_parallel_size", True),
        ("max_len", "maximum_len", False),
        ("size", "tensor_parallel_size", False),
        ("tp", "tensor_parallel", True),
        ("t_size", "tensor_size", False),
    ],
)
def test_an_abbreviation_is_the_same_words_by_their_first_letters(*, short: str, long: str, fits: bool) -> None:
    assert abbreviates(short, long) is fits


def test_what_took_the_place_of_a_name_that_is_gone_is_proposed(fake: FakeEnvironment) -> None:
    renamed = {
        path.replace("/gptq.py", "/auto_gptq.py"): text.replace("GPTQConfig", "AutoGPTQConfig").replace(
            "quantization.gptq import", "quantization.auto_gptq import"
        )
        for path, text in VLLM.items()
    }
    fake.install("vllm", "0.32.0", files=renamed)
    home = "vllm.model_executor.layers.quantization"
    found = findings(fake, f"from {home}.gptq import GPTQConfig")[0]
    assert found.remedy is not None
    assert found.remedy.commands[0] == f"from {home}.auto_gptq import AutoGPTQConfig as GPTQConfig"
    assert "took the place of GPTQConfig" in found.remedy.text


def test_what_is_nowhere_in_this_release_is_looked_for_in_others(sglang: FakeEnvironment) -> None:
    asked: list[tuple[list[str], str, str | None]] = []

    def lend(
        names: Sequence[Borrowed], distribution: str, installed: str | None, beside: object, avoid: object = None
    ) -> Lenders:
        asked.append(([each.wanted for each in names], distribution, installed))
        return Lenders(distribution="sglang", read=("0.4.0", "0.5.0", "0.5.3"), having=("0.4.0",), fitting=("0.4.0",))

    environment = sglang.read()
    code = read_code("from sglang.srt.server import Gone", environment, LAPTOP)
    patient = replace(sglang.patient(), code=code, lend=lend)
    (found,) = [each for each in run_checks(patient, select_checks(select=["MP203"])) if each.code == "MP203"]
    assert asked == [(["sglang.srt.server.Gone"], "sglang", "0.5.3")]
    assert found.remedy is not None
    assert "in 0.4.0" in found.remedy.text
    assert found.remedy.commands[0].endswith("pip install 'sglang==0.4.0'")


def test_everything_that_an_import_needs_is_named_at_once(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "import sglang.srt.utils.tokenizers")
    assert (found.code, found.severity) == ("MP204", Severity.ERROR)
    assert "absent_one, absent_two" in found.summary


def test_a_package_that_is_not_there_at_all_is_named(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "import numpy_of_another_world as np\nimport sglang")
    assert found.code == "MP204"
    assert found.summary == "numpy_of_another_world: not installed"


def test_a_lazy_object_is_only_asked_for_what_it_needs_when_it_is_used(sglang: FakeEnvironment) -> None:
    assert findings(sglang, "from sglang.later import Engine") == []
    (found,) = findings(sglang, "from sglang.later import Engine\nEngine('x')")
    assert "its first use needs absent_one" in found.summary


def test_a_name_that_a_module_imports_on_demand_is_imported_by_asking_for_it(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, "from sglang.lazy import Engine")
    assert "importing this needs absent_one, absent_two" in found.summary


@pytest.mark.parametrize("code", [
    "from sglang.srt.layers.quantization.odd import Real",
    "import sglang.srt.layers.quantization.odd as q\nprint(q.Real)",
    "import sglang.srt.layers.quantization.odd as q\nprint(q.METHODS['real'])",
])  # fmt: skip
def test_a_placeholder_is_told(sglang: FakeEnvironment, code: str) -> None:
    (found,) = findings(sglang, code)
    assert found.code == "MP205"
    assert "None" in found.summary
    assert "missing_engine" in found.cause


def test_a_call_that_the_signature_refuses_is_told_with_the_signature(sglang: FakeEnvironment) -> None:
    (found,) = findings(sglang, f"from {HOME.replace('/', '.')}.fp8 import Fp8Config\nFp8Config(8, group=1, odd=2)")
    assert found.code == "MP302"
    assert "no parameter group, odd; nothing for group_size" in found.summary
    assert "Fp8Config(weight_bits: int, group_size: int)" in found.cause
    assert found.remedy is not None
    assert "rename group to group_size" in found.remedy.text


def test_code_that_works_has_no_finding(sglang: FakeEnvironment) -> None:
    code = f"""
import os, json as j
from typing import TYPE_CHECKING
from {HOME.replace("/", ".")}.fp8 import Fp8Config
if TYPE_CHECKING:
    from nowhere import Anything
try:
    import not_here
except ImportError:
    not_here = None
def make(**words):
    return Fp8Config(**words), Fp8Config(8, group_size=64), j.dumps({{}}, indent=2), unknown(1)
"""
    assert findings(sglang, code) == []


def test_code_that_needs_no_engine_makes_its_absence_no_error(fake: FakeEnvironment) -> None:
    fake.install("other")
    for code, severities in (("import other", []), ("import other, vllm", [Severity.ERROR])):
        found = examine(site_packages=fake.site, code=code, machine=LAPTOP).findings
        assert [each.severity for each in found if each.code == "MP101"] == severities


def test_a_file_is_read_and_what_is_no_python_is_refused(sglang: FakeEnvironment) -> None:
    file = sglang.root / "job.py"
    file.write_text("import sglang.nothing\n")
    (found,) = findings(sglang, f"@{file}")
    assert str(file) in found.evidence[0]
    with pytest.raises(UnreadableCode, match="line 1"):
        findings(sglang, "import import")
    with pytest.raises(UnreadableCode, match="No such file"):
        findings(sglang, "@/nowhere/at/all.py")


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(st.tuples(NAMES, st.booleans()), unique_by=lambda each: each[0], max_size=4),
    st.integers(0, 4), st.lists(NAMES, unique=True, max_size=3), st.booleans(), st.booleans(), st.integers(0, 4),
)  # fmt: skip
def test_a_call_fits_exactly_when_python_takes_it(
    parameters: list[tuple[str, bool]], given_: int, words: list[str], star: bool, stars: bool, keyword_from: int
) -> None:
    parameters = sorted(parameters, key=lambda each: each[1])  # those with a default come last
    plain, only = parameters[:keyword_from], parameters[keyword_from:]
    written = [f"{name}=0" if optional else name for name, optional in plain]
    written += ["*rest"] if star else ["*"] if only else []
    written += [f"{name}=0" if optional else name for name, optional in only] + (["**words"] if stars else [])
    called = f"f({', '.join([*['0'] * given_, *(f'{word}=0' for word in words)])})"
    records = [
        *(Parameter(name=n, kind="POSITIONAL_OR_KEYWORD", required=not o) for n, o in plain),
        *([Parameter(name="rest", kind="VAR_POSITIONAL", required=False)] if star else []),
        *(Parameter(name=n, kind="KEYWORD_ONLY", required=not o) for n, o in only),
        *([Parameter(name="words", kind="VAR_KEYWORD", required=False)] if stars else []),
    ]
    call = ast.parse(called, mode="eval").body
    assert isinstance(call, ast.Call)
    scope: dict[str, object] = {}
    exec(f"def f({', '.join(written)}): pass", scope)  # noqa: S102  what was generated above
    try:
        eval(called, scope)  # noqa: S307  what was generated above
    except TypeError:
        assert misfit(call, records)
    else:
        assert not misfit(call, records)


def test_modules_of_the_users_own_folder_are_found_and_followed(
    sglang: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "fine.py").write_text("import sglang\n")
    (folder / "broken.py").write_text("import fine\nfrom sglang.srt.nowhere import thing\n")
    monkeypatch.chdir(folder)
    assert findings(sglang, "import fine") == []
    (found,) = findings(sglang, "import broken")
    assert found.code == "MP204"
    assert found.summary == "importing this needs sglang.srt.nowhere: not there"
    (folder / "script.py").write_text("import fine\n")
    monkeypatch.chdir(tmp_path)
    assert findings(sglang, f"@{folder / 'script.py'}") == []
