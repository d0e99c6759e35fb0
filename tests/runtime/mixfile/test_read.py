"""Mix files: every fault at once, each with its place; sources, defaults and names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.mixfile.errors import InvalidMix
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.records.mix import Mix
from tests.runtime.builders import Workshop


@pytest.fixture(autouse=True)
def _folders(shop: Workshop) -> None:
    for name in ("base", "int4", "awq"):
        (shop.root / name).mkdir()


def faults(shop: Workshop, text: str) -> list[str]:
    file = shop.mix(text)
    with pytest.raises(InvalidMix) as caught:
        read_mix(file)
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + len(caught.value.faults)
    return [str(fault).removeprefix(f"{shop.root}/") for fault in caught.value.faults]


def test_the_whole_file_of_the_contract_is_read(shop: Workshop) -> None:
    mix = read_mix(shop.mix(
        "model: ./base\n"
        "sources:\n  int4: {path: ./int4}\n  awq:  {path: ./awq}\n"
        "default: int4\n"
        "rules:\n"
        "  - {targets: ['re:.*\\.mlp\\.(gate|up|down)_proj$'], source: awq}\n"
        "  - {targets: ['re:model\\.layers\\.(0|29)\\..*', Linear], source: model}\n"
        "ignore: [lm_head]\n"
        "engine: vllm\n"
        "serve: {tensor_parallel_size: 1, max_model_len: 4096}\n"
    ))  # fmt: skip
    assert mix.model.path == shop.root / "base"
    assert {name: source.path.name for name, source in mix.sources.items()} == {"int4": "int4", "awq": "awq"}
    assert (mix.default, mix.ignore, mix.engine) == ("int4", ("lm_head",), "vllm")
    assert mix.serve == {"tensor_parallel_size": 1, "max_model_len": 4096}
    assert [(rule.source, rule.mark.line, rule.mark.column) for rule in mix.rules] == [("awq", 7, 5), ("model", 8, 5)]
    assert mix.rules[1].targets == ("re:model\\.layers\\.(0|29)\\..*", "Linear")
    assert mix.sources["awq"].mark.line == 4
    assert mix.default_mark is not None and mix.default_mark.line == 5


def test_what_is_left_out_has_its_default(shop: Workshop) -> None:
    mix = read_mix(shop.mix("model: base\n"))
    assert (mix.default, mix.sources, mix.rules, mix.ignore, mix.engine, mix.serve) == ("model", {}, (), (), "auto", {})


def test_paths_are_relative_to_the_file(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.mix("model: base\n")
    monkeypatch.chdir("/")
    relative = Path(os.path.relpath(shop.root / "mix.yaml", "/"))
    assert read_mix(relative).model.path == shop.root / "base"


def test_an_absolute_path_and_a_home_are_taken(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(shop.root))
    mix = read_mix(shop.mix(f"model: ~/base\nsources: {{a: {{path: {shop.root}/int4}}}}\n"))
    assert (mix.model.path, mix.sources["a"].path) == (shop.root / "base", shop.root / "int4")


@pytest.mark.parametrize("text, wanted", [
    ("modle: base\n", ["mix.yaml:1:1: missing key 'model'", "mix.yaml:1:1: unknown key 'modle'; did you mean 'model'?"]),
    ("model: base\nxyz: 1\n", ["mix.yaml:2:1: unknown key 'xyz'; known keys: model, sources, default, rules, ignore, engine, serve"]),
    ("model: base\nsources: {a: {path: int4, pat: 1}}\n",
     ["mix.yaml:2:27: unknown key 'sources.a.pat'; did you mean 'path'?"]),
    ("model: base\nsources: {a: {}}\n", ["mix.yaml:2:11: missing key 'sources.a.path'"]),
    ("model: base\nrules:\n  - {target: [a], source: model}\n",
     ["mix.yaml:3:5: missing key 'rules.0.targets'",
      "mix.yaml:3:6: unknown key 'rules.0.target'; did you mean 'targets'?"]),
    ("model: 5\n", ["mix.yaml:1:1: model: input should be a valid string, found 5"]),
    ("model: ''\n", ["mix.yaml:1:1: model: string should have at least 1 character, found ''"]),
    ("model: base\nrules: {targets: [a]}\n", ["mix.yaml:2:1: rules: input should be a valid list"]),
    ("model: base\nrules:\n- targets: Linear\n  source: model\n",
     ["mix.yaml:3:3: rules.0.targets: input should be a valid list, found 'Linear'"]),
    ("model: base\nrules: [{targets: [], source: model}]\n", ["rules.0.targets: list should have at least 1 item"]),
    ("model: base\nrules: [{targets: [''], source: model}]\n", ["rules.0.targets.0: string should have at least 1"]),
    ("model: base\nrules: [{targets: [3], source: model}]\n", ["mix.yaml:2:20: rules.0.targets.0: input should be a valid string"]),
    ("model: base\nrules: [{targets: ['re:('], source: model}]\n", ["'re:(' is no regular expression: missing )"]),
    ("model: base\nignore: ['re:*']\n", ["mix.yaml:2:10: ignore.0: 're:*' is no regular expression: nothing to repeat"]),
    ("model: base\nignore: ['re:a{99999999999}']\n", ["is no regular expression"]),
    ("model: base\nignore: ['re:" + "(" * 3000 + ")" * 3000 + "']\n", ["is no regular expression"]),
    ("model: base\nignore: lm_head\n", ["mix.yaml:2:1: ignore: input should be a valid list, found 'lm_head'"]),
    ("model: base\nengine: tgi\n", ["mix.yaml:2:1: engine: input should be 'auto', 'vllm', 'sglang' or 'torch', found 'tgi'"]),
    ("model: base\nserve: [a]\n", ["mix.yaml:2:1: serve: input should be a valid dictionary"]),
    ("model: base\nserve: {a: {b: 1}}\n", ["serve: 'a' is no text, number"]),
    ("model: base\nserve: {a: null}\n", ["serve: 'a' is no text, number"]),
    ("model: base\nserve: {1: 2}\n", ["serve.1: input should be a valid string, found 1"]),
    ("model: base\nserve: {quantization: fp8}\n", ["mix.yaml:2:1: serve: 'quantization' is what mixprec itself"]),
    ("model: base\nserve: {load-format: auto}\n", ["serve: 'load-format' is what mixprec itself"]),
    ("model: base\nserve: {tensor_parallel_size: two}\n", ["serve: 'tensor_parallel_size' is a whole number from 1 to 1024"]),
    ("model: base\nserve: {tensor_parallel_size: 1000000000}\n", ["is a whole number from 1 to 1024"]),
    ("model: base\nserve: {tensor-parallel-size: true}\n", ["is a whole number from 1 to 1024"]),
    ("model: base\nserve: {port: abc}\n", ["serve: 'port' is a whole number from 1 to 65535"]),
    ("model: base\nserve: {port: 99999}\n", ["serve: 'port' is a whole number from 1 to 65535"]),
    ("model: base\nsources: {model: {path: int4}}\n", ["sources: 'model' is the name of the base model"]),
    ("model: base\nsources: {'a b': {path: int4}}\n", ["sources.a b: string should match pattern"]),
    ("model: base\nsources:\n", ["mix.yaml:2:1: sources: input should be a valid dictionary, found None"]),
    ("[model, base]\n", ["mix.yaml:1:1: the file: input should be a valid dictionary"]),
    ("base\n", ["mix.yaml:1:1: the file: input should be a valid dictionary"]),
    ("model: base\ndefault: inf4\nsources: {int4: {path: int4}}\n",
     ["mix.yaml:2:1: there is no source 'inf4'; did you mean 'int4'? known sources: int4, model"]),
    ("model: base\nrules: [{targets: [a], source: nothing}]\n",
     ["mix.yaml:2:24: there is no source 'nothing'; known sources: model"]),
    ("model: nowhere\n", ["mix.yaml:1:1: model: there is no folder "]),
    ("model: mix.yaml\n", ["mix.yaml is a file; name the folder"]),
    ("model: base\nsources:\n  a: {path: ../nowhere}\n", ["mix.yaml:3:7: sources.a.path: there is no folder "]),
    ("model: ~nobody-of-this-name/base\n", ["mix.yaml:1:1: model: there is no folder "]),
    ("model: '" + "x" * 5000 + "'\n", ["mix.yaml:1:1: model: there is no folder "]),
    ("model: \"a\\0b\"\n", ["mix.yaml:1:1: model: there is no folder "]),
    ("model: \"\\ud800\"\n", ["mix.yaml:1:1: model: input should be a valid string"]),
])  # fmt: skip
def test_each_fault_says_where_and_what(shop: Workshop, text: str, wanted: list[str]) -> None:
    found = faults(shop, text)
    assert len(found) == len(wanted)
    for fault, words in zip(found, wanted, strict=True):
        assert words in fault


def test_every_fault_is_listed_at_once_in_the_order_of_the_file(shop: Workshop) -> None:
    found = faults(shop, (
        "model: nowhere\n"
        "sources:\n  a: {path: gone}\n  b: {path: int4, extra: 1}\n"
        "default: c\n"
        "rules:\n  - {targets: ['re:('], source: d}\n"
        "engine: 3\n"
        "typo: x\n"
    ))  # fmt: skip
    assert [fault.partition(" ")[0] for fault in found] == [
        "mix.yaml:1:1:", "mix.yaml:3:7:", "mix.yaml:4:19:", "mix.yaml:5:1:", "mix.yaml:7:16:", "mix.yaml:7:25:",
        "mix.yaml:8:1:", "mix.yaml:9:1:",
    ]  # fmt: skip


def test_a_hub_id_is_not_asked_for_while_the_file_has_faults(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("mixprec_runtime.mixfile.hub._from_hub", lambda text: asked.append(text) or "not here")
    faults(shop, "model: org/name\nbad: 1\n")
    assert asked == []
    assert "not here" in faults(shop, "model: org/name@v1.0\n")[0]
    assert asked == ["org/name@v1.0"]


def test_a_folder_beside_the_file_wins_over_a_hub_id(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixprec_runtime.mixfile.hub._from_hub", lambda text: pytest.fail(f"asked for {text}"))
    (shop.root / "org" / "name").mkdir(parents=True)
    assert read_mix(shop.mix("model: org/name\n")).model.path == shop.root / "org" / "name"


def test_a_hub_id_without_the_library_says_what_to_install(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert "pip install 'mixprec[hub]'" in faults(shop, "model: org/name\n")[0]


def test_a_merged_rule_is_read_and_placed(shop: Workshop) -> None:
    mix = read_mix(shop.mix("model: base\nrules:\n- &r {targets: [a], source: model}\n- {<<: *r, targets: [b]}\n"))
    assert [rule.targets for rule in mix.rules] == [("a",), ("b",)]
    assert mix.rules[1].mark.line == 4


words = st.sampled_from(["model", "base", "int4", "a", "Linear", "re:.*", "re:(", "", "vllm", "path", "x/y"])
leaves = words | st.integers() | st.booleans() | st.none() | st.floats() | st.dates() | st.binary(max_size=3)
structures: Any = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.integers() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=8,
)
rules = st.lists(
    st.fixed_dictionaries({}, optional={"targets": st.lists(words) | structures, "source": words | structures})
    | structures,
    max_size=3,
)
mixes = st.fixed_dictionaries(
    {"model": st.just("base") | structures},
    optional={
        "sources": st.dictionaries(words, st.fixed_dictionaries({"path": words | structures}) | structures, max_size=2)
        | structures,
        "rules": rules | structures,
        "default": words | structures,
        "ignore": st.lists(words) | structures,
        "engine": words | structures,
        "serve": st.dictionaries(words, structures, max_size=2) | structures,
        "more": structures,
    },
)


@settings(max_examples=250, deadline=None)
@given(mixes | structures)
def test_any_structure_is_a_mix_or_an_invalid_mix(raw: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "base").mkdir()
        file = Path(folder) / "mix.yaml"
        file.write_text(yaml.safe_dump(raw), encoding="utf-8")
        try:
            assert isinstance(read_mix(file), Mix)
        except InvalidMix as invalid:
            assert invalid.faults and all(fault.mark.line >= 1 for fault in invalid.faults)
            assert str(invalid)
