"""``mixprec plan`` and ``mixprec launch`` as a user types them: words, exit codes, documents, nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.version import __version__
from mixprec_runtime.cli.main import group
from tests.runtime.builders import HIDDEN, LAYOUTS, Tensor, Workshop, awq, model_tensors, raw_file, write_index

ROOT = Path(__file__).parents[3]
MIX = "model: base\nsources: {gptq: {path: gptq}, awq: {path: awq}, int8: {path: int8}}\ndefault: int8\nignore: [lm_head]\n"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def mixprec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["mixprec", *map(str, words)])
        code = run_command_line(group, name="mixprec")
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which an engine was found."""
    monkeypatch.setattr("mixprec_runtime.launching.engines.choose_engine", lambda wanted: "vllm")


@pytest.fixture
def mixture(shop: Workshop, cache: Path) -> Workshop:
    shop.checkpoints("base", "gptq", "awq", "int8")
    return shop


def left_behind(shop: Workshop) -> list[Path]:
    return [path for path in shop.root.iterdir() if path.name not in LAYOUTS and path.name != "mix.yaml"]


def child(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mixprec_runtime", *map(str, words)],
        capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_a_plan_is_shown_with_totals_against_bf16(mixture: Workshop, mixprec: Command) -> None:
    said = mixprec("plan", mixture.mix(MIX))
    assert (said.code, said.err) == (0, "")
    assert "model.layers.[0-1].self_attn.qkv_proj" in said.out and "int8-channel" in said.out
    assert "saved against BF16" in said.out
    assert "✓ every tensor of the model has exactly one source" in said.out
    assert left_behind(mixture) == []


def test_every_layer_has_a_row_when_asked(mixture: Workshop, mixprec: Command) -> None:
    out = mixprec("plan", mixture.mix(MIX), "--every-layer").out
    assert "model.layers.1.self_attn.v_proj" in out and "[0-1]" not in out


def test_the_document_obeys_the_contract(mixture: Workshop, mixprec: Command) -> None:
    mix = mixture.mix(
        MIX + "rules: [{targets: ['re:.*down_proj'], source: gptq}, {targets: ['re:.*0.mlp.down_proj'], source: awq}]\n"
    )
    said = mixprec("plan", mix, "--format", "json", "-tp", "2")
    assert (said.code, said.err) == (0, "")
    document = json.loads(said.out)
    assert list(document) == [
        "schema",
        "mixprec",
        "mix",
        "sources",
        "hub",
        "layers",
        "left_out",
        "totals",
        "findings",
        "kernels",
        "uniform",
        "quality",
    ]
    assert (document["schema"], document["mixprec"]) == ("mixprec.plan/1", __version__)
    for layer in document["layers"]:
        assert list(layer)[:7] == ["layer", "source", "format", "kernel", "tensors", "bytes", "bytes_per_rank"]
        assert len(layer["bytes_per_rank"]) == 2
        assert layer["kernel"] is None or find_spec("torch")  # then there is an engine, and it tells its kernel
        assert layer["source"] in document["sources"]
    totals = document["totals"]
    assert list(totals) == ["bytes", "bf16_bytes", "by_format", "bytes_per_rank"]
    assert totals["bytes"] == sum(layer["bytes"] for layer in document["layers"]) == sum(totals["by_format"].values())
    assert totals["bytes_per_rank"] == [
        sum(layer["bytes_per_rank"][rank] for layer in document["layers"]) for rank in (0, 1)
    ]
    (finding,) = document["findings"]
    assert list(finding)[:7] == ["code", "severity", "engine", "summary", "cause", "evidence", "remedy"]
    assert (finding["code"], finding["severity"], finding["engine"]) == ("MP621", "warning", None)
    assert list(finding["remedy"])[:2] == ["text", "commands"]
    names = [name for layer in document["layers"] for name in layer["tensors"]]
    assert len(names) == len(set(names))


def test_a_document_of_faults_is_one_too(mixture: Workshop, mixprec: Command) -> None:
    (mixture.root / "base" / "config.json").unlink()
    said = mixprec("plan", mixture.mix(MIX), "--format", "json")
    document = json.loads(said.out)
    assert said.code == 1 and document["layers"] == [] and document["totals"]["bytes_per_rank"] == []
    assert [finding["code"] for finding in document["findings"]] == ["MP610"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_output_goes_to_the_file_and_nowhere_else(mixture: Workshop, mixprec: Command, form: str) -> None:
    mix = mixture.mix(MIX)
    printed = mixprec("plan", mix, "--format", form).out
    said = mixprec("plan", mix, "--format", form, "-o", mixture.root / "base" / "plan.out")
    assert said == Said(0, "", "")
    assert (mixture.root / "base" / "plan.out").read_text(encoding="utf-8") == printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("place", ["nowhere/plan.json", "base/config.json/plan.json"])
def test_a_file_that_cannot_be_written_is_misuse(mixture: Workshop, mixprec: Command, place: str) -> None:
    said = mixprec("plan", mixture.mix(MIX), "--format", "json", "-o", mixture.root / place)
    assert (said.code, said.out) == (2, "") and "cannot be written" in said.err


@pytest.mark.parametrize("serve, words, ranks", [
    ("", (), 1), ("serve: {tensor_parallel_size: 2}\n", (), 2), ("serve: {tensor-parallel-size: 4}\n", (), 4),
    ("serve: {tensor_parallel_size: 2}\n", ("--tensor-parallel-size", "8"), 8),
])  # fmt: skip
def test_ranks_come_from_the_option_or_the_file(
    mixture: Workshop, mixprec: Command, serve: str, words: tuple[str, ...], ranks: int
) -> None:
    out = mixprec("plan", mixture.mix(MIX + serve), "--format", "json", *words).out
    assert len(json.loads(out)["totals"]["bytes_per_rank"]) == ranks


@pytest.mark.parametrize("words", [("-tp", "3"), ("--tensor-parallel-size=3",), ("--tensor_parallel_size", "3")])
def test_ranks_among_the_engine_s_arguments_are_planned_for(
    mixture: Workshop, mixprec: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Four heads: an engine would refuse three ranks half a minute later."""
    monkeypatch.setattr("mixprec_runtime.launching.engines.choose_engine", lambda wanted: "vllm")
    said = mixprec("launch", mixture.mix(MIX), "--dry-run", "--", *words)
    assert said.code == 1 and said.out == ""
    assert "MP645" in said.err and "4 attention heads cannot be shared by 3 ranks" in said.err
    assert "Serve it on 1, 2 or 4 ranks" in " ".join(said.err.split())


def test_stages_share_the_layers_of_a_plan(mixture: Workshop, mixprec: Command) -> None:
    out = mixprec("plan", mixture.mix(MIX), "--format", "json", "-tp", "2", "-pp", "2").out
    (first,) = [each for each in json.loads(out)["layers"] if each["layer"] == "model.layers.1.mlp.up_proj"]
    assert first["bytes_per_rank"][:2] == [0, 0] and first["bytes_per_rank"][2] == first["bytes_per_rank"][3] > 0


@pytest.mark.parametrize("command", ["plan", "launch"])
@pytest.mark.parametrize("text, words", [
    ("model: base\nmodle: x\n", ["mix.yaml:2:1: unknown key 'modle'; did you mean 'model'?"]),
    ("model: 7\n", ["mix.yaml:1:1: model: input should be a valid string, found 7"]),
    ("model: base\nmodel: base\n", ["mix.yaml:2:1: key 'model' stands here again"]),
    ("model: nowhere\n", ["mix.yaml:1:1: model: there is no folder"]),
    ("model: [", ["mix.yaml:1:9: is no YAML"]),
    ("", ["mix.yaml:1:1: is empty"]),
    ("model: gone\nignore: lm_head\nrules: [{targets: ['re:['], source: x}]\nserve: {port: -1}\n",
     ["has 5 faults", "mix.yaml:1:1: model", "mix.yaml:2:1: ignore", "mix.yaml:3:20: rules.0.targets.0",
      "mix.yaml:3:29: there is no source 'x'", "mix.yaml:4:1: serve: 'port'"]),
    ("a: &a [x, x]\nb: &b [" + "*a, " * 400 + "]\nc: &c [" + "*b, " * 400 + "]\n", ["by aliases"]),
])  # fmt: skip
def test_a_mix_file_at_fault_is_misuse(
    mixture: Workshop, mixprec: Command, engine: None, command: str, text: str, words: list[str]
) -> None:
    said = mixprec(command, mixture.mix(text))
    assert (said.code, said.out) == (2, "")
    for word in words:
        assert word in said.err.replace(f"{mixture.root}/", "")
    assert left_behind(mixture) == []


def escaping(root: Path) -> None:
    write_index(root / "gptq", {"a": "../awq/model.safetensors"})


def absolute(root: Path) -> None:
    write_index(root / "gptq", {"a": str(root / "awq" / "model.safetensors")})


def pickled(root: Path) -> None:
    (root / "gptq" / "model.safetensors").rename(root / "gptq" / "pytorch_model.bin")


def truncated(root: Path) -> None:
    file = root / "gptq" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def other_vocabulary(root: Path) -> None:
    Workshop(root).checkpoint("gptq", vocab_size=50)


def hostile_names(root: Path) -> None:
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    (root / "gptq" / "model.safetensors").write_bytes(raw_file({"\x1b]0;owned\x07.weight": entry}))


@pytest.mark.parametrize("command", ["plan", "launch", "launch --dry-run"])
@pytest.mark.parametrize("harm, code, words", [
    (escaping, "MP613", ["'../awq/model.safetensors'", "inside the folder"]),
    (absolute, "MP613", ["inside the folder"]),
    (pickled, "MP612", ["pytorch_model.bin", "can run any code", "safe_serialization"]),
    (truncated, "MP611", ["is cut off", "model.safetensors"]),
    (other_vocabulary, "MP614", ["vocab_size: base 48, source 50"]),
    (hostile_names, "MP611", ["no plain text"]),
])  # fmt: skip
def test_a_checkpoint_at_fault_is_a_finding_with_its_place(
    mixture: Workshop, mixprec: Command, engine: None, command: str, harm: Callable[[Path], None], code: str,
    words: list[str],
) -> None:  # fmt: skip
    harm(mixture.root)
    said = mixprec(*command.split(), mixture.mix(MIX))
    assert said.code == 1
    text = said.out if command == "plan" else said.err
    assert f"✗ {code} {mixture.root}/mix.yaml:2:" in text
    for word in words:
        assert word in text
    assert "\x1b" not in text and (command == "plan" or said.out == "")
    assert left_behind(mixture) == []


@pytest.mark.parametrize("rules, words", [
    ("[{targets: [nothing], source: gptq}]", ["MP620", "mix.yaml:5:9: this rule matches no module"]),
    ("[{targets: [model.layers.0.mlp.up_proj], source: gptq}]",
     ["MP622", "mix.yaml:5:9 (source gptq)", "default (source int8)", "'re:model.layers.0.mlp.(gate_proj|up_proj)$'"]),
    ("[{targets: [model.layers.0.mlp.up_proj], source: gptq}, {targets: ['re:q_proj'], source: awq}]", ["MP622", "MP620", "2 errors"]),
])  # fmt: skip
def test_rules_at_fault_are_all_listed(mixture: Workshop, mixprec: Command, rules: str, words: list[str]) -> None:
    said = mixprec("plan", mixture.mix(MIX + f"rules: {rules}\n"))
    assert said.code == 1
    for word in [*words, "this mixture cannot be served"]:
        assert word in said.out


@pytest.mark.parametrize("words, told", [
    (["plan"], "Missing argument"), (["plan", "{root}"], "is a directory"), (["plan", "{root}/gone.yaml"], "no such file"),
    (["plan", "{mix}", "--format", "xml"], "xml"), (["plan", "{mix}", "-tp", "0"], "0 is not in the range"),
    (["plan", "{mix}", "--unknown"], "--unknown"), (["launch", "{mix}", "--port", "9"], "--port"),
    (["launch", "{mix}", "--engine", "tgi"], "tgi"), (["launch", "{mix}", "--dry-run", "--", "--port", "x"], "'x'"),
    (["serve"], "No such command"),
])  # fmt: skip
def test_misuse_is_said_and_exits_with_two(
    mixture: Workshop, mixprec: Command, engine: None, words: list[str], told: str
) -> None:
    mix = mixture.mix(MIX)
    said = mixprec(*(word.format(root=mixture.root, mix=mix) for word in words))
    assert (said.code, said.out) == (2, "") and told in said.err
    assert left_behind(mixture) == []


def test_a_dry_run_prints_the_exact_command_and_writes_nothing(
    mixture: Workshop, cache: Path, mixprec: Command, engine: None
) -> None:
    mix = mixture.mix(MIX + "serve: {max_model_len: 64, enforce_eager: true}\n")
    said = mixprec("launch", mix, "--dry-run", "--", "--port", "9001", "--seed=1")
    assert (said.code, said.err) == (0, "")
    (line,) = said.out.splitlines()
    assert line.startswith(f"{sys.executable} -m vllm.entrypoints.") and f"{cache}/runs/mix-" in line
    assert "--load-format mixprec --quantization mixprec" in line
    assert line.endswith("--max-model-len 64 --enforce-eager --port 9001 --seed=1")
    assert left_behind(mixture) == []
    assert mixprec("launch", mix, "--dry-run", "--", "--port", "9001", "--seed=1") == said


def test_notes_of_a_plan_are_told_in_a_line_each_before_the_start(
    mixture: Workshop, mixprec: Command, engine: None
) -> None:
    """A norm that follows the layers behind it."""
    name = "model.layers.0.input_layernorm.weight"
    mixture.checkpoint("awq", {**model_tensors(awq), name: Tensor("BF16", (HIDDEN,), b"\x01\x3f" * HIDDEN)})
    rule = "{targets: ['re:.*layers\\.0\\.self_attn\\.[qkv]_proj'], source: awq}"
    mix = mixture.mix(f"model: base\nsources: {{awq: {{path: awq}}}}\nrules: [{rule}]\n")
    said = mixprec("launch", mix, "--dry-run")
    assert said.code == 0
    assert said.err.count("MP636") == 1 and "norms come from source 'awq'" in " ".join(said.err.split())
    assert name.removesuffix(".weight") not in said.err


def test_a_port_in_use_stops_a_launch_before_it_starts(mixture: Workshop, mixprec: Command, engine: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = mixprec("launch", mixture.mix(MIX), "--", "--port", port)
    assert said.code == 1 and f"127.0.0.1:{port} for the server, but something listens there already" in said.err
    assert left_behind(mixture) == []


def test_an_engine_that_fails_gives_its_own_code(
    mixture: Workshop, cache: Path, mixprec: Command, engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mixprec_runtime.adapters.vllm.command._door",
        lambda folder: ["sys_exit_with_9_" + "x"],
    )
    said = mixprec("launch", mixture.mix(MIX), "--no-verify", "--", "--port", str(free()))
    assert (
        said.code == 1 and "before its server answered" in said.err and "No module named sys_exit_with_9_x" in said.err
    )
    assert list((cache / "launches").iterdir()) and list((cache / "runs").iterdir())


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_program_in_a_process_of_its_own(mixture: Workshop, cache: Path) -> None:
    mix = mixture.mix(MIX)
    done = child("plan", mix, "--format", "json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and json.loads(done.stdout)["schema"] == "mixprec.plan/1"
    assert done.stderr == ""
    done = child("plan", mix, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "every tensor of the model has exactly one source" in done.stdout
    mixture.mix("model: ./gone\n")
    done = child("plan", mix)
    assert done.returncode == 2 and "mix.yaml:1:1: model: there is no folder" in done.stderr
    assert not cache.exists()


def test_planning_needs_no_torch(mixture: Workshop) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['mixprec', 'plan', sys.argv[1]]\n"
        "from mixprec_runtime.cli.main import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(mixture.mix(MIX))], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_launch_whose_engine_cannot_be_tried_ends_with_the_reason(
    mixture: Workshop, mixprec: Command, engine: None
) -> None:
    if find_spec("vllm") is not None:
        pytest.skip("vllm is installed here")
    said = mixprec("launch", mixture.mix(MIX), "--", "--port", str(free()))
    assert said.code == 1
    assert "0 of 4 kinds of layer proved" in said.err and "No module named " in said.err
    assert "before its server answered" in said.err


def test_a_setup_and_no_verification_are_two_wishes(mixture: Workshop, mixprec: Command, engine: None) -> None:
    said = mixprec("launch", mixture.mix(MIX), "--setup", mixture.root / "s.json", "--no-verify")
    assert said.code == 2 and "give one" in said.err


def test_a_setup_that_is_not_there_is_said(mixture: Workshop, mixprec: Command, engine: None) -> None:
    said = mixprec("launch", mixture.mix(MIX), "--setup", mixture.root / "s.json")
    assert said.code == 2 and "s.json: cannot be read: No such file or directory" in said.err


def test_doctor_writes_a_setup_only_of_what_it_proves(mixture: Workshop, mixprec: Command) -> None:
    assert "needs --verify and --mix" in mixprec("doctor", "--setup", mixture.root / "s.json").err
    said = mixprec("doctor", "--mix", mixture.mix(MIX), "--code", "import vllm")
    assert said.code == 2 and "ask one" in said.err
