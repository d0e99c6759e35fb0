"""What is said about code that was asked about: what concerns it, in which order, and the answer in one line."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mixprec_doctor import examine
from mixprec_doctor.checks import Check, Patient, run_checks
from mixprec_doctor.records.codeanswer import CodeAnswer, CodeVerdict, answer_about
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.probe import Kind, Outcome, Probe, ProbeRequest
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.text import render
from mixprec_doctor.resolving.importcalls import called_imports, caught_names, suppresses
from mixprec_doctor.source import Sources
from mixprec_doctor.source.module import parse_module
from mixprec_doctor.usercode import read_code
from mixprec_doctor.usercode.facts import changes_environment, machine_facts
from mixprec_doctor.usercode.libraries import unloadable_in
from tests.doctor.binaries.building import compile_library, needs_gcc
from tests.doctor.conftest import GPU, LAPTOP, FakeEnvironment, codes_of
from tests.doctor.reporting import report_of

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def check(code: str, severity: Severity, *subjects: str, explains: tuple[str, ...] = (), **traits: bool) -> Check:
    """A check that always finds one thing."""
    finding = Finding(code=code, severity=severity, summary=f"{code} speaks", subjects=subjects)
    words: dict[str, Any] = dict.fromkeys(("title", "promise", "explanation", "example", "cure"), "words")
    return Check(code=code, find=lambda patient: [finding], explains=explains, **words, **traits)


@pytest.fixture
def asked(fake: FakeEnvironment) -> Patient:
    """Somebody who imports vllm, which requires torch and tries to import xformers; sglang lies beside it."""
    fake.install("vllm", requires=("torch",), files={
        "vllm/__init__.py": "from vllm import inner\n",
        "vllm/inner.py": "try:\n    import xformers\nexcept ImportError:\n    pass\nfrom vllm.deep.end import gone\n",
        "vllm/deep/__init__.py": "",
        "vllm/deep/end.py": "",
    })  # fmt: skip
    fake.install_torch()
    fake.install("sglang", requires=("helper",))
    fake.install("helper")
    patient = fake.patient()
    return replace(patient, code=read_code("import vllm", patient.environment, LAPTOP))


def codes(patient: Patient, *checks: Check) -> list[str]:
    return codes_of(run_checks(patient, checks))


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("vllm", True),
        ("vllm._C", True),
        ("torch", True),  # vllm requires it
        ("xformers", True),  # vllm tries to import it
        ("sglang", False),  # nobody asks for it
        ("helper", False),  # sglang alone requires it
        ("somebody_else", False),
    ],
)
def test_a_warning_is_told_when_it_is_about_what_the_code_uses(asked: Patient, *, subject: str, told: bool) -> None:
    assert codes(asked, check("MP901", WARNING, subject)) == (["MP901"] if told else [])
    assert codes(asked, check("MP901", ERROR, subject)) == (["MP901"] if told else [])
    assert codes(replace(asked, code=None), check("MP901", WARNING, subject)) == ["MP901"]


def test_what_is_about_no_package_concerns_everybody(asked: Patient) -> None:
    assert codes(asked, check("MP901", WARNING)) == ["MP901"]


def test_what_mixprec_itself_needs_is_not_told_to_somebody_who_asks_about_code(asked: Patient) -> None:
    ours = check("MP901", ERROR, "vllm", about_mixprec=True)
    assert codes(asked, ours) == []
    assert codes(replace(asked, code=None), ours) == ["MP901"]


def test_a_mere_note_is_told_where_it_may_explain_a_failure(asked: Patient) -> None:
    assert codes(asked, check("MP901", INFO, "vllm")) == []
    assert codes(asked, check("MP901", INFO, "vllm", may_explain=True)) == ["MP901"]
    assert codes(asked, check("MP901", INFO, "sglang", may_explain=True)) == []
    assert codes(asked, check("MP901", INFO, "vllm", about_code=True)) == ["MP901"]


def test_notes_are_dropped_once_an_error_explains_the_failure(asked: Patient) -> None:
    note, own = check("MP901", INFO, "vllm", may_explain=True), check("MP902", INFO, "vllm", about_code=True)
    warning = check("MP903", WARNING, "vllm")
    assert codes(asked, note, own, warning, check("MP904", ERROR, "vllm")) == ["MP904", "MP903", "MP902"]
    assert codes(asked, note, own, warning, check("MP904", ERROR, "sglang")) == ["MP903", "MP902", "MP901"]


def test_what_the_imports_end_at_comes_first_then_what_is_about_the_code_then_the_rest(asked: Patient) -> None:
    assert asked.code is not None
    assert asked.code.stop is not None
    assert asked.code.stop.wanted == "vllm.deep.end.gone"
    other = check("MP901", ERROR, "vllm")
    about = check("MP902", ERROR, "torch", about_code=True)
    ends = check("MP903", ERROR, "vllm.deep.end", about_code=True)
    graver = check("MP904", WARNING, "vllm.deep.end", about_code=True)
    assert codes(asked, graver, other, about, ends) == ["MP903", "MP902", "MP901", "MP904"]
    assert codes(replace(asked, code=None), graver, other, about, ends) == ["MP902", "MP903", "MP901", "MP904"]


def test_what_was_read_explains_what_then_failed_in_the_same_place(asked: Patient) -> None:
    read = check("MP901", ERROR, "vllm.deep.end")
    for subject, follows in (("vllm.deep.end", "MP901"), ("vllm.inner", None)):
        tried = check("MP212", ERROR, subject, about_code=True)
        found = run_checks(asked, [tried, read])
        assert [(each.code, each.follows) for each in found] == [("MP901", None), ("MP212", follows)]


def test_a_cause_that_is_named_stands_above_what_follows(asked: Patient) -> None:
    root = check("MP902", ERROR, "vllm", explains=("MP901",))
    found = run_checks(asked, [check("MP903", ERROR, "torch"), check("MP901", ERROR, "vllm.inner"), root])
    assert [(each.code, each.follows) for each in found] == [("MP903", None), ("MP902", None), ("MP901", "MP902")]


# the answer


def probe(outcome: Outcome, kind: Kind = Kind.CODE) -> Probe:
    return Probe(request=ProbeRequest(kind=kind, module="vllm"), outcome=outcome)


def finding(code: str, severity: Severity) -> Finding:
    return Finding(code=code, severity=severity, summary="")


@pytest.mark.parametrize(
    ("findings", "probes", "verdict", "explained_by"),
    [
        ([], [], CodeVerdict.UNKNOWN, None),
        ([finding("MP901", WARNING)], [], CodeVerdict.UNKNOWN, None),
        ([finding("MP901", WARNING), finding("MP902", ERROR), finding("MP903", ERROR)], [], CodeVerdict.FAILS, "MP902"),
        ([], [probe(Outcome.WORKED)], CodeVerdict.WORKS, None),
        ([finding("MP902", ERROR)], [probe(Outcome.WORKED)], CodeVerdict.WORKS, None),
        ([], [probe(Outcome.WORKED, Kind.IMPORT)], CodeVerdict.UNKNOWN, None),
        ([], [probe(Outcome.SIGNAL)], CodeVerdict.FAILS, None),
        ([finding("MP902", ERROR)], [probe(Outcome.RAISED)], CodeVerdict.FAILS, "MP902"),
        ([], [probe(Outcome.SKIPPED)], CodeVerdict.UNKNOWN, None),
    ],
)
def test_the_answer_is_that_of_running_it_and_else_that_of_the_first_error(
    findings: Sequence[Finding], probes: Sequence[Probe], verdict: CodeVerdict, explained_by: str | None
) -> None:
    answer = answer_about("the code", findings, probes)
    assert (answer.verdict, answer.explained_by) == (verdict, explained_by)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (CodeVerdict.FAILS, "✗ it fails here, as MP203 below says"),
        (CodeVerdict.WORKS, "✓ it works here: it was run"),
        (CodeVerdict.UNKNOWN, "? reading finds no fault in it; only running it (--verify) could prove"),
    ],
)
def test_the_report_answers_before_it_lists_findings(verdict: CodeVerdict, words: str) -> None:
    explained_by = "MP203" if verdict is CodeVerdict.FAILS else None
    answer = CodeAnswer(place="the code", verdict=verdict, explained_by=explained_by)
    text = render(replace(report_of(finding("MP203", WARNING)), code=answer), Page(width=100))
    lines = text.splitlines()
    place = lines.index("The code")
    assert lines[place + 1].strip().startswith(words)
    assert place < lines.index("Findings")
    assert "Names that mixprec needs" not in text


def test_a_file_is_named_as_it_was_given() -> None:
    answer = CodeAnswer(place="jobs/serve.py", verdict=CodeVerdict.UNKNOWN)
    assert "\njobs/serve.py\n" in render(replace(report_of(), code=answer), Page(width=80))
    assert "reading finds no fault" not in render(report_of(), Page(width=80))


def test_the_whole_way_from_the_code_to_the_answer(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={"vllm/__init__.py": "from vllm.a import gone\n", "vllm/a.py": ""})
    fails = examine(site_packages=fake.site, code="import vllm", machine=LAPTOP, offline=True)
    assert fails.code is not None
    assert fails.code.verdict is CodeVerdict.FAILS
    assert fails.code.explained_by == fails.findings[0].code
    document = json.loads(json.dumps(fails.to_json()))
    assert document["code"] == {"place": "the code", "verdict": "fails", "explained_by": fails.findings[0].code}
    other = examine(site_packages=fake.site, code="import json", machine=LAPTOP, offline=True)
    assert other.code == CodeAnswer(place="the code", verdict=CodeVerdict.UNKNOWN)
    assert examine(site_packages=fake.site, machine=LAPTOP, offline=True).code is None


def test_offline_no_index_is_asked(fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same examination without ``offline`` does ask: the refusal is what makes the difference."""

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("an index was asked")

    monkeypatch.setattr("mixprec_doctor.inquiry.Inquiry.lend", refuse)
    fake.install("sglang", files={"sglang/__init__.py": "from vllm.a import gone\n"})
    fake.install("vllm", files={"vllm/__init__.py": "", "vllm/a.py": ""})
    found = examine(site_packages=fake.site, code="import sglang", machine=LAPTOP, offline=True).findings
    assert codes_of(found)[0] == "MP206"
    with pytest.raises(AssertionError, match="an index was asked"):
        examine(site_packages=fake.site, code="import sglang", machine=LAPTOP)


