"""Records: names of formats, documents, and that accounts survive the way through JSON."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.checkpoint.errors import BrokenSafetensors
from mixprec_runtime.launching.errors import EngineFailed, PortInUse, RefusedPlan
from mixprec_runtime.mixfile.errors import InvalidMix, MixFault
from mixprec_runtime.records.account import LayerMemory, LoadAccount, LoadFault, RefusedKernel, SourceRead
from mixprec_runtime.records.mix import Mark, Mix, Source
from mixprec_runtime.runfolder import RunFolderError

MARK = Mark(file="mix.yaml", line=3, column=5)


@pytest.fixture
def account() -> LoadAccount:
    return LoadAccount(
        rank=1, world_size=2, sources={"gptq": SourceRead(tensors=3, bytes=40)}, parameters=3, parameter_bytes=44,
        held_bytes=50, grown_bytes=60, redundant=("a.g_idx",), converted={"float16 -> bfloat16": 8},
        layers=(LayerMemory(layer="a", source=None, format=None, method="M", loaded_bytes=1, held_bytes=2),),
        refused=(RefusedKernel(method="K", fault="no"),), faults=(LoadFault(name="a", text="was never filled"),),
        seconds=0.5,
    )  # fmt: skip


def test_an_account_comes_back_from_json_as_it_was(account: LoadAccount) -> None:
    document = account.to_json()
    assert list(document)[:2] == ["schema", "mixprec"] and document["schema"] == "mixprec.account/1"
    assert LoadAccount.from_json(json.loads(json.dumps(document))) == account


@pytest.mark.parametrize("fmt, name", [
    (Format(kind=FormatKind.PLAIN, bits=16, dtype="BF16"), "bf16"),
    (Format(kind=FormatKind.PLAIN, bits=16), "?"),
    (Format(kind=FormatKind.GPTQ, bits=4, group=64), "gptq-int4-g64"),
    (Format(kind=FormatKind.PACKED, bits=8), "packed-int8"),
    (Format(kind=FormatKind.FP8, bits=8, scale="block"), "fp8-block"),
    (Format(kind=FormatKind.INT8, bits=8), "int8"),
])  # fmt: skip
def test_a_format_has_a_short_name(fmt: Format, name: str) -> None:
    assert fmt.name == name


@pytest.mark.parametrize("serve, ranks", [
    ({}, 1), ({"tensor_parallel_size": 4}, 4), ({"tensor-parallel-size": 2}, 2), ({"max_model_len": 9}, 1),
])  # fmt: skip
def test_ranks_are_those_of_the_serve_section(serve: dict[str, object], ranks: int) -> None:
    base = Source(name="model", path=Path(), mark=MARK)
    assert Mix(file=Path("m"), model=base, sources={}, rules=(), serve=serve).ranks == ranks


FINDING = Finding(code="MP620", severity=Severity.ERROR, summary="nothing")
ERRORS = (
    BrokenSafetensors(Path("x"), "is cut off"),
    InvalidMix(Path("m"), (MixFault(mark=MARK, text="wrong"),)),
    EngineFailed(3, Path("log"), ("last",), ()),
    PortInUse("::1", 9),
    RefusedPlan((FINDING,)),
    RunFolderError(Path("r"), "gone", "again"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_the_way_to_another_process(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  made on the line
    assert (type(back), str(back), back.args) == (type(error), str(error), error.args)


def test_a_fault_of_loading_is_told_before_the_log(account: LoadAccount) -> None:
    text = str(EngineFailed(1, Path("engine.log"), ("Traceback",), (account,)))
    assert "loading was refused: 1 fault\n" in text and "rank 1: a was never filled" in text
    assert "Traceback" not in text and "engine.log" in text


def test_without_faults_the_last_lines_are_told() -> None:
    text = str(EngineFailed(137, Path("engine.log"), ("Killed",), ()))
    assert "ended with code 137 before its server answered\n  Killed" in text
