"""The run folder: same plan, same path; whole or not there; no weight in it; changed checkpoints are noticed."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_runtime import runfolder
from mixprec_runtime.cache import cache_folder
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.runfolder import RUN_FILE, STAND_IN, RunFolderError, read_run, run_folder_path, write_run_folder
from tests.runtime.builders import Workshop

MIX = "model: base\nsources: {gptq: {path: gptq}, awq: {path: awq}}\ndefault: gptq\nignore: [lm_head]\n"


@pytest.fixture
def plan(shop: Workshop) -> Plan:
    shop.checkpoints("base", "gptq", "awq")
    return shop.plan(MIX)


def test_the_same_plan_has_the_same_path_and_is_written_once(shop: Workshop, plan: Plan, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    folder = write_run_folder(plan, root=root)
    assert folder == run_folder_path(shop.plan(MIX), root=root)
    (folder / "mark").touch()
    assert write_run_folder(shop.plan(MIX), root=root) == folder
    assert (folder / "mark").exists()
    assert [file.name for file in root.iterdir()] == [folder.name]


@pytest.mark.parametrize("change", ["default: awq", "rules: [{targets: [model.norm], source: awq}]"])
def test_another_plan_has_another_path(shop: Workshop, plan: Plan, tmp_path: Path, change: str) -> None:
    other = shop.plan(MIX.replace("default: gptq", change))
    assert run_folder_path(other, root=tmp_path) != run_folder_path(plan, root=tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"])
def test_another_file_of_the_base_gives_another_path(shop: Workshop, plan: Plan, tmp_path: Path, name: str) -> None:
    file = shop.root / "base" / name
    before = run_folder_path(plan, root=tmp_path)
    content = file.read_bytes() if file.exists() else b""
    file.write_bytes(
        content.replace(b'"1.0"', b'"2.0"').replace(b"bfloat16", b"float16") if name != "model.safetensors" else content
    )
    if not content:
        file.write_text("{{ messages }}")
    os.utime(file, ns=(5, 5))
    assert run_folder_path(plan, root=tmp_path) != before


def test_it_holds_the_base_s_files_and_no_weight(shop: Workshop, plan: Plan, tmp_path: Path) -> None:
    base = shop.root / "base"
    for name in (
        "tokenizer.model",
        "vocab.txt",
        "chat_template.jinja",
        "pytorch_model.bin",
        "quant_config.json",
        "x.gguf",
    ):
        (base / name).write_text("{}")
    (base / "folder.json").mkdir()
    folder = write_run_folder(plan, root=tmp_path / "runs")
    assert {file.name for file in folder.iterdir()} == {
        "config.json", RUN_FILE, STAND_IN, "tokenizer.json", "tokenizer.model", "vocab.txt", "chat_template.jinja",
    }  # fmt: skip
    assert (folder / STAND_IN).stat().st_size < 100
    assert folder.stat().st_mode & 0o777 == 0o755


def test_its_config_is_the_base_s_with_mixprec_s_own_quantization(plan: Plan, shop: Workshop, tmp_path: Path) -> None:
    folder = write_run_folder(plan, root=tmp_path / "runs")
    config = json.loads((folder / "config.json").read_text())
    base = json.loads((shop.root / "base" / "config.json").read_text())
    quantization = config.pop("quantization_config")
    assert config == base
    assert quantization["quant_method"] == "mixprec"
    assert set(quantization["sources"]) == {"model", "gptq"}  # awq is not used
    assert quantization["sources"]["gptq"]["quantization_config"]["bits"] == 4
    assert quantization["modules"]["model.layers.0.mlp.up_proj"] == "gptq"
    assert quantization["formats"]["model.norm"] == "plain"


def test_every_planned_tensor_is_read_back(plan: Plan, tmp_path: Path) -> None:
    tensors = read_run(write_run_folder(plan, root=tmp_path / "runs"))
    wanted = {(t.name, layer.source, t.shape, t.nbytes) for layer in plan.layers for t in layer.tensors}
    assert {(t.name, t.source, t.shape, t.bytes) for t in tensors} == wanted
    assert {t.name.rpartition(".")[2] for t in tensors if t.droppable} == {"g_idx"}


def test_its_document_starts_with_the_schema(plan: Plan, tmp_path: Path) -> None:
    document = json.loads((write_run_folder(plan, root=tmp_path) / RUN_FILE).read_text())
    assert list(document)[:2] == ["schema", "mixprec"] and document["schema"] == "mixprec.run/1"


def test_a_changed_and_a_vanished_checkpoint_are_both_named(shop: Workshop, plan: Plan, tmp_path: Path) -> None:
    folder = write_run_folder(plan, root=tmp_path / "runs")
    os.utime(shop.root / "base" / "model.safetensors", ns=(1, 1))
    (shop.root / "gptq" / "model.safetensors").unlink()
    with pytest.raises(RunFolderError) as caught:
        read_run(folder)
    text = str(caught.value)
    assert f"{shop.root}/base/model.safetensors: has changed since the plan was made" in text
    assert f"{shop.root}/gptq/model.safetensors: No such file" in text and "mixprec launch MIX" in text


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"files": {}, "tensors": [{}]}', '{"files": [1], "tensors": []}', "5"]
)
def test_a_run_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    with pytest.raises(RunFolderError, match=RUN_FILE):
        read_run(tmp_path)


def test_a_folder_without_a_run_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_run(tmp_path)


def test_nothing_half_written_stays_behind(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    root = tmp_path / "runs"
    with pytest.raises(RunFolderError, match="No space left"):
        write_run_folder(plan, root=root)
    assert list(root.iterdir()) == []


def test_a_launch_that_was_quicker_wins(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "runs"
    real = runfolder._contents
    target = run_folder_path(plan, root=root)

    def slow(made: Plan) -> dict[str, dict[str, object]]:
        if root.is_dir() and not target.exists() and any(root.iterdir()):
            target.mkdir()
            (target / "theirs").touch()
        return real(made)

    monkeypatch.setattr(runfolder, "_contents", slow)
    assert write_run_folder(plan, root=root) == target
    assert [file.name for file in root.iterdir()] == [target.name] and (target / "theirs").exists()


def test_a_root_that_cannot_be_made_says_what_to_set(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="MIXPREC_CACHE"):
        write_run_folder(plan, root=tmp_path / "file" / "runs")


def test_a_base_that_vanished_is_said(shop: Workshop, plan: Plan, tmp_path: Path) -> None:
    shutil.rmtree(shop.root / "base")
    with pytest.raises(RunFolderError, match=r"base/config\.json cannot be read"):
        run_folder_path(plan, root=tmp_path)


def test_a_long_name_of_the_mix_file_is_cut(plan: Plan, tmp_path: Path) -> None:
    long = replace(plan, mix_file=Path("é" * 120 + ".yaml"))
    assert write_run_folder(long, root=tmp_path / "runs").is_dir()


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MIXPREC_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "mixprec"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/mixprec")
    monkeypatch.setenv("MIXPREC_CACHE", "~/here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXPREC_CACHE", "there")
    assert cache_folder() == tmp_path / "there"


@pytest.mark.parametrize("name, age, stays", [
    (".mix-0123456789ab-99999999-x", 60, False),  # of a launch that was killed
    (".mix-0123456789ab-99999999-x", 0, True),  # a process of another container may be writing it
    (f".mix-0123456789ab-{os.getpid()}-x", 60, True),
    ("mix-99999999-0123456789ab", 60, True),
])  # fmt: skip
def test_what_a_killed_launch_left_is_taken_away(plan: Plan, tmp_path: Path, name: str, age: int, stays: bool) -> None:
    root = tmp_path / "runs"
    (root / name).mkdir(parents=True)
    written = time.time() - age
    os.utime(root / name, (written, written))
    write_run_folder(plan, root=root)
    assert (root / name).is_dir() == stays


@pytest.mark.parametrize("harm", ["config.json", "tokenizer.json", RUN_FILE])
def test_a_folder_that_is_not_whole_any_more_is_written_anew(plan: Plan, tmp_path: Path, harm: str) -> None:
    folder = write_run_folder(plan, root=tmp_path)
    whole = (folder / harm).read_bytes()
    (folder / harm).write_bytes(whole[:-5])
    assert write_run_folder(plan, root=tmp_path) == folder and (folder / harm).read_bytes() == whole
    (folder / harm).unlink()
    assert write_run_folder(plan, root=tmp_path) == folder and (folder / harm).read_bytes() == whole