# facts of the machine


def facts_of(fake: FakeEnvironment, machine: Machine) -> dict[str, object]:
    environment = fake.read()
    return machine_facts(machine, environment, Sources.of_environment(environment), {"A": "1"})


def test_a_gpu_is_denied_only_where_torch_or_the_machine_has_none(fake: FakeEnvironment, another: Any) -> None:
    fake.install_torch("2.9.0+cpu")
    with_cuda = another("with_cuda")
    with_cuda.install_torch("2.9.0", cuda="12.8")
    with_gpu = replace(LAPTOP, accelerators=(GPU,))
    unknown = replace(LAPTOP, accelerators=None)
    assert facts_of(fake, with_gpu)["torch.cuda.is_available()"] is False
    assert facts_of(with_cuda, LAPTOP)["torch.cuda.device_count()"] == 0
    assert "torch.cuda.is_available()" not in facts_of(with_cuda, with_gpu)
    assert "torch.cuda.is_available()" not in facts_of(with_cuda, unknown)
    assert facts_of(fake, LAPTOP)["versions"] == {"torch": "2.9.0+cpu"}
    assert facts_of(fake, LAPTOP)["platform.machine()"] == "x86_64"
    assert "platform.machine()" not in facts_of(fake, replace(LAPTOP, architecture=None))


