"""No secret stands in any form of a report, wherever it was planted."""

from __future__ import annotations

import dataclasses
import string
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.cli.main import group
from mixprec_doctor.records.environment import Editable, Leftover
from mixprec_doctor.records.machine import Accelerator
from mixprec_doctor.records.report import Report
from mixprec_doctor.redaction import MASK, Redactor, Secrets
from mixprec_doctor.reports import FORMATS, render_report
from tests.doctor.conftest import LAPTOP
from tests.doctor.reporting import CLASH, FOLLOWER, MOVED, NOTE, SITE, report_of

GPU = Accelerator(name="NVIDIA H100", compute_capability="9.0", memory_bytes=80 * 2**30, driver="570.1")


def full() -> Report:
    """A report with something in every kind of field."""
    report = report_of(CLASH, FOLLOWER, MOVED, NOTE)
    target = dataclasses.replace(
        report.target,
        editables=(Editable(package="mine", path="/srv/mine", finder=f"{SITE}/__editable__.py"),),
        leftovers=(Leftover(path=f"{SITE}/~orch", reason="pip was interrupted"),),
    )
    return dataclasses.replace(report, target=target, machine=dataclasses.replace(LAPTOP, accelerators=(GPU,)))


def texts(item: Any) -> Iterator[str]:
    """Every text of a record, at any depth."""
    if isinstance(item, str) and not isinstance(item, Enum):
        yield item
    elif isinstance(item, (tuple, list)):
        for each in item:
            yield from texts(each)
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            yield from texts(getattr(item, field.name))


def planted(item: Any, place: list[int], change: Callable[[str], str]) -> Any:
    """The same record with the text at one place changed; ``place`` counts down as texts are passed."""
    if isinstance(item, str) and not isinstance(item, Enum):
        place[0] -= 1
        return change(item) if place[0] == -1 else item
    if isinstance(item, (tuple, list)):
        return type(item)(planted(each, place, change) for each in item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        fields = {each.name: planted(getattr(item, each.name), place, change) for each in dataclasses.fields(item)}
        return dataclasses.replace(item, **fields)
    return item


# A finding's code chooses its words; findings with unknown codes have no test case, so codes are left as they are.
PLACES = [index for index, text in enumerate(texts(full())) if not text.startswith("MP")]
LETTERS = string.ascii_letters + string.digits
NAMES = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "PGPASSWD", "MY_CREDENTIALS", "NPM_AUTH", "githubtoken")


def letters(size: int) -> st.SearchStrategy[str]:
    # "7Q" in front: no such run of letters stands in a report by itself.
    return st.text(LETTERS, min_size=size, max_size=size + 20).map(lambda text: f"7Q{text}")


@st.composite
def secrets(draw: st.DrawFn) -> tuple[str, str, dict[str, str]]:
    """A secret, a text that holds it, and the environment variables that it may come from."""
    kind = draw(st.sampled_from(["variable", "address", "query", "shape", "option", "bearer", "assignment"]))
    secret = draw(letters(24))
    if kind == "variable":
        secret = draw(st.text(st.characters(min_codepoint=33, blacklist_categories=["Cs", "Zs"]), min_size=6)) + "7Q"
        return secret, secret, {draw(st.sampled_from(NAMES)): secret}
    form = {
        "address": ["https://user:{}@host/simple", "git+https://{}@github.com/a/b.git", "https://{}:x-oauth@host"],
        "query": ["https://host/x?token={}", "https://host/x?a=1&X-Amz-Signature={}&b=2", "s3://b/x?api_key={}"],
        "shape": ["hf_{}", "ghp_{}", "github_pat_{}", "glpat-{}", "sk-proj-{}", "xoxb-{}", "eyJ{}.{}.{}"],
        "option": ["--api-key {}", "--hf-token={}", "--password '{}'"],
        "bearer": ["Authorization: Bearer {}", "bearer {}"],
        "assignment": ["HF_TOKEN={} vllm serve", "Engine(api_key='{}')", '{{"password": "{}"}}'],
    }[kind]
    return secret, draw(st.sampled_from(form)).replace("{}", secret), {}


