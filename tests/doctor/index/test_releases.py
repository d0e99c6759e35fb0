"""Releases are found as pip would find them, from servers, folders and the cache, and errors say what to try."""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.index import Index, find_releases, open_release
from mixprec_doctor.index.errors import InvalidRequirement, NoSuchRelease, SourceOnly, UnreachableIndex
from tests.doctor.index.servers import IndexServer, make_wheel, sha256

MakeIndex = Callable[..., Index]


def wheels(*versions: str, project: str = "engine") -> dict[str, bytes]:
    return {
        f"{project}-{version}-py3-none-any.whl": make_wheel(
            {f"{project}/__init__.py": f"v = {version!r}"}, version=version
        )
        for version in versions
    }


def versions(index: Index, requirement: str) -> list[str]:
    return [release.version for release in index.find(requirement)]


def test_a_bare_name_is_the_newest_release_and_a_range_every_one_in_it(
    server: IndexServer, index_of: MakeIndex
) -> None:
    server.add_project("engine", wheels("0.9", "0.10", "0.2", "0.11rc1"))
    index = index_of()
    assert versions(index, "engine") == ["0.10"]
    assert versions(index, "engine>=0.2") == ["0.2", "0.9", "0.10"]
    assert versions(index, "Engine==0.9") == ["0.9"]
    assert versions(index, "engine==0.11rc1") == ["0.11rc1"]
    assert versions(index, "engine>=0.11rc0") == ["0.11rc1"]