@pytest.mark.parametrize(
    ("lines", "changes"),
    [
        ("import os\nos.environ['A'] = '1'", True),
        ("import os\nos.environ.update(A='1')", True),
        ("from os import putenv\nputenv('A', '1')", True),
        ("from dotenv import load_dotenv\nload_dotenv()", True),
        ("import os\nprint(os.environ.get('A'), os.getenv('B'))", False),
        ("import vllm", False),
    ],
)
def test_code_that_sets_variables_leaves_them_open(*, lines: str, changes: bool) -> None:
    assert changes_environment(parse_module("__main__", lines.encode(), is_package=False)) is changes


# imports by calls


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("import_module('a.b')", ["a.b"]),
        ("x = importlib.import_module('a').y(__import__('b'))", ["a", "b"]),
        ("import_module('.c', __name__)", ["pkg.mod.c"]),
        ("import_module('.c', __package__)", ["pkg.c"]),
        ("import_module('..c', __name__)", ["pkg.c"]),
        ("import_module('...c', __name__)", []),
        ("import_module('.c', package)", []),
        ("import_module(each)", ["one", "two"]),
        ("import_module(unknown)", []),
        ("f = lambda: import_module('a')", []),
        ("x = import_module('a') if flag else None", []),
        ("x = [import_module(n) for n in names]", []),
        ("flag and import_module('a')", []),
        ("print('import_module')", []),
    ],
)
def test_calls_that_import_are_those_that_certainly_run(statement: str, imported: list[str]) -> None:
    parsed = parse_module("pkg.mod", statement.encode(), is_package=False)
    found = called_imports(parsed.tree.body[0], {"each": ("one", "two")}, parsed)
    assert sorted(found) == imported


