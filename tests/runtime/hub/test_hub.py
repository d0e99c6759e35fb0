"""A plan needs no weights of a repository on the Hub, a launch only the shards that hold planned tensors."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.builders import LAYOUTS, Tensor, Workshop, index_of, model_tensors
from tests.runtime.hub.server import TOKEN, Hub

if importlib.util.find_spec("huggingface_hub") is None:
    pytest.skip("huggingface_hub is not installed", allow_module_level=True)

MIX = """\
model: org/base
sources: {awq: {path: org/awq}}
rules: [{targets: ['re:model\\.layers\\.0\\.mlp\\..*'], source: awq}]
"""
FETCH = """\
import sys
from pathlib import Path
from mixprec_runtime.cli.fetching import fetch_planned
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
plan = make_plan(read_mix(Path(sys.argv[1])))
assert plan.valid, plan.findings
fetch_planned(plan)
print(*sorted({str(tensor.file) for layer in plan.layers for tensor in layer.tensors}), sep="\\n")
"""


@dataclass
class Scene:
    """A Hub, and somebody who has nothing of it yet."""

    hub: Hub
    shop: Workshop
    endpoint: str
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, words: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
        root = self.shop.root
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment = {
            **kept, "HF_ENDPOINT": self.endpoint, "HF_HOME": str(root / "hf"), "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "MIXPREC_CACHE": str(root / "mixprec"), **self.environment, **more,
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def plan(self, text: str = MIX, **more: str) -> dict[str, Any]:
        done = self.run(["-m", "mixprec_runtime", "plan", str(self.shop.mix(text)), "--format", "json"], **more)
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def refused(self, text: str, **more: str) -> str:
        done = self.run(["-m", "mixprec_runtime", "plan", str(self.shop.mix(text))], **more)
        assert done.returncode == 2, done.stdout + done.stderr
        return " ".join(done.stderr.split())

    def fetch(self, text: str = MIX, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(["-c", FETCH, str(self.shop.mix(text))], **more)


def shards(layout: str, *, layers: int = 2) -> dict[str, dict[str, Tensor]]:
    """A model's tensors in a shard for each layer, and one for everything else."""
    tensors = model_tensors(LAYOUTS[layout][0])
    files: dict[str, dict[str, Tensor]] = {f"model-{at}.safetensors": {} for at in range(layers + 1)}
    for name, tensor in tensors.items():
        at = int(name.split(".")[2]) if name.startswith("model.layers.") else layers
        files[f"model-{at}.safetensors"][name] = tensor
    return files


