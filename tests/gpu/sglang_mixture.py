"""Mixtures on SGLang, really served on a GPU: made, proved, launched, compared with float32, measured.

    python -m tests.gpu.sglang_mixture --out results [--size 1b] [--ranks 2] [--engine-args "..."]

No network and no pytest; the interpreter needs SGLang, mixprec and a GPU. One generated Llama in all formats; two
mixtures of it through ``mixprec launch``, one whose FP8 by blocks an engine may load wrongly, and each checkpoint
alone by the engine itself. All start side by side; then one at a time answers. ``results`` holds sglang.json, the table
of rates, and all logs. 0: every mixture is served as float32 says, or refused.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.generated import COMMON, SIZES
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.packing.generated_model import write_generated_model
from mixprec_runtime.planning.planner import make_plan
from tests.gpu.judging import Judged, judge, unquantized
from tests.gpu.launched import launched
from tests.gpu.rates import measure
from tests.gpu.sglang_mixes import FORMATS, MEASURED, SERVED_ALONE, TRAP, write_mixes
from tests.gpu.sglang_server import Server, ask_openai, score, start

ENGINE = (
    "--attention-backend triton --sampling-backend pytorch --grammar-backend none --disable-radix-cache "
    "--context-length 2048 --max-total-tokens 40960 --max-running-requests 64 "
    "--mem-fraction-static 0.95 --random-seed 0"
)
"""Alike for all. Several share the GPU: what they may take is said in tokens, the fraction is of what is left."""
PROVED = "starting the engine"  # what a launch says once kernels are proved
FIRST_PORT, APART = 30100, 1100  # the engine takes further ports, up to a thousand above its own
TOKENS, NEW = 200, 32
VOCABULARY = 1000


@dataclass(kw_only=True)
class Run:
    """What was asked, and what has been found so far; written anew after every step."""

    asked: argparse.Namespace
    found: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def root(self) -> Path:
        folder: Path = self.asked.root
        return folder

    def note(self, **found: object) -> None:
        """Add to what was found, and write it."""
        self.found |= found
        text = json.dumps(self.found, indent=1, default=str)
        (self.asked.out / "sglang.json").write_text(text, encoding="utf-8")

    def say(self, text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self.began:6.1f} s {text}\n")
        sys.stderr.flush()


def main() -> int:
    """Do all steps, and give 1 where a mixture is not served as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--root", type=Path, default=Path(tempfile.gettempdir()) / "mixprec-sglang", help="for checkpoints and logs"
    )
    parser.add_argument("--size", choices=tuple(SIZES), default="1b")
    parser.add_argument("--device", default="cuda", help="where weights are drawn and float32 is computed")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--only", action="append", help="a mixture or checkpoint; may be repeated")
    parser.add_argument("--engine-args", default="", help="for all alike, after the usual ones")
    parser.add_argument("--start-seconds", type=float, default=240)
    parser.add_argument("--proof-seconds", type=float, default=150)
    parser.add_argument("--repeats", type=int, default=5, help="of all rates; 0 measures none")
    run = Run(asked=parser.parse_args())
    run.asked.out.mkdir(parents=True, exist_ok=True)
    run.root.mkdir(parents=True, exist_ok=True)
    servers: list[Server] = []
    try:
        mixes = _made(run)
        servers += _started(run, mixes)
        _wait(run, servers)
        answers = _answered(run, servers)
        if run.asked.repeats:
            _measured(run, mixes[MEASURED], servers)
        _ended(run, servers)
        return _judged(run, mixes, answers)
    finally:
        _end(servers)
        with tarfile.open(run.asked.out / "logs.tar.gz", "w:gz") as archive:
            for log in sorted(run.root.glob("*.log")):
                archive.add(log, arcname=log.name)


def _made(run: Run) -> dict[str, Path]:
    """Checkpoints in all formats, and the mix files by name."""
    config = {**COMMON, **SIZES[run.asked.size]}
    for name, form in FORMATS.items():
        if not (run.root / name / "config.json").is_file():
            write_generated_model(config, run.root / name, format=form, device=run.asked.device)
    layers = config["num_hidden_layers"]
    assert isinstance(layers, int)
    mixes = write_mixes(run.root, layers=layers, ranks=run.asked.ranks)
    chosen = {name: mix for name, mix in mixes.items() if not run.asked.only or name in {*run.asked.only, MEASURED}}
    for name, mix in chosen.items():
        plan = make_plan(read_mix(mix), tensor_parallel_size=run.asked.ranks)
        assert plan.valid, (name, plan.findings)
    device = torch.cuda.get_device_name() if run.asked.device == "cuda" else run.asked.device
    run.note(device=device, size=run.asked.size, ranks=run.asked.ranks, engine_args=f"{ENGINE} {run.asked.engine_args}")
    run.say("checkpoints are made")
    return chosen