def test_the_names_that_a_handler_takes() -> None:
    handlers = ast.parse("try: pass\nexcept (ImportError, lib.Odd): pass\nexcept f(): pass\nexcept: pass").body[0]
    assert isinstance(handlers, ast.Try)
    assert [caught_names(each.type) for each in handlers.handlers] == [["ImportError", "Odd"], [""], ["BaseException"]]


@pytest.mark.parametrize(
    ("statement", "takes"),
    [
        ("with suppress(ImportError): pass", True),
        ("with contextlib.suppress(ImportError), open('x'): pass", True),
        ("with try_import() as tried: pass", True),
        ("with open('suppress'): pass", False),
        ("with lock: pass", False),
    ],
)
def test_a_with_that_takes_what_its_body_raises(*, statement: str, takes: bool) -> None:
    node = ast.parse(statement).body[0]
    assert isinstance(node, ast.With)
    assert suppresses(node) is takes


# compiled modules


@needs_gcc
def test_a_compiled_module_is_unloadable_when_every_file_that_fits_is(
    fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(fake.root / "cache"))
    fake.install("vllm")
    away = compile_library(fake.root / "away" / "libaway.so.3", "void away(void) {}")
    broken, whole = fake.site / "vllm" / "_broken.abi3.so", fake.site / "vllm" / "_whole.abi3.so"
    compile_library(broken, needs=[away])
    compile_library(whole)
    compile_library(fake.site / "vllm" / "_both.cpython-311-x86_64-linux-gnu.so", needs=[away])
    compile_library(fake.site / "vllm" / "_both.abi3.so")
    compile_library(fake.site / "vllm" / "_other.cpython-310-x86_64-linux-gnu.so", needs=[away])
    away.unlink()
    unloadable = unloadable_in(fake.read())
    assert "libaway.so.3" in (unloadable("vllm._broken") or "")
    assert [unloadable(f"vllm.{each}") for each in ("_whole", "_both", "_other", "_none")] == [None] * 4
    fake.write("vllm/user.py", "import vllm._broken\n")
    (found,) = examine(
        site_packages=fake.site, code="import vllm.user", machine=LAPTOP, offline=True, select=["MP204"]
    ).findings
    assert "libaway.so.3" in found.summary
