"""The demo's checkpoints without torch: recipes, manifests, pins, and the builder's child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mixprec_runtime.cache import cache_folder
from mixprec_runtime.demo import build as builder_module
from mixprec_runtime.demo.build import build
from mixprec_runtime.demo.checkpoints import DemoCheckpoints, current_checkpoints, demo_checkpoints
from mixprec_runtime.demo.errors import BuildFailed, UnknownRecipe
from mixprec_runtime.demo.manifest import MANIFEST_NAME, is_current, write_manifest
from mixprec_runtime.demo.quantizer import import_folder
from mixprec_runtime.demo.recipes import PINS, RECIPES, Recipe, find_recipe, recipe_digest

# Stands for the real builder: writes the folders with manifests, as fast as a file can be written.
BUILDER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from mixprec_runtime.demo import build
    def make(recipe, base, made, report):
        made.mkdir()
        (made / "model.safetensors").write_text(recipe.name)
        report(f"made {recipe.name}")
        if recipe.name == STOP:
            sys.exit(7)
    build._make = make
    sys.exit(build.main(sys.argv[1:]))
    """
)


def script(tmp_path: Path, *, stop: str = "never") -> tuple[str, ...]:
    path = tmp_path / "builder.py"
    path.write_text(f"STOP = {stop!r}\n{BUILDER}")
    return (sys.executable, str(path))


def make_small(recipe: Recipe, _base: Path, made: Path, _report: object) -> None:
    made.mkdir()
    (made / "model.safetensors").write_text(recipe.name)


def test_all_are_made_once_and_used_again(tmp_path: Path) -> None:
    lines: list[str] = []
    made = demo_checkpoints(tmp_path / "cache", report=lines.append, builder=script(tmp_path))
    assert {name: getattr(made, name).name for name in ("base", "gptq", "awq", "int8", "fp8")} == {
        "base": "SmolLM2-135M-Instruct",
        "gptq": "SmolLM2-135M-Instruct-GPTQ-Int4",
        "awq": "SmolLM2-135M-Instruct-AWQ-Int4",
        "int8": "SmolLM2-135M-Instruct-W8A8-INT8",
        "fp8": "SmolLM2-135M-Instruct-FP8-Dynamic",
    }
    order = [line for line in lines if line.startswith("made")]
    assert order[0] == "made base"  # the others are made from it, side by side
    assert sorted(order) == sorted(f"made {recipe.name}" for recipe in RECIPES)
    lines.clear()
    again = demo_checkpoints(tmp_path / "cache", report=lines.append, builder=("/no/such/command",))
    assert (again, lines) == (made, [])


def test_rebuild_makes_all_again(tmp_path: Path) -> None:
    made = demo_checkpoints(tmp_path, report=print, builder=script(tmp_path))
    (made.awq / "model.safetensors").write_text("xyz")  # the same size: only a rebuild can tell
    demo_checkpoints(tmp_path, rebuild=True, report=print, builder=script(tmp_path))
    assert (made.awq / "model.safetensors").read_text() == "awq"


def test_only_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    made = demo_checkpoints(tmp_path, report=print, builder=script(tmp_path))
    (made.int8 / "model.safetensors").write_text("cut")
    assert current_checkpoints(tmp_path) == ("int8",)
    lines: list[str] = []
    demo_checkpoints(tmp_path, report=lines.append, builder=script(tmp_path))
    assert [line for line in lines if line.startswith("made")] == ["made int8"]


def test_a_builder_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed) as caught:
        demo_checkpoints(tmp_path, report=print, builder=script(tmp_path, stop="int8"))
    assert caught.value.code == 7
    assert "made int8" in str(caught.value)
    assert "MIXPREC_CACHE" in str(caught.value)
    left = set(current_checkpoints(tmp_path))
    assert "int8" in left
    assert "base" not in left  # what was whole before stays
    assert not list((tmp_path / "demo").glob(".*"))


def test_a_builder_that_makes_nothing_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="base, fp8, int8, awq, gptq"):
        demo_checkpoints(tmp_path, report=print, builder=(sys.executable, "-c", "pass"))


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl,sys,time; f=open(sys.argv[1],'a'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True);"
            "time.sleep(1.0)",
            str(tmp_path / "demo.lock"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lines: list[str] = []
        started = time.monotonic()
        demo_checkpoints(tmp_path, report=lines.append, builder=script(tmp_path))
    assert "waiting for another process" in lines[0]
    assert time.monotonic() - started > 0.5


def test_an_interrupt_ends_the_builder(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        f"import os,time; open({str(pid_file)!r},'w').write(str(os.getpid())); print('up',flush=True); time.sleep(60)"
    )

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo_checkpoints(tmp_path, report=interrupt, builder=(sys.executable, "-c", code))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_checkpoint_in_the_making_never_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(recipe: Recipe, base: Path, made: Path, report: object) -> None:
        make_small(recipe, base, made, report)
        raise KeyboardInterrupt

    monkeypatch.setattr(builder_module, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, ["base"], report=print)
    assert list(tmp_path.iterdir()) == []


def test_another_recipe_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder_module, "_make", make_small)
    build(tmp_path, ["awq"], report=print)
    recipe = find_recipe("awq")
    folder = tmp_path / recipe.folder
    assert is_current(folder, recipe)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    assert manifest["schema"] == "mixprec.demo-checkpoint/1"
    (folder / MANIFEST_NAME).write_text(json.dumps({**manifest, "digest": "0" * 16}))
    assert not is_current(folder, recipe)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"digest": 3, "files": []}', "\x00"])
def test_a_damaged_manifest_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    assert not is_current(tmp_path, find_recipe("base"))


def test_a_file_of_another_size_is_noticed(tmp_path: Path) -> None:
    recipe = find_recipe("base")
    (tmp_path / "model.safetensors").write_bytes(b"0123")
    write_manifest(tmp_path, recipe, tools={}, seconds=1.0)
    assert is_current(tmp_path, recipe)
    (tmp_path / "model.safetensors").write_bytes(b"012")
    assert not is_current(tmp_path, recipe)


def test_digests_tell_the_recipes_apart() -> None:
    assert len({recipe_digest(recipe) for recipe in RECIPES}) == len(RECIPES)
    with pytest.raises(UnknownRecipe, match="base, fp8, int8, awq, gptq"):
        find_recipe("marlin")


def test_every_pin_is_exact_and_torch_is_among_them() -> None:
    lines = [line for line in PINS.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert all("==" in line for line in lines)
    assert "torch==2.13.0" in lines
    assert not [line for line in lines if line.startswith(("torchvision", "torchaudio", "nvidia-c"))]


def test_the_import_folder_holds_the_two_packages_alone() -> None:
    with import_folder() as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["mixprec_doctor", "mixprec_runtime"]
        command = [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(folder)!r}); import mixprec_runtime",
        ]
        subprocess.run(command, check=True)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MIXPREC_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, Path("/a/b")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/mixprec")),
        ({}, Path.home() / ".cache" / "mixprec"),
    ],
)
def test_the_cache_folder_follows_the_environment(environment: dict[str, str], expected: Path) -> None:
    assert cache_folder(environment) == expected


def test_nothing_here_imports_torch() -> None:
    code = "import sys, mixprec_runtime.demo.checkpoints, mixprec_runtime.demo.build; sys.exit('torch' in sys.modules)"
    with import_folder() as folder:
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(folder)}, check=False)
    assert done.returncode == 0


def test_the_record_names_every_recipe() -> None:
    assert set(DemoCheckpoints.__dataclass_fields__) == {recipe.name for recipe in RECIPES}