@pytest.fixture
def scene(shop: Workshop) -> Iterator[Scene]:
    hub = Hub()
    for name in ("base", "awq"):
        index_of(shop.checkpoint(name), shards(name))
        hub.push(f"org/{name}", shop.root / name)
    server = hub.serve()
    try:
        yield Scene(hub=hub, shop=shop, endpoint=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def weights_asked_for(hub: Hub) -> list[tuple[str, str | None]]:
    return [(path.rpartition("/")[2], span) for method, path, span in hub.asked if ".safetensors" in path and method == "GET" and not path.endswith("json")]  # fmt: skip


def test_a_plan_needs_headers_alone(scene: Scene) -> None:
    planned = scene.plan()
    assert {layer["layer"]: layer["source"] for layer in planned["layers"]}["model.layers.0.mlp.up_proj"] == "awq"
    asked = weights_asked_for(scene.hub)
    assert asked and all(span is not None for _, span in asked)
    assert not list(scene.shop.root.glob("hf/**/*.safetensors"))


def test_a_plan_is_the_one_of_the_folders_themselves(scene: Scene) -> None:
    remote, local = scene.plan(), scene.plan(MIX.replace("org/", "./"))
    assert remote["layers"] == local["layers"] and remote["totals"] == local["totals"]


def test_a_plan_names_the_commit_of_each_repository(scene: Scene) -> None:
    commit = scene.hub.branches["org/awq", "main"]
    planned = scene.plan()
    assert planned["hub"]["awq"] == f"org/awq@{commit}"
    assert planned["sources"]["awq"].endswith(f"snapshots/{commit}")


def test_a_second_plan_asks_for_no_weights_and_one_offline_for_nothing(scene: Scene) -> None:
    first = scene.plan()
    scene.hub.asked.clear()
    assert scene.plan()["layers"] == first["layers"]
    assert weights_asked_for(scene.hub) == []
    scene.hub.asked.clear()
    assert scene.plan(HF_HUB_OFFLINE="1")["layers"] == first["layers"]
    assert scene.hub.asked == []


def test_only_shards_with_planned_tensors_are_fetched(scene: Scene) -> None:
    done = scene.fetch()
    assert done.returncode == 0, done.stderr
    here = {
        file.name: file.parent.parent.parent.name
        for file in scene.shop.root.glob("hf/hub/*awq/snapshots/*/model-?.safetensors")
    }
    assert set(here) == {"model-0.safetensors"}
    assert len(list(scene.shop.root.glob("hf/hub/*base/snapshots/*/*.safetensors"))) == 3
    assert all(Path(line).is_file() for line in done.stdout.split())
    assert "fetching 1 shards" in done.stderr
    sent = scene.hub.sent.copy()
    assert scene.fetch().returncode == 0 and scene.hub.sent == sent


def test_what_is_fetched_is_of_the_commit_that_was_planned_with(scene: Scene) -> None:
    pinned = scene.hub.branches["org/awq", "main"]
    old = (scene.shop.root / "awq" / "model-0.safetensors").read_bytes()
    mix = MIX.replace("org/awq", f"org/awq@{pinned}")
    scene.plan(mix)
    newer = scene.shop.root / "newer"
    newer.mkdir()
    for file in (scene.shop.root / "awq").iterdir():
        (newer / file.name).write_bytes(file.read_bytes()[:-1] + b"x" if file.name == "model-0.safetensors" else file.read_bytes())  # fmt: skip
    assert scene.hub.push("org/awq", newer) != pinned
    assert scene.fetch(mix).returncode == 0
    (fetched,) = scene.shop.root.glob("hf/hub/*awq/snapshots/*/model-0.safetensors")
    assert fetched.read_bytes() == old


def test_shards_that_are_not_here_cannot_be_had_offline(scene: Scene) -> None:
    scene.plan()
    done = scene.fetch(HF_HUB_OFFLINE="1")
    assert done.returncode != 0 and "HF_HUB_OFFLINE is set" in done.stderr


@pytest.mark.parametrize("single", [True, False])
def test_a_repository_without_an_index_is_planned_with(scene: Scene, single: bool) -> None:
    folder = scene.shop.root / "base"
    (folder / "model.safetensors.index.json").unlink()
    if single:
        for file in folder.glob("*.safetensors"):
            file.unlink()
        scene.shop.checkpoint("base")
    scene.hub.push("org/base", folder)
    assert len(scene.plan()["layers"]) > 10


def test_a_header_longer_than_the_first_range_is_fetched_whole(scene: Scene) -> None:
    tensors = {**model_tensors(), **{f"model.extra.{'x' * 100}{n}.weight": Tensor("BF16", (1,)) for n in range(900)}}
    index = scene.shop.root / "base" / "model.safetensors.index.json"
    index.unlink()
    for file in index.parent.glob("*.safetensors"):
        file.unlink()
    scene.shop.checkpoint("base", tensors)
    scene.hub.push("org/base", index.parent)
    assert len(scene.plan()["layers"]) > 900


def test_a_gated_repository_says_how_to_be_let_in_and_a_token_lets_in(scene: Scene) -> None:
    scene.hub.gated.add("org/awq")
    assert "it is gated: ask for access at https://huggingface.co/org/awq, then log in" in scene.refused(MIX)
    assert scene.plan(HF_TOKEN=TOKEN)["layers"]


def test_what_the_hub_has_not_is_said_in_plain_words(scene: Scene) -> None:
    words = scene.refused("model: org/base\nsources: {a: {path: org/none}, b: {path: org/awq@gone}}\n")
    assert "'org/none' is no folder here, and cannot be had from the Hub: there is no such repository" in words
    assert "it has no such revision" in words


def test_a_repository_that_was_never_seen_cannot_be_had_offline(scene: Scene) -> None:
    assert "it is not in the Hub's cache" in scene.refused(MIX, HF_HUB_OFFLINE="1")
    assert scene.hub.asked == []
