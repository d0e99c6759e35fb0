"""What the adapter touches of an engine is read from its own source, and held against a release that lacks some of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from packaging.version import Version

from mixprec_doctor.source.sources import Sources
from mixprec_runtime.adapters.relied import Word
from tests.releases.adapter import SGLANG, VLLM, Touches, broken_in, undeclared_methods

ENGINE = {
    "__init__.py": "",
    "loaders.py": "class Loader:\n    def load(self, model, config): ...\n    def fetch(self): self.load(1, 2)\n",
    "registry.py": "def register(name): ...\ndef find(name): ...\n",
    "config.py": "class Config:\n    kind: str\n    def __init__(self, folder, dtype=None): self.folder = folder\n",
}
ADAPTER = """\
from vllm import registry
from vllm.config import Config
from vllm.loaders import Loader

class Ours(Loader):
    def load(self, model, config):
        super().load(model, config)

def made():
    registry.register("ours")
    return Config(folder="f", dtype="bf16")
"""
Check = Callable[..., list[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """The faults of an adapter on an engine of which some files are different; None: that file is not there."""

    def checked(
        adapter: str = ADAPTER, reached_by: Mapping[str, str] = MappingProxyType({}), **changed: str | None
    ) -> list[str]:
        shutil.rmtree(tmp_path, ignore_errors=True)
        for name, text in {**ENGINE, **{f"{name}.py": text for name, text in changed.items()}}.items():
            file = tmp_path / "release" / "vllm" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                file.write_text(text)
        (tmp_path / "adapter").mkdir(parents=True, exist_ok=True)
        (tmp_path / "adapter" / "ours.py").write_text(adapter)
        touches = Touches(
            engine="vllm",
            folder=tmp_path / "adapter",
            hooks={"Loader": frozenset({"load"})},
            attributes={} if reached_by else {"vllm.config.Config": frozenset({"folder", "kind"})},
            reached_by=reached_by,
            words=(Word(text="self.load(", places=("vllm.loaders",), why="it calls ours"),),
        )
        return [str(each) for each in broken_in(Sources.of_folder(tmp_path / "release"), touches)]

    return checked


def test_a_release_that_has_everything_is_whole(check: Check) -> None:
    assert check() == []


def test_a_moved_class_is_named_with_its_new_home(check: Check) -> None:
    (fault, *_) = check(config="", configuration=ENGINE["config.py"])
    assert fault.startswith("ours.py:2 wants vllm.config.Config")
    assert fault.endswith("now in vllm.configuration")


def test_a_module_that_is_gone_is_named_with_the_one_that_has_its_names(check: Check) -> None:
    found = check(loaders=None, **{"loading/__init__": "", "loading/loaders": ENGINE["loaders.py"]})
    assert "ours.py:3 wants vllm.loaders: no such module; now in vllm.loading.loaders" in found


def test_a_function_taken_from_a_module_counts_too(check: Check) -> None:
    (fault,) = check(registry="def enter(name): ...\n")
    assert fault.startswith("ours.py:10 wants vllm.registry.register")


def test_a_parameter_that_was_renamed_is_named_with_the_call(check: Check) -> None:
    (fault, *_) = check(
        config="class Config:\n    kind: str\n    def __init__(self, path, dtype=None): self.folder = path\n"
    )
    assert "no parameter folder; nothing for path" in fault


def test_a_hook_that_the_engine_has_no_more_is_named(check: Check) -> None:
    (fault,) = check(loaders="class Loader:\n    def load_all(self, model, config): self.load(model)\n")
    assert "vllm.loaders.Loader.load, which Ours overrides: the class has no such method" in fault


def test_a_hook_that_is_given_more_than_ours_takes_is_named(check: Check) -> None:
    text = "class Loader:\n    def load(self, model, config, prefix=''): self.load(model, config)\n"
    assert check(loaders=text) == [
        "ours.py:6 wants Ours.load takes all of Loader.load: it does not take prefix"
    ]  # fmt: skip


def test_an_attribute_that_is_gone_is_named(check: Check) -> None:
    (fault,) = check(config="class Config:\n    def __init__(self, folder, dtype=None): self.folder = folder\n")
    assert fault == "relied.py wants vllm.config.Config.kind: the class has no such attribute"


def test_a_hook_that_the_engine_has_but_does_not_call_any_more_is_named(check: Check) -> None:
    (fault,) = check(loaders="class Loader:\n    def load(self, model, config): ...\n")
    assert "'self.load(' in vllm.loaders, since it calls ours: it is not there" in fault


def test_what_a_try_may_catch_is_no_fault(check: Check) -> None:
    assert check(f"try:\n    from vllm.newer import thing\nexcept ImportError:\n    thing = None\n{ADAPTER}") == []


TURNING = f"try:\n    from vllm.newer import thing\nexcept ImportError:\n    from vllm.older import thing\n{ADAPTER}"


def test_what_a_caught_import_turns_to_has_to_be_there(check: Check) -> None:
    assert check(TURNING, newer="thing = 1\n") == []
    assert check(TURNING, newer=None, older="thing = 1\n") == []
    (fault,) = check(TURNING, older=None)
    assert "vllm.older: no such module" in fault


ELSE = f"try:\n    from vllm.newer import thing\nexcept ImportError:\n    pass\nelse:\n    thing.go()\n    from vllm.gone import x\n{ADAPTER}"


def test_what_goes_with_a_caught_import_has_to_be_there_where_the_import_succeeds(check: Check) -> None:
    assert check(ELSE) == []
    (fault,) = check(ELSE, newer="class thing: ...\n")
    assert "vllm.gone: no such module" in fault


def test_a_module_that_only_a_part_of_the_engine_calls_is_held_against_releases_with_that_part(check: Check) -> None:
    assert check(reached_by={"ours.py": "vllm.plugins"}, config=None) == []
    assert check(reached_by={"ours.py": "vllm.plugins"}, config=None, plugins="")


OTHERWISE = (
    ADAPTER
    + """\

def sought():
    found = getattr(registry, "find", None)
    if found is None:
        from vllm.older import found
    return found
"""
)


def test_another_way_is_held_against_releases_that_need_it_only(check: Check) -> None:
    assert check(OTHERWISE) == []
    (fault,) = check(OTHERWISE, registry="def register(name): ...\n")
    assert "vllm.older: no such module" in fault


FIRST = {VLLM.engine: "0.10.1", SGLANG.engine: "0.4.7"}
ADAPTERS = pytest.mark.parametrize("touches", [VLLM, SGLANG], ids=lambda each: each.engine)


@ADAPTERS
def test_every_method_of_ours_on_an_engine_s_class_is_declared_or_used(touches: Touches) -> None:
    assert undeclared_methods(touches) == []


@ADAPTERS
@pytest.mark.skipif(
    "MIXPREC_RELEASES" not in os.environ, reason="MIXPREC_RELEASES names no folder of unpacked releases"
)
def test_releases_in_a_folder_have_all_that_the_adapter_touches(touches: Touches) -> None:
    """For work on the adapter: ``vllm-<version>/vllm`` for each release, the .py files are enough."""
    engine = touches.engine
    folders = Path(os.environ["MIXPREC_RELEASES"]).glob(f"{engine}-*")
    versions = {Version(folder.name.removeprefix(f"{engine}-")): folder for folder in folders}
    held = {version: versions[version] for version in sorted(versions) if version >= Version(FIRST[engine])}
    assert held
    report = [
        f"{version}: {each}" for version, at in held.items() for each in broken_in(Sources.of_folder(at), touches)
    ]
    assert not report, "\n".join(report)
