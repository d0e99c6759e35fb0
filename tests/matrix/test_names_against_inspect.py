"""What the doctor reads from source, against what a really installed engine says once it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.records.resolution import How, Parameter, Resolution, Status, SymbolResolution
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving import open_engine
from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.resolving.symbols import module_of, package_paths, scoped_paths

pytestmark = pytest.mark.engine

# The interpreter whose engine is examined: that of the session, or another one.
PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", sys.executable)
WITNESS = Path(__file__).with_name("witness.py")
SYMBOLS = """
    AWQConfig AWQLinearMethod AWQMarlinConfig AWQMarlinLinearMethod AsyncEngineArgs AutoAWQConfig
    AutoAWQLinearMethod AutoAWQMarlinLinearMethod AutoGPTQConfig AutoGPTQLinearMethod AutoGPTQMarlinLinearMethod
    BaseModelLoader BlockInt8Config BlockInt8LinearMethod ColumnParallelLinear CompressedTensorsConfig
    DefaultModelLoader EngineArgs Fp8Config Fp8LinearMethod GPTQConfig GPTQLinearMethod GPTQMarlinConfig
    GPTQMarlinLinearMethod LinearBase LinearMethodBase LoadConfig LoadFormat MergedColumnParallelLinear ModelConfig
    QKVParallelLinear QUANTIZATION_METHODS QuantizationConfig QuantizeMethodBase ReplicatedLinear RowParallelLinear
    ServerArgs UnquantizedLinearMethod VllmConfig W8A8Fp8Config W8A8Int8Config W8A8Int8LinearMethod get_model_loader
    get_quantization_config launch_server prepare_server_args register_model_loader register_quantization_config
"""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One installed engine: what was read of it, and what the witness answered."""

    engine: str
    scope: frozenset[str]  # modules that hold what is asked for; elsewhere other things may have the same names
    roles: tuple[Resolution, ...]
    symbols: tuple[SymbolResolution, ...]
    faults: Mapping[str, str]  # modules that do not import here, and why
    offered: Mapping[str, Mapping[str, list[str]]]  # by module and name: where the thing was made
    called: Mapping[str, Mapping[str, Any]]

    @property
    def read(self) -> dict[str, tuple[Parameter, ...]]:
        """The parameters read, by the same keys as ``called``."""
        return {key: parameters for key, (_, _, parameters) in things(self.roles, self.symbols).items()}