def test_pre_releases_are_taken_where_there_is_nothing_else(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", wheels("1.0a1", "1.0b1"))
    assert versions(index_of(), "engine") == ["1.0b1"]


def test_withdrawn_releases_are_found_by_their_exact_version_alone(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", wheels("1.0", "2.0"), attributes={"engine-2.0-py3-none-any.whl": 'data-yanked=""'})
    index = index_of()
    assert versions(index, "engine") == ["1.0"]
    assert versions(index, "engine>=1") == ["1.0"]
    assert versions(index, "engine==2.0") == ["2.0"]
    with pytest.raises(NoSuchRelease):
        index.find("engine==2.*")


def test_all_that_a_page_says_is_in_the_record(server: IndexServer, index_of: MakeIndex) -> None:
    files = wheels("1.0")
    (name,) = files
    server.add_project(
        "engine", files,
        attributes={name: 'data-requires-python="&gt;=3.8" data-upload-time="2026-01-02T03:04:05Z"'},
    )  # fmt: skip
    (release,) = index_of().find("engine")
    assert release.to_json() == {
        "distribution": "engine",
        "version": "1.0",
        "file": {
            "distribution": "engine",
            "version": "1.0",
            "filename": name,
            "url": f"{server.url}/files/{name}",
            "sha256": sha256(files[name]),
            "requires_python": ">=3.8",
            "yanked": False,
            "size": None,
            "uploaded": "2026-01-02T03:04:05Z",
        },
        "fits": True,
    }
    assert type(release).from_json(json.loads(json.dumps(release.to_json()))) == release


def test_an_index_in_json_is_read_too(server: IndexServer, index_of: MakeIndex) -> None:
    page = {
        "meta": {"api-version": "1.1"}, "name": "engine", "versions": ["1.0"],
        "files": [{
            "filename": "engine-1.0-py3-none-any.whl", "url": "/files/e.whl", "hashes": {"sha256": "ab"},
            "size": 17, "upload-time": "2026-01-02T03:04:05Z", "yanked": "broken",
        }],
    }  # fmt: skip
    server.pages["/simple/engine/"] = ("application/vnd.pypi.simple.v1+json", json.dumps(page).encode())
    (release,) = index_of().find("engine==1.0")
    assert (release.file.size, release.file.sha256, release.file.yanked) == (17, "ab", True)
    assert release.file.uploaded == "2026-01-02T03:04:05+00:00"
    assert release.file.url == f"{server.url}/files/e.whl"


def test_folders_laid_out_like_an_index_and_folders_of_files_are_asked(index_of: MakeIndex, tmp_path: Path) -> None:
    for name, contents in wheels("1.0", "3.0").items():
        place = tmp_path / ("links" if "3.0" in name else "files")
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(contents)
    page = tmp_path / "simple" / "engine" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../files/engine-1.0-py3-none-any.whl">engine-1.0-py3-none-any.whl</a>')
    index = index_of(index_url=(tmp_path / "simple").as_uri(), find_links=(str(tmp_path / "links"),))
    assert versions(index, "engine>=1") == ["1.0", "3.0"]
    for release in index.find("engine>=1"):
        with index.open(release) as wheel:
            tree = wheel.tree("engine")
            assert tree
            assert tree.read("engine/__init__.py") == f"v = {release.version!r}".encode()
    assert index.connection.requests == 0


def test_a_page_of_links_on_a_server_is_asked(server: IndexServer, index_of: MakeIndex) -> None:
    links = '<a href="/x/engine-1.0-py3-none-any.whl">engine-1.0-py3-none-any.whl</a><a href="/x/other-9-py3-none-any.whl">other-9-py3-none-any.whl</a>'
    server.pages["/links.html"] = ("text/html", links.encode())
    index = index_of(no_index=True, find_links=(f"{server.url}/links.html",))
    assert versions(index, "engine") == ["1.0"]
    assert versions(index, "other") == ["9"]


def test_an_unknown_project_names_the_indexes_without_their_passwords(server: IndexServer, index_of: MakeIndex) -> None:
    secret = server.url.replace("//", "//me:hunter2@")
    with pytest.raises(NoSuchRelease) as caught:
        index_of(index_url=f"{secret}/simple").find("nowhere==1.0")
    text = str(caught.value)
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED
    assert "nowhere==1.0" in text
    assert f"{server.url.replace('//', '//****@')}/simple" in text
    assert "hunter2" not in text + repr(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == text  # noqa: S301


def test_no_matching_release_names_the_newest_that_are_there(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", wheels(*(f"0.{minor}" for minor in range(1, 9))))
    with pytest.raises(NoSuchRelease, match=r"newest there: 0\.8, 0\.7, 0\.6, 0\.5, 0\.4\n") as caught:
        index_of().find("engine>=2")
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED


@pytest.mark.parametrize("text", ["engine=1", "", "engine >= ", "engine @ https://me:hunter2@host/engine.whl"])
def test_what_is_no_requirement_is_misuse(index_of: MakeIndex, text: str) -> None:
    with pytest.raises(InvalidRequirement) as caught:
        index_of().find(text)
    assert caught.value.exit_code is ExitCode.MISUSE
    assert "hunter2" not in str(caught.value)


def test_a_release_without_a_wheel_is_listed_and_cannot_be_opened(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", {"engine-1.0.tar.gz": b"source"})
    index = index_of()
    (release,) = index.find("engine")
    assert not release.fits
    with pytest.raises(SourceOnly, match=r"engine-1\.0\.tar\.gz") as caught:
        index.open(release)
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED


def test_a_fresh_page_is_not_asked_for_again(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", wheels("1.0"))
    index_of().find("engine")
    index_of().find("engine")
    with pytest.raises(NoSuchRelease):
        index_of().find("nowhere")
    with pytest.raises(NoSuchRelease):
        index_of().find("nowhere")
    assert len(server.asked) == 2


def test_an_old_page_is_asked_for_with_its_validators(
    server: IndexServer, index_of: MakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.etags = True
    server.add_project("engine", wheels("1.0"))
    index_of().find("engine")
    later = time.time() + 700
    monkeypatch.setattr(time, "time", lambda: later)
    assert versions(index_of(), "engine") == ["1.0"]
    assert [each.headers.get("If-None-Match") is not None for each in server.asked] == [False, True]
    index_of().find("engine")  # what still holds is fresh again
    assert len(server.asked) == 2


@pytest.mark.parametrize("how", ["closed", "failing", "offline"])
def test_without_an_answer_the_old_page_is_used_and_that_is_told(
    server: IndexServer, index_of: MakeIndex, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server.add_project("engine", wheels("1.0"))
    index_of().find("engine")
    later = time.time() + 10**7
    monkeypatch.setattr(time, "time", lambda: later)
    server.statuses = [503] if how == "failing" else []
    if how == "closed":
        server.close_up()
    index = index_of(offline=how == "offline")
    assert versions(index, "engine") == ["1.0"]
    (note,) = index.notes
    assert "was used" in note
    assert f"{server.url}/simple/engine/" in note


def test_without_network_and_cache_nothing_is_examined(server: IndexServer, index_of: MakeIndex) -> None:
    server.close_up()
    with pytest.raises(UnreachableIndex, match="refused") as caught:
        index_of().find("engine")
    assert caught.value.exit_code is ExitCode.NOTHING_EXAMINED
    assert "cache" in str(caught.value)
    with pytest.raises(UnreachableIndex, match="offline"):
        index_of(offline=True).find("engine")


def test_one_index_that_fails_is_told_and_the_others_answer(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", wheels("1.0"))
    index = index_of(extra_index_urls=("http://127.0.0.1:9/simple",))
    assert versions(index, "engine") == ["1.0"]
    assert any("127.0.0.1:9" in note for note in index.notes)


def test_a_server_without_tls_is_asked_only_when_it_is_trusted(index_of: MakeIndex) -> None:
    with pytest.raises(UnreachableIndex, match="trusted-host"):
        index_of(index_url="http://pypi.invalid/simple").find("engine")
    with pytest.raises(UnreachableIndex) as caught:
        index_of(index_url="http://pypi.invalid/simple", trusted_hosts=("pypi.invalid",)).find("engine")
    assert "trusted-host" not in str(caught.value)


def test_credentials_of_an_address_are_sent_to_its_host_and_kept_nowhere(
    server: IndexServer, index_of: MakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.password = ("me", "hunter2")
    server.add_project("engine", wheels("1.0"))
    index = index_of(index_url=f"{server.url.replace('//', '//me:hunter2@')}/simple")
    (release,) = index.find("engine")
    with index.open(release) as wheel:
        assert wheel.packages == ("engine",)
    index.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert b"hunter2" not in kept
    assert index.store.page(f"{server.url}/simple/engine/ engine") is not None
    assert "hunter2" not in caplog.text + repr(release) + repr(index.settings)
    assert str(release.file.url).startswith(server.url)


def test_credentials_come_from_netrc(
    server: IndexServer, index_of: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.password = ("me", "hunter2")
    server.add_project("engine", wheels("1.0"))
    with pytest.raises(UnreachableIndex, match="401"):
        index_of().find("engine")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    index = index_of()
    (release,) = index.find("engine")
    with index.open(release) as wheel:
        assert wheel.packages == ("engine",)


def test_pips_proxy_is_used_above_the_environments(
    server: IndexServer, index_of: MakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.pages["http://pypi.invalid/simple/engine/"] = (
        "text/html", b'<a href="engine-1.0-py3-none-any.whl">engine-1.0-py3-none-any.whl</a>',
    )  # fmt: skip
    index = index_of(
        index_url="http://pypi.invalid/simple",
        trusted_hosts=("pypi.invalid",),
        proxy=server.url.replace("//", "//u:hunter2@"),
    )
    assert versions(index, "engine") == ["1.0"]
    assert server.asked[0].headers["Proxy-Authorization"].startswith("Basic ")
    assert "hunter2" not in repr(index.settings)


def test_a_redirected_page_is_the_base_of_its_links(server: IndexServer, index_of: MakeIndex) -> None:
    server.add_project("engine", wheels("1.0"))
    server.pages["/mirror/simple/engine/"] = server.pages.pop("/simple/engine/")
    server.redirects["/simple/engine/"] = "/mirror/simple/engine/"
    (release,) = index_of().find("engine")
    assert release.file.url == f"{server.url}/mirror/files/engine-1.0-py3-none-any.whl"


def test_another_interpreter_can_be_asked_for(server: IndexServer, index_of: MakeIndex) -> None:
    files = wheels("1.0")
    server.add_project("engine", files, attributes=dict.fromkeys(files, 'data-requires-python="&gt;=3.99"'))
    assert [each.fits for each in index_of().find("engine")] == [False]
    assert [each.fits for each in index_of().find("engine", python="3.99.1")] == [True]


def test_the_functions_use_pips_settings_of_the_environment(
    server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_project("engine", wheels("1.0"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    (release,) = find_releases("engine")
    with open_release(release) as wheel:
        assert wheel.distribution.version == "1.0"
    server.close_up()
    assert find_releases("engine", offline=True) == (release,)


def test_a_page_that_is_none_is_told(server: IndexServer, index_of: MakeIndex) -> None:
    server.pages["/simple/engine/"] = ("application/vnd.pypi.simple.v1+json", b'{"files": 1}')
    with pytest.raises(UnreachableIndex, match="no project page"):
        index_of().find("engine")


def test_files_of_other_projects_and_unknown_kinds_are_passed_over(server: IndexServer, index_of: MakeIndex) -> None:
    names = ("engine_core-2.0-py3-none-any.whl", "engine-1.0.exe", "engine-what-py3-none-any.whl", "README")
    server.add_project("engine", {**wheels("1.0"), **dict.fromkeys(names, b"")})
    assert versions(index_of(), "engine>=0") == ["1.0"]