@given(secrets(), st.sampled_from(PLACES), st.sampled_from(["", " ", "see ", "'"]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_planted_secret_appears_in_no_form(
    planting: tuple[str, str, dict[str, str]], place: int, before: str, whole: bool
) -> None:
    secret, text, environ = planting
    report = planted(full(), [place], lambda old: text if whole else f"{old}{before or ' '}{text} and more")
    assert any(secret in each for each in texts(report))
    for name in FORMATS:
        rendered = render_report(report, name, secrets=Secrets.of(environ))
        assert secret not in rendered, name


@pytest.mark.parametrize("text", [
    "--tokenizer meta-llama/Llama-3 --tokenizer-mode auto --max-num-batched-tokens 8192",
    "sglang.srt.utils.hf_transformers_utils.get_tokenizer(tokenizer_name: str, token=None)",
    "launch(api_key: str | None = None, key: int = 3)",
    "git+ssh://git@github.com/vllm-project/vllm.git",
    "KeyError: 'vllm' and torch==2.13.0+cpu; python_version < '3.12'",
    "https://download.pytorch.org/whl/cpu",
    "sk-learn-contrib-package, scikit-learn",
])  # fmt: skip
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert Redactor(Secrets(), personal=True).text(text) == text


def test_settings_and_files_are_no_secrets(tmp_path: Path) -> None:
    key = tmp_path / "private.key"
    key.touch()
    environ = {
        "TOKENIZERS_PARALLELISM": "enabled", "SSH_AUTH_SOCK": "/run/agent.sock", "GIT_AUTHOR_NAME": "Somebody",
        "TLS_KEY": str(key), "API_KEY": "short", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    assert Secrets.of(environ).values == ()


def test_a_secret_is_also_known_in_the_spelling_of_addresses() -> None:
    redactor = Redactor(Secrets.of({"INDEX_PASSWORD": "p@ss/word"}), personal=False)
    assert redactor.text("seen at p%40ss%2Fword") == f"seen at {MASK}"


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    redactor = Redactor(Secrets.of({"A_TOKEN": "abcdef", "B_TOKEN": "abcdefghij"}), personal=False)
    assert redactor.text("abcdefghij") == MASK


@pytest.mark.parametrize("text, short", [
    ("/home/ada/env/bin/python -m pip install x", "~/env/bin/python -m pip install x"),
    ("'/home/ada/my env/bin/python' -m pip", "~/'my env/bin/python' -m pip"),
    ("--python=/home/ada/env", "--python=$HOME/env"),
    ("in /home/ada, and", "in ~, and"),
    ("/home/adam/env", "/home/adam/env"),
    ("/scratch/ada/env/bin/python", "/scratch/$USER/env/bin/python"),
    ("/opt/lib/python3.11/site-packages/ada/x.so", "/opt/lib/python3.11/site-packages/ada/x.so"),
])  # fmt: skip
def test_personal_paths_are_shortened_so_that_a_shell_still_reads_them(text: str, short: str) -> None:
    secrets = Secrets.of({"HOME": "/home/ada"})
    assert Redactor(secrets, personal=True).text(text) == short
    assert Redactor(secrets, personal=False).text(text) == text


def test_a_record_without_secrets_is_handed_on_as_it_is() -> None:
    report = full()
    assert Redactor(Secrets(), personal=True).record(report) is report


def test_errors_of_the_command_line_hold_no_secret_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_TOKEN", "abcdef123456")
    monkeypatch.setattr(sys, "argv", ["mixprec", "doctor", "--python", str(tmp_path / "abcdef123456")])
    assert run_command_line(group, name="mixprec") == 2
    error = capsys.readouterr().err
    assert MASK in error
    assert "abcdef123456" not in error
