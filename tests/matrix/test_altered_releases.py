"""An installed engine with its classes moved and arguments renamed: everything is found at its new place."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import CONFIG_ROLES
from mixprec_doctor.resolving import EngineSource, open_engine
from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.source.exports import Found
from tests.matrix.altered import copy_engine, move_class, rename_argument

pytestmark = pytest.mark.engine

PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", sys.executable)
RENAMED = "an_argument_renamed"
FAR = {"vllm": "vllm.relocated", "sglang": "sglang.srt.relocated"}  # a new folder of the serving engine proper

Place = tuple[str, str]  # module and name


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """An installed engine as it is."""

    environment: Environment
    engine: str
    package: Path
    source: EngineSource

    @property
    def classes(self) -> dict[Place, Resolution]:
        """The roles that are classes which stand by themselves in a module, so that they can be moved."""
        found = [each for each in self.source.roles() if each.status is Status.FOUND]
        return {(each.module or "", each.name or ""): each for each in found if self._is_movable(each)}

    def _is_movable(self, role: Resolution) -> bool:
        origin = self.source.exports.look_up(role.module or "", role.name or "")
        parsed = self.source.exports.sources.module(role.module or "")
        if parsed is None or not isinstance(origin, Found) or origin.value is not None:
            return False  # e.g. a struct made by a call
        return any(isinstance(each, ast.ClassDef) and each.name == role.name for each in parsed.tree.body)


@dataclass(frozen=True, kw_only=True)
class Altered:
    """A copy of the engine in which classes stand elsewhere, seen in the environment of the original."""

    source: EngineSource
    moved: Mapping[Place, str]  # the module in which the class stands now
    renamed: Mapping[Place, str]  # the first argument of its constructor before it was renamed
    kept: bool  # whether the old modules import what was moved


@pytest.fixture(scope="module")
def untouched() -> Untouched:
    environment = read_environment(Target(python=Path(PYTHON)))
    known = [layout.engine for layout in LAYOUTS]
    engines = [each for each in find_engines(environment) if each.engine in known and each.root]
    if not engines:
        pytest.skip(f"no engine in the environment of {PYTHON}")
    engine = engines[0]
    return Untouched(
        environment=environment,
        engine=engine.engine,
        package=Path(engine.root or ""),
        source=open_engine(environment, engine.engine),
    )


@pytest.fixture(
    scope="module",
    params=[(kept, far) for kept in (True, False) for far in (False, True)],
    ids=["kept-near", "kept-far", "rewritten-near", "rewritten-far"],
)
def altered(request: pytest.FixtureRequest, untouched: Untouched, tmp_path_factory: pytest.TempPathFactory) -> Altered:
    kept, far = request.param
    site = copy_engine(untouched.package, tmp_path_factory.mktemp("altered"))
    moved: dict[Place, str] = {}
    renamed: dict[Place, str] = {}
    for (module, name), role in untouched.classes.items():
        folder = FAR[untouched.engine] if far else module.rpartition(".")[0]
        after = f"{folder}.moved_{name.lower()}"
        move_class(site, module, name, after, leave_import=kept)
        moved[module, name] = after
        if role.role in CONFIG_ROLES and role.parameters:
            rename_argument(site, after, name, role.parameters[0].name, RENAMED)
            renamed[module, name] = role.parameters[0].name
    environment = replace(
        untouched.environment, site_paths=(str(site), *untouched.environment.site_paths), editables=()
    )
    return Altered(source=open_engine(environment, untouched.engine), moved=moved, renamed=renamed, kept=kept)


def test_nearly_every_role_is_moved_and_every_config_has_an_argument_renamed(
    untouched: Untouched, altered: Altered
) -> None:
    assert len(altered.moved) >= 15
    assert len(altered.renamed) >= 4


def test_every_role_is_found_at_its_new_place(untouched: Untouched, altered: Altered) -> None:
    before = {each.role: each for each in untouched.source.roles()}
    wanted = {
        role: (altered.moved.get((each.module or "", each.name or ""), each.module), each.name, each.status)
        for role, each in before.items()
    }
    assert {each.role: (each.module, each.name, each.status) for each in altered.source.roles()} == wanted


def test_every_symbol_is_defined_at_its_new_place_and_imports_from_there(
    untouched: Untouched, altered: Altered
) -> None:
    for (module, name), after in altered.moved.items():
        before = [each.module for each in untouched.source.symbol(name).defined]
        now = altered.source.symbol(name)
        wanted = sorted(altered.moved.get((each, name), each) for each in before)
        importable = {each.module for each in now.importable}
        assert sorted(each.module for each in now.defined) == wanted
        assert after in importable
        assert not altered.kept or module in importable


def test_every_parameter_is_the_same_but_for_the_renamed_one(untouched: Untouched, altered: Altered) -> None:
    now = {each.role: each for each in altered.source.roles()}
    for place, role in untouched.classes.items():
        wanted = [(each.name, each.kind, each.default) for each in role.parameters]
        if place in altered.renamed:
            wanted[0] = (RENAMED, *wanted[0][1:])
        assert [(each.name, each.kind, each.default) for each in now[role.role].parameters] == wanted


def test_the_renamed_keyword_means_what_the_old_one_meant(untouched: Untouched, altered: Altered) -> None:
    now = {each.role: each.binding for each in altered.source.roles()}
    compared = 0
    for place, role in untouched.classes.items():
        binding = now[role.role]
        assert (binding is None) is (role.binding is None)
        if binding is None or role.binding is None:
            continue
        old = altered.renamed.get(place)
        meant = {RENAMED if name == old else name: meaning for name, meaning in role.binding.keywords.items()}
        assert (binding.via, dict(binding.keywords)) == (role.binding.via, meant)
        compared += RENAMED in meant
    assert compared >= 4