def things(
    roles: tuple[Resolution, ...], symbols: tuple[SymbolResolution, ...]
) -> dict[str, tuple[str, str, tuple[Parameter, ...]]]:
    """Module, name and parameters of everything that was found."""
    found = {each.role.value: (each.module or "", each.name or "", each.parameters) for each in roles}
    for symbol in symbols:
        for each in symbol.defined:
            found[f"{each.module}.{symbol.symbol}"] = (each.module, symbol.symbol, each.parameters)
    return found


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    environment = read_environment(Target(python=Path(PYTHON)))
    known = [layout.engine for layout in LAYOUTS]
    engines = [each.engine for each in find_engines(environment) if each.engine in known and each.root]
    if not engines:
        pytest.skip(f"no engine in the environment of {PYTHON}")
    source = open_engine(environment, engines[0])
    tree = source.exports.sources.tree(engines[0])
    assert tree is not None
    scope = frozenset(module_of(path)[0] for path in scoped_paths(tree, source.layout))
    packages = {module_of(path)[0] for path in package_paths(tree, source.layout)}
    usual = [name for each in source.layout.usual.values() for name in each.names]
    names = sorted({*SYMBOLS.split(), *usual})
    roles = tuple(each for each in source.roles() if each.status is Status.FOUND)
    symbols = tuple(source.symbol(name) for name in names)
    question = {
        "modules": sorted(scope | packages),
        "names": names,
        "called": {
            key: {
                "module": module,
                "name": name,
                "defaults": {each.name: each.default for each in parameters if each.default is not None},
            }
            for key, (module, name, parameters) in things(roles, symbols).items()
        },
    }
    folder = tmp_path_factory.mktemp("witness")
    (folder / "question.json").write_text(json.dumps(question))
    subprocess.run(
        [PYTHON, WITNESS, folder / "question.json", folder / "answer.json"],
        check=True, timeout=900, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    answer = json.loads((folder / "answer.json").read_text())
    return Examined(engine=engines[0], scope=scope, roles=roles, symbols=symbols, **answer)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says in the session's output what a test compared."""

    def told(words: str) -> None:
        with capsys.disabled():
            print(f"\n{words}", end="")

    return told


def test_nearly_all_modules_import_so_that_the_comparison_is_one(
    examined: Examined, tell: Callable[[str], None]
) -> None:
    tell(f"{examined.engine}: {len(examined.offered)} modules imported, {len(examined.faults)} do not import here")
    for module, fault in examined.faults.items():
        tell(f"  left out: {module}: {fault}")
    assert len(examined.offered) >= 100
    assert len(examined.faults) <= len(examined.offered) // 10
    assert len(examined.roles) >= 25


def test_a_name_imports_exactly_where_the_doctor_says(examined: Examined, tell: Callable[[str], None]) -> None:
    wrong: list[str] = []
    undecided = 0
    for symbol in examined.symbols:
        read = {each.module: each.how for each in symbol.importable}
        for module, offered in examined.offered.items():
            if read.get(module) is How.CONDITIONAL:
                undecided += 1
            elif (module in read) is not (symbol.symbol in offered):
                wrong.append(f"from {module} import {symbol.symbol}: read {module in read}")
    asked = len(examined.symbols) * len(examined.offered)
    tell(f"{examined.engine}: {asked} imports tried, {len(wrong)} read wrongly, {undecided} not decided")
    assert wrong == []
    assert undecided <= asked // 100


def test_a_name_is_defined_where_the_doctor_says_and_nowhere_else(examined: Examined) -> None:
    wrong: list[str] = []
    for symbol in examined.symbols:
        read = {each.module for each in symbol.defined}
        for module in examined.scope & examined.offered.keys():
            offered = examined.offered[module]
            home, name = offered.get(symbol.symbol) or ("", "")
            if name == symbol.symbol and home.startswith(f"{examined.engine}.") and home not in read:
                wrong.append(f"{symbol.symbol} of {module} was made in {home}, read: {sorted(read)}")
            if name == symbol.symbol and module in read and home != module:
                wrong.append(f"{symbol.symbol} was read as defined in {module}, it was made in {home}")
    assert wrong == []


def test_every_parameter_of_every_name_is_as_it_was_read(examined: Examined, tell: Callable[[str], None]) -> None:
    assert {key: each["fault"] for key, each in examined.called.items() if "fault" in each} == {}
    real = {key: each["parameters"] for key, each in examined.called.items() if each["parameters"] is not None}
    read = {key: [[each.name, each.kind, each.required] for each in found] for key, found in examined.read.items()}
    count = sum(map(len, real.values()))
    tell(f"{examined.engine}: {count} parameters of {len(real)} roles and symbols compared")
    assert {key: read[key] for key in real} == real
    assert len(real) >= 50
    assert [key for key in read if key not in real and read[key]] == []  # a mere value has no parameters


def test_default_values_read_from_the_source_are_those_of_the_engine(
    examined: Examined, tell: Callable[[str], None]
) -> None:
    differ = {f"{key} {name}": words for key, each in examined.called.items() for name, words in each["differ"].items()}
    unread = {f"{key} {name}": words for key, each in examined.called.items() for name, words in each["unread"].items()}
    asked = sum(
        sum(each.default is not None for each in found)
        for key, found in examined.read.items()
        if examined.called[key]["parameters"] is not None
    )
    tell(f"{examined.engine}: {asked - len(unread)} of {asked} default values compared")
    for key, words in unread.items():
        tell(f"  left out: {key}: {words}")
    assert differ == {}
    assert asked >= 500
    assert len(unread) <= asked // 100


def test_the_arguments_of_the_server_are_complete_and_in_order(examined: Examined) -> None:
    read = examined.read[Role.SERVER_ARGS.value]
    assert [each.name for each in read] == [
        name for name, _, _ in examined.called[Role.SERVER_ARGS.value]["parameters"]
    ]
    assert len(read) >= 150
