"""What the doctor reads from source, against what a really installed engine says once it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.resolving import open_engine

pytestmark = pytest.mark.engine

# The interpreter whose engine is examined: that of the session, or another one.
PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", sys.executable)

# Imports each role and answers with its signature, or with the words of what went wrong.
_ASK = """
import importlib, inspect, json, sys
answers = {}
for role, module, name in json.load(open(sys.argv[1])):
    try:
        found = getattr(importlib.import_module(module), name)
        answers[role] = [
            [each.name, each.kind.name, each.default is each.empty and each.kind not in (2, 4)]
            for each in inspect.signature(found).parameters.values()
        ] if inspect.isclass(found) or inspect.isroutine(found) else None
    except BaseException as fault:
        answers[role] = f"{type(fault).__name__}: {fault}"
json.dump(answers, open(sys.argv[2], "w"))
"""


def test_every_found_role_imports_and_has_the_signature_that_was_read(tmp_path: Path) -> None:
    environment = read_environment(Target(python=Path(PYTHON)))
    names = [engine.engine for engine in find_engines(environment) if engine.engine != "torch" and engine.root]
    if not names:
        pytest.skip("no engine in this environment")
    found = [role for role in open_engine(environment, names[0]).roles() if role.status is Status.FOUND]
    asked, answered = tmp_path / "asked.json", tmp_path / "answered.json"
    asked.write_text(json.dumps([[role.role.value, role.module, role.name] for role in found]))
    subprocess.run([PYTHON, "-c", _ASK, asked, answered], check=True, timeout=300, cwd=tmp_path)
    answers = json.loads(answered.read_text())
    wanted = {role: answer for role, answer in answers.items() if answer is not None}
    read = {
        role.role.value: [[each.name, each.kind, each.required] for each in role.parameters]
        for role in found
        if role.role.value in wanted and not (role.condition or "").startswith("rebuilt")
    }
    assert read == {role: answer for role, answer in wanted.items() if role in read}
    assert len(read) >= 25
