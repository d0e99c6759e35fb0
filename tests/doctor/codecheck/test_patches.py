"""Patches of what a release has or has not."""

from __future__ import annotations

import pytest

from tests.doctor.codecheck.conftest import Bench, told

ENGINE = {
    "loader.py": "def load(config, prefix=''): ...\nclass Loader:\n    def read(self, name): ...\n",
    "use.py": "def f(x):\n    return x.absent + x.stale\n",
}
HEAD = "import vllm.loader\nfrom unittest import mock\nfrom vllm.loader import Loader\n"


@pytest.mark.parametrize(
    ("patch", "severity"),
    [
        ("mock.patch('vllm.loader.gone')", "error"),
        ("mock.patch('vllm.gone.load')", "error"),
        ("mock.patch('vllm.loader.Loader.gone')", "error"),
        ("mock.patch.object(Loader, 'gone')", "error"),
        ("def test_it(monkeypatch):\n    monkeypatch.setattr(Loader, 'gone', 1)", "error"),
        ("def test_it(monkeypatch):\n    monkeypatch.setattr('vllm.loader.gone', 1)", "error"),
        ("vllm.loader.gone.deep = 1", "error"),
        ("vllm.loader.absent = 1", "warning"),
        ("Loader.absent = 1", "warning"),
        ("setattr(vllm.loader, 'absent', 1)", "warning"),
    ],
)
def test_a_patch_of_what_is_not_there(bench: Bench, patch: str, severity: str) -> None:
    found = bench.findings(HEAD + patch, ENGINE)
    assert [(each.finding.code, each.finding.severity.value) for each in found] == [("MP811", severity)]


@pytest.mark.parametrize(
    "patch",
    [
        "mock.patch('vllm.loader.load')",
        "mock.patch('vllm.loader.Loader.read')",
        "mock.patch('vllm.loader.gone', create=True)",
        "mock.patch.object(Loader, 'read')",
        "vllm.loader.load = print",
        "vllm.loader.something_of_my_own = 1",
        "Loader.stale = 1\nx = object()\nx.stale",
        "def test_it(monkeypatch):\n    monkeypatch.setattr(Loader, 'gone', 1, raising=False)",
        "mock.patch('other.gone')",
    ],
)
def test_a_patch_of_what_is_there_or_is_added_is_no_finding(bench: Bench, patch: str) -> None:
    assert bench.findings(HEAD + patch, ENGINE) == ()


@pytest.mark.parametrize(
    ("new", "severity"),
    [
        ("def mine(): ...", "warning"),
        ("def mine(config, prefix, more): ...", "warning"),
        ("def mine(config): ...", "info"),
    ],
)
def test_a_patch_that_is_called_otherwise(bench: Bench, new: str, severity: str) -> None:
    found = bench.findings(f"{HEAD}{new}\nvllm.loader.load = mine\n", ENGINE)
    assert told(found) == [("MP812", severity, 5)]


@pytest.mark.parametrize(
    "new", ["def mine(config, prefix=''): ...", "def mine(*args, **kwargs): ...", "mine = make()", "class mine: ..."]
)
def test_a_patch_that_takes_as_much_is_no_finding(bench: Bench, new: str) -> None:
    assert bench.findings(f"{HEAD}{new}\nvllm.loader.load = mine\n", ENGINE) == ()


def test_a_method_replaced_by_a_lambda_takes_self(bench: Bench) -> None:
    assert told(bench.findings(f"{HEAD}Loader.read = lambda name: 1\n", ENGINE)) == [("MP812", "warning", 4)]
    bench.write(f"{HEAD}Loader.read = lambda self, name: 1\n")
    assert bench.report().findings == ()
