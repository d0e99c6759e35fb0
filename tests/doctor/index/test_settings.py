"""Settings: pip's, from pip's places, in pip's order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.index.errors import UnreadableSettings
from mixprec_doctor.index.settings import IndexSettings, configuration_files, read_settings


def settings_with(tmp_path: Path, files: dict[str, str], **variables: str) -> IndexSettings:
    """Settings of a home and a prefix below a folder, and nothing of this machine's."""
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    variables.setdefault("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    return read_settings(variables, prefix=str(tmp_path / "prefix"), home=tmp_path / "home")


@pytest.fixture(autouse=True)
def no_etc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """/etc/pip.conf of the machine that tests run on is not the test's."""
    from mixprec_doctor.index import settings

    monkeypatch.setattr(settings, "_ETC", tmp_path / "no-etc")


def test_without_settings_it_is_pypi(tmp_path: Path) -> None:
    assert settings_with(tmp_path, {}).indexes == ("https://pypi.org/simple",)


def test_the_users_file_is_above_the_machines_and_the_prefixs_above_both(tmp_path: Path) -> None:
    text = "[global]\nindex-url = https://{}/simple\n"
    files = {"etc/pip/pip.conf": text.format("machine")}
    assert settings_with(tmp_path, files).index_url == "https://machine/simple"
    files["home/.pip/pip.conf"] = text.format("legacy")
    assert settings_with(tmp_path, files).index_url == "https://legacy/simple"
    files["home/.config/pip/pip.conf"] = text.format("user")
    assert settings_with(tmp_path, files).index_url == "https://user/simple"
    files["prefix/pip.conf"] = text.format("prefix")
    assert settings_with(tmp_path, files).index_url == "https://prefix/simple"


def test_a_named_file_replaces_the_users_and_is_above_all(tmp_path: Path) -> None:
    files = {
        "home/.config/pip/pip.conf": "[global]\nno-index = yes\n",
        "named.conf": "[global]\nindex-url = https://named/simple\n",
        "prefix/pip.conf": "[global]\nindex-url = https://prefix/simple\n",
    }
    found = settings_with(tmp_path, files, PIP_CONFIG_FILE=str(tmp_path / "named.conf"))
    assert (found.index_url, found.no_index) == ("https://named/simple", False)


def test_the_null_device_switches_files_off(tmp_path: Path) -> None:
    files = {"prefix/pip.conf": "[global]\nno-index = yes\n"}
    assert not settings_with(tmp_path, files, PIP_CONFIG_FILE=os.devnull).no_index
    assert configuration_files({"PIP_CONFIG_FILE": os.devnull}) == ()


def test_install_is_above_global_even_from_a_weaker_file(tmp_path: Path) -> None:
    files = {
        "etc/pip/pip.conf": "[install]\nindex-url = https://install/simple\n",
        "prefix/pip.conf": "[global]\nindex-url = https://global/simple\n",
    }
    assert settings_with(tmp_path, files).index_url == "https://install/simple"


def test_the_environment_is_above_every_file(tmp_path: Path) -> None:
    files = {"prefix/pip.conf": "[install]\nindex-url = https://file/simple\nno-index = no\n"}
    found = settings_with(tmp_path, files, PIP_INDEX_URL="https://variable/simple", PIP_DEFAULT_TIMEOUT="60")
    assert (found.index_url, found.timeout) == ("https://variable/simple", 60.0)


def test_an_empty_setting_is_none(tmp_path: Path) -> None:
    files = {"prefix/pip.conf": "[global]\nindex-url = https://file/simple\n"}
    assert settings_with(tmp_path, files, PIP_INDEX_URL="").index_url == "https://file/simple"


def test_every_setting_is_read(tmp_path: Path) -> None:
    text = """[global]
extra_index_url =
    https://one/simple
    file:///two/simple
find-links = /wheels https://links
proxy = http://proxy:3128
cert = ~/ca.pem
client-cert = /client.pem
trusted-host = inner other:8080
timeout = 7
retries = 2
no-index = true
"""
    found = settings_with(tmp_path, {"prefix/pip.conf": text})
    assert found.indexes == ()  # switched off
    assert found == IndexSettings(
        extra_index_urls=("https://one/simple", "file:///two/simple"),
        find_links=("/wheels", "https://links"),
        proxy="http://proxy:3128",
        cert=str(Path.home() / "ca.pem"),
        client_cert="/client.pem",
        trusted_hosts=("inner", "other:8080"),
        timeout=7.0,
        retries=2,
        no_index=True,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("[global\n", "ParsingError|MissingSection"), ("[global]\ntimeout = soon\n", "'soon'"), ("[global]\nno-index = maybe\n", "'maybe'")],
)  # fmt: skip
def test_a_file_that_is_not_valid_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnreadableSettings, match=said) as caught:
        settings_with(tmp_path, {"prefix/pip.conf": text})
    assert caught.value.exit_code is ExitCode.MISUSE


def test_passwords_are_not_shown() -> None:
    settings = IndexSettings(index_url="https://me:secret@host/simple", find_links=("https://me:se@cret@host/links",))
    assert "cret" not in repr(settings)
    assert "host/simple" in repr(settings)
