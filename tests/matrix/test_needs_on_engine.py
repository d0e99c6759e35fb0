"""What an import needs, as read from source, against a really installed engine from which one package is hidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.need import Need
from mixprec_doctor.resolving.needs import NeedFinder
from mixprec_doctor.source import Exports, FolderTree, Sources, Tree

pytestmark = pytest.mark.engine

PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", sys.executable)
ASKED = {
    "vllm": "vllm.model_executor.layers.quantization.fp8",
    "sglang": "sglang.srt.layers.quantization.fp8",
}
# Imported at once, imported in functions or in a try only, needed by another package, or not there at all.
HIDDEN = ("zmq", "regex", "xgrammar", "PIL", "pydantic_core", "huggingface_hub", "cbor2", "sentencepiece")

# Imports a module where one package cannot be found, and answers with the name that was missing.
_ASK = """
import json, sys
hidden, asked, answer = sys.argv[1:]
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == hidden:
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
missing = None
try:
    __import__(asked)
except BaseException as fault:
    missing = f"{type(fault).__name__}: {fault}"
    while fault is not None:
        if isinstance(fault, ModuleNotFoundError) and fault.name:
            missing = fault.name
        fault = fault.__cause__ or fault.__context__
json.dump(missing, open(answer, "w"))
"""


def read_needs(environment: Environment, engine: str, hidden: str) -> list[Need]:
    """The needs of the engine's module in the environment without one package."""
    left = tuple(each for each in environment.distributions if hidden not in each.packages)
    without = replace(environment, distributions=left)
    sources = Sources.of_environment(without)

    def find(package: str) -> Tree | None:
        place = None if package == hidden else locate_package(without, package)
        return FolderTree(place, package) if place is not None else None

    known = frozenset(name for each in left for name in each.packages)
    exports = Exports(Sources(find, known=known, python=sources.python, platform=sources.platform))
    return list(NeedFinder(exports, without, engine=engine).missing(ASKED[engine]))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_an_import_fails_exactly_where_its_needs_say_so(hidden: str, tmp_path: Path) -> None:
    environment = read_environment(Target(python=Path(PYTHON)))
    engine = next((each.engine for each in find_engines(environment) if each.engine in ASKED and each.root), None)
    if engine is None:
        pytest.skip("no engine in this environment")
    answer = tmp_path / "answer.json"
    subprocess.run(
        [PYTHON, "-I", "-c", _ASK, hidden, ASKED[engine], answer],
        check=True, timeout=300, cwd=tmp_path, capture_output=True,
    )  # fmt: skip
    missing = json.loads(answer.read_text())
    read = [need.import_name for need in read_needs(environment, engine, hidden)]
    assert [name.partition(".")[0] for name in read[:1]] == ([missing.partition(".")[0]] if missing else [])
