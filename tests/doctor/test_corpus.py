"""A corpus of tiny packages, one for each difficulty, held against what Python itself says of them."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.environment import Target, read_environment
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.resolution import How
from mixprec_doctor.source import Exports, Found, Outside, Sources, Standin, Unbound, doubt_about, parameters_of
from mixprec_doctor.source.exports import Origin
from mixprec_doctor.source.tree import FolderTree, Tree

CORPUS = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One difficulty: packages, questions, and where the resolver may say something else than Python."""

    folder: Path
    shows: str
    ask: Mapping[str, list[str]]
    but: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    installed: tuple[str, ...] = ()
    python: tuple[int, ...] = ()
    alone: bool = False

    @classmethod
    def read(cls, file: Path) -> Case:
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        raw["installed"], raw["python"] = tuple(raw.get("installed", ())), tuple(raw.get("python", ()))
        return cls(folder=file.parent, **raw)

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def questions(self) -> list[tuple[str, str]]:
        return [(module, name) for module, names in self.ask.items() for name in names]

    @cached_property
    def beside(self) -> list[str]:
        """The folders in which the installed packages lie."""
        specs = [importlib.util.find_spec(name) for name in self.installed]
        return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin})

    @cached_property
    def exports(self) -> Exports:
        """The packages as source, in an environment like the one that answers for Python."""
        if self.alone:
            return Exports(Sources.of_folder(self.site))
        environment = read_environment(Target(site_packages=self.site))

        def find(package: str) -> Tree | None:
            place = locate_package(environment, package)
            if place is None and package in self.installed:
                place = Path(self.beside[0]) / package
            return FolderTree(place, package) if place is not None else None

        known = frozenset(name for each in environment.distributions for name in each.packages)
        return Exports(Sources(find, known=known, python=tuple(sys.version_info[:3]), platform=sys.platform))


CASES = {file.parent.name: Case.read(file) for file in sorted(CORPUS.glob("*/case.json"))}


