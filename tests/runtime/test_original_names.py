"""The names of the original system need no engine to be imported, and say what they miss when they are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixprec_runtime.records.replacements import Left, Replaced, Replacements

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("initialize_specific_layers", "load_model_weights", "replace_linear_with_mixed_precision")
CLASSES = ("MixedPrecisionLinear", "TrueMixedPrecisionConfig", "TrueMixedPrecisionLoader")
WITHOUT = """
import importlib.util as util
known = util.find_spec
util.find_spec = lambda name, *more: None if name in ("vllm", "sglang") else known(name, *more)
"""
"""Engines hidden from an interpreter that may have one."""


def output(code: str, *, hidden: bool = True, path: Path | None = None, **environment: str) -> str:
    """What some code prints in an interpreter of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "MIXPREC_ENGINE"}
    found = {**inherited, **environment, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, ROOT))))}
    done = subprocess.run(
        [sys.executable, "-c", (WITHOUT if hidden else "") + code], env=found, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def engines(folder: Path, *names: str) -> Path:
    """Packages that lie where the engines would, and end with an error when they are imported."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise RuntimeError('a broken engine')\n", encoding="utf-8")
    return folder


REFUSED = """
import mixprec_runtime
try:
    {}
except mixprec_runtime.binding.NoEngineToBind as refused:
    print(refused)
"""


def refusal(use: str, **more: object) -> str:
    return output("import mixprec_runtime.binding" + REFUSED.format(use), **more)  # type: ignore[arg-type]


def test_all_names_are_there_without_an_engine() -> None:
    told = output(
        "import mixprec_runtime as m\nfrom mixprec_runtime import *\n"
        "import json; print(json.dumps([n for n in m.__all__ if hasattr(m, n) and n in dir(m) and n in globals()]))"
    )
    assert {*CLASSES, *FUNCTIONS, "bind"} <= set(json.loads(told))


def test_looking_at_a_name_imports_nothing_of_others() -> None:
    told = output(
        "import mixprec_runtime as m, sys\nrepr(m.MixedPrecisionLinear); m.load_model_weights.__doc__\n"
        "print([n for n in ('torch', 'vllm', 'sglang', 'yaml', 'pydantic', 'click') if n in sys.modules])"
    )
    assert told == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "mixprec_runtime.MixedPrecisionLinear()",
        "class Mine(mixprec_runtime.TrueMixedPrecisionLoader): pass",
        "isinstance(1, mixprec_runtime.MixedPrecisionLinear)",
        "issubclass(int, mixprec_runtime.TrueMixedPrecisionConfig)",
        "mixprec_runtime.TrueMixedPrecisionConfig.from_config({})",
        "mixprec_runtime.load_model_weights(None, 'mix.yaml')",
        "mixprec_runtime.replace_linear_with_mixed_precision(None, 'mix.yaml')",
        "mixprec_runtime.initialize_specific_layers(None, 'mix.yaml', [])",
        "mixprec_runtime.bind()",
    ],
)
def test_the_first_use_says_that_there_is_no_engine_and_what_to_try(use: str) -> None:
    told = refusal(use)
    assert "wanted an engine for mixprec's names: vLLM or SGLang, found: none" in told
    assert "try: install vLLM or SGLang" in told


def test_of_two_engines_one_has_to_be_named(tmp_path: Path) -> None:
    found = engines(tmp_path, "vllm", "sglang")
    told = refusal("mixprec_runtime.bind()", hidden=False, path=found)
    assert "found: vLLM and SGLang" in told
    assert "MIXPREC_ENGINE=vllm" in told


def test_a_variable_names_the_engine(tmp_path: Path) -> None:
    found = engines(tmp_path, "vllm", "sglang")
    told = refusal("mixprec_runtime.bind()", hidden=False, path=found, MIXPREC_ENGINE="sglang")
    assert told.startswith("wanted to import SGLang, found: its import fails with ")
    told = refusal("mixprec_runtime.bind()", hidden=False, path=found, MIXPREC_ENGINE="tgi")
    assert "the engine 'tgi' that MIXPREC_ENGINE names" in told


def test_the_engine_that_is_imported_already_is_meant(tmp_path: Path) -> None:
    found = engines(tmp_path, "vllm", "sglang")
    use = "import sys, types; sys.modules['sglang'] = types.ModuleType('sglang'); mixprec_runtime.bind()"
    assert refusal(use, hidden=False, path=found).startswith("wanted to import SGLang")


def test_an_engine_that_is_not_there_or_has_no_adapter_is_refused_by_name() -> None:
    assert "wanted SGLang, as was asked for, found: none" in refusal("mixprec_runtime.bind('sglang')")
    assert "the engine 'tgi'" in refusal("mixprec_runtime.bind('tgi')")


def test_a_name_may_stand_in_an_annotation_before_it_is_bound() -> None:
    told = output("import mixprec_runtime as m\ndef f(x: m.MixedPrecisionLinear | None): ...\nprint(f.__annotations__)")
    assert "MixedPrecisionLinear" in told
    assert "Optional" in told


def replaced(layer: str, form: str, before: int, now: int) -> Replaced:
    return Replaced(
        layer=layer, members=(layer,), source="gptq", format=form, method="M", bytes_before=before, bytes_now=now
    )


def test_replacements_sum_up_and_tell_each_reason_once() -> None:
    told = Replacements(
        engine="vllm",
        replaced=(replaced("a", "gptq-int4-g64", 100, 30), replaced("b", "fp8-tensor", 100, 50)),
        left=(Left(layer="c", why="it was not asked for"), Left(layer="d", why="it was not asked for")),
        missing=(Left(layer="e", why="they are experts"),),
        seconds=0.25,
        config_reused=False,
    )
    assert (told.bytes_before, told.bytes_now, told.layers) == (200, 80, ("a", "b"))
    assert told.by_format == {"gptq-int4-g64": 1, "fp8-tensor": 1}
    assert str(told).splitlines() == [
        "2 linear layers replaced (1 gptq-int4-g64, 1 fp8-tensor) in 0.25 s: 200 bytes before, 80 now",
        "  2 left: it was not asked for",
        "  e: they are experts",
    ]
    document = json.loads(json.dumps(told.to_json()))
    assert document["schema"] == "mixprec.replacements/1"
    assert document["totals"]["bytes_now"] == 80
    assert document["replaced"][1]["format"] == "fp8-tensor"