def _started(run: Run, mixes: Mapping[str, Path]) -> Iterator[Server]:
    """All servers. The first mixture has most formats: its launch proves kernels for the others, and alone."""
    usual = [*shlex.split(ENGINE), *shlex.split(run.asked.engine_args)]
    words = {
        name: ["mixprec_runtime", "launch", str(mix), "--engine", "sglang", "--", *usual] for name, mix in mixes.items()
    }
    for name in SERVED_ALONE:
        if not run.asked.only or name in run.asked.only:
            ranks = ["--tp-size", str(run.asked.ranks), "--dtype", "bfloat16"]
            words[name] = ["sglang.launch_server", "--model-path", str(run.root / name), *ranks, *usual]
    for at, (name, each) in enumerate(words.items()):
        port = FIRST_PORT + APART * at
        line = [sys.executable, "-m", *each, "--host", "127.0.0.1", "--port", str(port)]
        server = start(name, line, port=port, log=run.root / f"{name}.log", environment={"HF_HUB_OFFLINE": "1"})
        yield server
        if at == 0:
            _until_proved(run, server)


def _until_proved(run: Run, server: Server) -> None:
    until = time.monotonic() + run.asked.proof_seconds
    while server.look() is None and time.monotonic() < until and PROVED not in server.text():
        time.sleep(0.2)
    run.note(proved_after=round(time.monotonic() - server.began, 1))
    run.say(f"kernels: {'proved' if PROVED in server.text() else 'not proved'}")


def _wait(run: Run, servers: Sequence[Server]) -> None:
    """Until each server answers or has ended, or the time is up."""
    until = time.monotonic() + run.asked.start_seconds
    starting = list(servers)
    while starting and time.monotonic() < until:
        for server in list(starting):
            state = server.look()
            if state is not None:
                starting.remove(server)
                run.say(f"{server.name}: {'ready' if state else f'ended with {server.process.returncode}'}")
        time.sleep(0.2)
    run.note(servers={server.name: _state(server) for server in servers})


def _state(server: Server) -> dict[str, Any]:
    if server.look():
        return {
            **server.told(),
            "gpu_bytes": server.gpu_bytes(),
            **launched(server.name),
        }
    code = server.process.returncode
    told = {"ended_with": code if code is not None else "not ready in time", "last": server.last_faults()}
    return {**told, **launched(server.name)}


def _answered(run: Run, servers: Sequence[Server]) -> dict[str, dict[str, Any]]:
    """What each served model thinks of the same tokens, and how it goes on; over the OpenAI endpoint, too."""
    ids = tokens()
    answers: dict[str, dict[str, Any]] = {}
    for server in servers:
        if not server.look():
            continue
        try:
            answer = asdict(score(server.url, ids, new=NEW))
            model, text = ask_openai(server.url, prompt=" ".join(f"w{token}" for token in ids), new=NEW)
            answers[server.name] = {**answer, "model": model, "text": text}
        except OSError as fault:
            run.say(f"{server.name}: {fault}")
            answers[server.name] = {"fault": str(fault), "last": server.last_faults()}
    run.note(answers=answers)
    run.say("answers are there")
    return answers


def tokens() -> list[int]:
    """The prompt that all are asked about."""
    drawn: list[int] = torch.randint(3, VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()
    return drawn


def _measured(run: Run, mix: Path, servers: Sequence[Server]) -> None:
    plan = make_plan(read_mix(mix), tensor_parallel_size=run.asked.ranks)
    own = {MEASURED: "mixture", "bf16": "model", **{name: name for name in plan.sources}}
    timed = {own[server.name]: server for server in servers if server.name in own and server.look()}
    text, rates = measure(timed, plan, repeats=run.asked.repeats, say=run.say)
    (run.asked.out / "serving.md").write_text(text, encoding="utf-8")
    run.note(rates=rates, servers={server.name: _state(server) for server in servers})
    run.say(f"measured\n{text}")


def _ended(run: Run, servers: Sequence[Server]) -> None:
    codes = _end(servers)
    run.note(codes=codes)
    run.say(f"ended: {codes}")


def _end(servers: Sequence[Server]) -> dict[str, int | None]:
    for server in servers:
        server.interrupt()  # all at once, since each may take its time
    return {server.name: server.end() for server in servers}


def _judged(run: Run, mixes: Mapping[str, Path], answers: Mapping[str, Mapping[str, Any]]) -> int:
    """Each answer held against float32 of the same weights; 1 where one is not what it should be."""
    found: dict[str, Judged] = {}
    files = {**write_mixes(run.root, layers=0, ranks=1, alone=True), **mixes}
    device = run.asked.device
    plain = unquantized(files["bf16"], tokens(), device=device)
    for name, answer in answers.items():
        if "fault" not in answer:
            found[name] = judge(files[name], plain=plain, prompt=tokens(), answer=answer, device=device)
            run.note(judged={each: asdict(judged) for each, judged in found.items()})
            run.say(f"{name}: {found[name].words()}")
    wrong = [name for name in mixes if name != TRAP and (name not in found or not found[name].right)]
    if TRAP in mixes and not (found[TRAP].right if TRAP in found else _refused(run)):
        wrong.append(f"{TRAP}, neither refused nor right")
    run.note(wrong=wrong)
    run.say(f"wrong: {', '.join(wrong) or 'nothing'}")
    return 1 if wrong else 0


def _refused(run: Run) -> bool:
    """Whether the launch ended because of what the account of a rank names."""
    state = run.found["servers"][TRAP]
    return bool(state.get("ended_with")) and any(account["faults"] for account in state.get("accounts", ()))


if __name__ == "__main__":
    sys.exit(main())
