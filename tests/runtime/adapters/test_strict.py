"""A strict load watches what is loaded, and holds nothing of it afterwards."""

from __future__ import annotations

import logging
import weakref
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mixprec_runtime.adapters.strict import Place, StrictLoad  # noqa: E402
from mixprec_runtime.mixfile.read import read_mix  # noqa: E402
from mixprec_runtime.packing.generated_model import write_generated_model  # noqa: E402
from mixprec_runtime.planning.planner import make_plan  # noqa: E402
from mixprec_runtime.runfolder import write_run_folder  # noqa: E402
from tests.runtime.adapters.torch.mixtures import CONFIG  # noqa: E402


def test_what_an_engine_repacks_is_freed_while_its_loader_lives(tmp_path: Path) -> None:
    base = write_generated_model({**CONFIG, "num_hidden_layers": 1}, tmp_path / "base")
    mix = tmp_path / "plain.yaml"
    mix.write_text("model: base\n", encoding="utf-8")
    folder = write_run_folder(make_plan(read_mix(mix)), root=tmp_path / "runs")
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(base))
    load = StrictLoad(folder, place=Place(rank=0, world=1), logger=logging.getLogger("test"))
    parameters = dict(model.named_parameters())

    def fill() -> None:
        for name, tensor in load.stream():
            parameters[name].data.copy_(tensor)

    load.run(model, fill, elsewhere=lambda name: False, kept={})
    parameters.clear()
    layer = model.get_submodule("model.layers.0.mlp.down_proj")
    loaded = weakref.ref(layer.weight)
    layer.weight = torch.nn.Parameter(layer.weight.detach().t().contiguous())  # as an engine's repacking does
    assert loaded() is None
    account = load.finish(model, None, named=lambda module: type(module).__name__)
    sizes = {name: parameter.numel() * parameter.element_size() for name, parameter in model.named_parameters()}
    assert (account.parameters, account.parameter_bytes, account.faults) == (len(sizes), sum(sizes.values()), ())