def runnable(case: Case) -> bool:
    return sys.version_info >= case.python and all(map(importlib.util.find_spec, case.installed))


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What Python answers to every question, asked in one isolated child."""
    asked = {name: case for name, case in CASES.items() if runnable(case)}
    folder = tmp_path_factory.mktemp("truth")
    questions = [
        {
            "site": str(case.site),
            "beside": case.beside,
            "questions": [
                {"module": module, "name": name, "claim": claim_of(case.exports.look_up(module, name))}
                for module, name in case.questions
            ],
        }
        for case in asked.values()
    ]
    (folder / "questions.json").write_text(json.dumps(questions))
    script = Path(__file__).with_name("truth.py")
    command = [sys.executable, "-I", "-S", str(script), str(folder / "questions.json"), str(folder / "answers.json")]
    subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)
    return dict(zip(asked, json.loads((folder / "answers.json").read_text()), strict=True))


def claim_of(origin: Origin) -> tuple[str, str] | None:
    """Where the resolver says that the thing is."""
    return None if isinstance(origin, Unbound) else (origin.module, origin.name)


@pytest.mark.parametrize("name", CASES)
def test_the_resolver_says_what_python_says(name: str, truths: Mapping[str, list[dict[str, Any]]]) -> None:
    case = CASES[name]
    if not runnable(case):
        pytest.skip(f"needs Python {case.python} and {case.installed}")
    assert case.questions
    told = {f"{module}:{name}" for module, name in case.questions}
    assert set(case.but) <= told, "an exception for what is not asked"
    faults = [
        f"{module}:{asked}: {fault}"
        for (module, asked), truth in zip(case.questions, truths[name], strict=True)
        for fault in differences(case, module, asked, truth)
    ]
    assert not faults, f"{case.shows}\n  " + "\n  ".join(faults)


def differences(case: Case, module: str, name: str, truth: dict[str, Any]) -> list[str]:
    """What the resolver says that Python does not, and that the case does not explain."""
    origin = case.exports.look_up(module, name)
    but = case.but.get(f"{module}:{name}", {})
    said = reservations(case, origin, truth)
    granted = {key: text for key, text in but.items() if key != "why"}
    if said != granted:
        return [f"it says {said or 'nothing special'}, the case grants {granted or 'nothing'}: {words(origin, truth)}"]
    if isinstance(origin, Unbound):
        return [] if "fault" in but or not truth["there"] else [words(origin, truth)]
    if not truth["there"]:
        return [] if said else [words(origin, truth)]
    if isinstance(origin, Standin) or said.keys() & {"outside", "proxy"}:
        return []
    if truth["kind"] == "module" or (isinstance(origin, Found) and origin.node is None):
        right = isinstance(origin, Found) and truth["module"] == origin.module and origin.node is None
        return [] if right or truth["same"] else [words(origin, truth)]
    if not truth["same"] and "condition" not in but:
        return [f"{origin.module}.{origin.name} is something else: {words(origin, truth)}"]
    return of_definition(case, origin, truth, but) if isinstance(origin, Found) and truth["same"] else []


def of_definition(case: Case, origin: Found, truth: dict[str, Any], but: Mapping[str, str]) -> list[str]:
    """Differences of something whose definition was found."""
    faults = []
    own = truth["qualname"] is not None and "<" not in truth["qualname"] and origin.value is None
    if own and (truth["module"], truth["qualname"]) != (origin.module, origin.name):
        faults.append(f"defined elsewhere: {words(origin, truth)}")
    if own and truth["line"] is not None and origin.node is not None:
        first = min([origin.node.lineno, *(each.lineno for each in getattr(origin.node, "decorator_list", ()))])
        if not first <= truth["line"] <= origin.node.lineno:
            faults.append(f"defined on line {truth['line']}, not {origin.node.lineno}")
    if origin.value is not None and (literal := literal_of(ast.unparse(origin.value))) and truth["literal"]:
        faults += [] if literal == (ast.literal_eval(truth["literal"]),) else [f"is {truth['literal']}"]
    if truth["parameters"] is not None:  # what inspect cannot read holds nothing against us
        faults += [] if "doubt" in but else of_parameters(case, origin, truth["parameters"])
    return faults


def of_parameters(case: Case, origin: Found, wanted: list[dict[str, Any]]) -> list[str]:
    """Differences of parameters: names, order, kinds, what is required, and defaults that are literals."""
    got = parameters_of(origin, case.exports)
    mine = [(each.name, each.kind, each.required) for each in got]
    real = [(each["name"], each["kind"], each["required"]) for each in wanted]
    if mine != real:
        return [f"parameters\n      {mine}\n    are really\n      {real}"]
    return [
        f"default of {each.name} is {one['default']}, not {each.default}"
        for each, one in zip(got, wanted, strict=True)
        if each.default and one["default"] and (literal := literal_of(each.default))
        if literal != (ast.literal_eval(one["default"]),)
    ]


def reservations(case: Case, origin: Origin, truth: Mapping[str, Any]) -> dict[str, str]:
    """Everything that the resolver says beyond a plain answer."""
    if isinstance(origin, Standin):
        return {"placeholder": origin.text, "because": origin.because}
    if isinstance(origin, Unbound):
        return {"fault": origin.fault} if truth["there"] else {}
    said = {"condition": origin.condition} if origin.condition else {}
    if isinstance(origin, Outside) and (not truth["there"] or case.exports.sources.module(origin.module) is not None):
        said["outside"] = f"{origin.module}:{origin.name}"
    if isinstance(origin, Found) and not truth["there"] and not said:
        said["fails"] = truth["fault"]
    if isinstance(origin, Found) and origin.how is How.LAZY and truth.get("kind") == "value" and not truth["same"]:
        said["proxy"] = f"{origin.module}:{origin.name}"
    is_called = truth.get("kind") in ("class", "function") or truth.get("parameters") is not None
    if isinstance(origin, Found) and is_called and (doubt := doubt_about(origin, case.exports)):
        said["doubt"] = doubt
    return said


def literal_of(text: str) -> tuple[object] | None:
    """The value that a text plainly writes, in a tuple; None when it writes none."""
    try:
        return (ast.literal_eval(text),)
    except (ValueError, SyntaxError):
        return None


def words(origin: Origin, truth: Mapping[str, Any]) -> str:
    """Both answers in one line."""
    keys = ("kind", "module", "qualname", "fault", "detail")
    real = {key: truth[key] for key in keys if truth.get(key) is not None}
    mine = {
        key: value for key in ("module", "name", "fault", "how") if (value := getattr(origin, key, None)) is not None
    }
    return f"resolver {type(origin).__name__} {mine}, Python {real}"
