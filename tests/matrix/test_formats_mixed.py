"""Many formats in one small model: every layer as its own checkpoint has it, and the numbers are those of float32."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixprec_doctor.records.format import Format
from mixprec_runtime.loading.state import read_accounts, state_folder
from mixprec_runtime.records.account import LoadAccount

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

torch = pytest.importorskip("torch", reason="checkpoints are made with torch")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

from mixprec_runtime.packing.announced import quantization_config  # noqa: E402
from tests.matrix import tiny  # noqa: E402

TEXTS = [torch.randint(3, 512, (64,), generator=torch.Generator().manual_seed(at)).tolist() for at in range(4)]
TOLERANCE = 0.12
"""Mean |log-probability - float32 reference| per token; BF16 arithmetic alone costs 0.09 in this model."""
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
FEED = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@dataclass(frozen=True)
class Served:
    """What the engine said, and the account of its loading."""

    logprobs: list[list[float]]
    account: LoadAccount


def linear(module: str) -> bool:
    return module.endswith("_proj")


def every(form: Format) -> tiny.Chooser:
    return lambda module: form if linear(module) else None


def layer_of(module: str) -> int:
    return next((int(part) for part in module.split(".") if part.isdecimal()), -1)


def settings(form: Format, **more: object) -> dict[str, object]:
    return {**(quantization_config(form) or {}), **more}


def run(root: Path, mix: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """vLLM in a process of its own, by the arguments that ``prepare`` gives, and the run folder."""
    file = root / "mix.yaml"
    file.write_text(mix, encoding="utf-8")
    prepare = "import json, sys\nfrom mixprec_runtime.vllm import prepare\nprint(json.dumps(prepare(sys.argv[1], verify=False)))"
    environment = {
        **os.environ, "MIXPREC_CACHE": str(root / "cache"), "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1",
    }  # fmt: skip

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=root,
            capture_output=True,
            text=True,
            env=environment,
            timeout=400,
            check=False,
        )

    made = python("-c", prepare, str(file))
    assert made.returncode == 0, made.stderr
    arguments = json.loads(made.stdout.splitlines()[-1])
    usual = {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 256}
    (root / "asked.json").write_text(json.dumps({"engine": {**usual, **arguments}, "texts": TEXTS}))
    script = Path(__file__).with_name("engine_answers.py")
    return python(str(script), "asked.json", "answer.json"), Path(arguments["model"])


def serve(root: Path, mix: str) -> Served:
    """The mixture's answers."""
    ran, folder = run(root, mix)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return Served(
        logprobs=json.loads((root / "answer.json").read_text()), account=read_accounts(state_folder(folder))[0]
    )


def distance(
    served: Served, base: Path, sources: Mapping[str, Path], rounding: Mapping[str, str] | None = None
) -> float:
    """Mean |log-probability - that of the same mixture in float32| per token; inputs rounded as 8-bit kernels do."""
    from mixprec_runtime.reference.activations import round_activations
    from mixprec_runtime.reference.weights import float32_mixture, float32_model

    model = float32_model(base, float32_mixture(base, sources))
    for layout in ("int-quantized", "float-quantized"):
        round_activations(model, layout, only={name for name, how in (rounding or {}).items() if how == layout})
    with torch.no_grad():
        logits = model(torch.tensor(TEXTS)).logits[:, :-1].log_softmax(-1)
    right = logits.gather(2, torch.tensor(TEXTS)[:, 1:, None])[..., 0]
    return float((torch.tensor(served.logprobs) - right).abs().mean())


class Everything:
    """One Qwen2 (biases of q, k and v) of eight layers, from seven checkpoints and the base."""

    def __init__(self, root: Path) -> None:
        self.base = base = tiny.write_base(root / "base", "qwen2")
        fp8_and_int4 = {
            "quant_method": "compressed-tensors", "format": "mixed-precision", "quantization_status": "compressed",
            "config_groups": {
                "group_0": {**_group(tiny.FP8), "targets": ["re:.*self_attn.*"]},
                "group_1": {**_group(tiny.W4A16), "targets": ["re:.*mlp.(gate|up|down)_proj"]},
            },
            "ignore": ["lm_head", "re:.*layers\\.3\\.mlp.*"],
        }  # fmt: skip
        self.gptq = tiny.write_quantized(
            root / "gptq", base, self._gptq,
            settings(tiny.GPTQ_64, lm_head=True, dynamic={
                "-:model\\.layers\\.7\\..*": {}, "+:.*\\.(gate|up|down)_proj": {"group_size": 32},
            }),
        )  # fmt: skip
        self.one = tiny.write_quantized(root / "one", base, every(tiny.GPTQ), settings(tiny.GPTQ))
        self.two = tiny.write_quantized(root / "other", base, every(tiny.GPTQ), settings(tiny.GPTQ), noise=0.2)
        self.awq = tiny.write_quantized(
            root / "awq", base, lambda module: tiny.AWQ if ".mlp." in module else None,
            settings(tiny.AWQ, modules_to_not_convert=["self_attn", "lm_head"]), smoothed=True,
        )  # fmt: skip
        self.mixed = tiny.write_quantized(root / "mixed", base, self._mixed, fp8_and_int4)
        self.int8 = tiny.write_quantized(root / "int8", base, every(tiny.INT8), settings(tiny.INT8))
        self.fp8 = tiny.write_quantized(
            root / "fp8", base, lambda module: tiny.FP8_TENSOR if ".self_attn." in module else None,
            settings(tiny.FP8_TENSOR, ignored_layers=["lm_head", *(f"model.layers.{n}.{p}" for n in range(8) for p in FEED)]),
        )  # fmt: skip
        self.mix = f"""
model: {self.base}
sources:
  gptq: {{path: {self.gptq}}}
  one: {{path: {self.one}}}
  two: {{path: {self.two}}}
  awq: {{path: {self.awq}}}
  mixed: {{path: {self.mixed}}}
  int8: {{path: {self.int8}}}
  fp8: {{path: {self.fp8}}}
default: gptq
rules:
  - {{targets: ['re:.*layers\\.1\\.self_attn\\.(k|o)_proj$', 're:.*layers\\.1\\.mlp\\.(up|down)_proj$'], source: two}}
  - {{targets: ['re:.*layers\\.1\\..*_proj$'], source: one}}
  - {{targets: ['re:.*layers\\.2\\..*_proj$'], source: awq}}
  - {{targets: ['re:.*layers\\.[34]\\..*_proj$'], source: mixed}}
  - {{targets: ['re:.*layers\\.5\\..*_proj$'], source: int8}}
  - {{targets: ['re:.*layers\\.6\\..*_proj$'], source: fp8}}
"""

    @staticmethod
    def _gptq(module: str) -> Format | None:
        if module == "lm_head":
            return tiny.GPTQ_64
        if not linear(module) or layer_of(module) == 7:
            return None
        return tiny.GPTQ if ".mlp." in module else tiny.GPTQ_64

    @staticmethod
    def _mixed(module: str) -> Format | None:
        if ".self_attn." in module:
            return tiny.FP8 if linear(module) else None
        return tiny.W4A16 if linear(module) and layer_of(module) != 3 else None

    @property
    def sources(self) -> dict[str, Path]:
        """Where each module comes from, written apart from the planner."""
        whole = {
            0: self.gptq,
            1: self.one,
            2: self.awq,
            3: self.mixed,
            4: self.mixed,
            5: self.int8,
            6: self.fp8,
            7: self.gptq,
        }
        found = {f"model.layers.{at}.{part}": folder for at, folder in whole.items() for part in (*ATTENTION, *FEED)}
        others = ("self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
        found |= {f"model.layers.1.{part}": self.two for part in others}
        return {**found, "lm_head": self.gptq}

    @property
    def norms(self) -> dict[str, Path]:
        return {f"model.layers.2.{norm}": self.awq for norm in tiny.READERS}

    @property
    def rounding(self) -> dict[str, str]:
        """Modules whose inputs are rounded to 8 bits."""
        fp8 = {f"model.layers.{at}.{part}": "float-quantized" for at in (3, 4, 6) for part in ATTENTION}
        return {**fp8, **{f"model.layers.5.{part}": "int-quantized" for part in (*ATTENTION, *FEED)}}


def _group(form: Format) -> dict[str, object]:
    groups = (quantization_config(form) or {})["config_groups"]
    assert isinstance(groups, dict)
    return dict(groups["group_0"])


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Everything, Served]:
    root = tmp_path_factory.mktemp("everything")
    made = Everything(root)
    return made, serve(root, made.mix)


def test_seven_checkpoints_of_other_settings_are_one_model(everything: tuple[Everything, Served]) -> None:
    made, served = everything
    found = distance(served, made.base, {**made.sources, **made.norms}, made.rounding)
    assert found < TOLERANCE
    assert served.account.faults == ()


@pytest.mark.parametrize("mistake", ["the base's norms", "self_attn.k_proj", "mlp.up_proj"])
def test_wrong_norms_and_wrong_parts_would_have_shown(everything: tuple[Everything, Served], mistake: str) -> None:
    made, served = everything
    swapped = {**made.sources, **made.norms, f"model.layers.1.{mistake}": made.one}
    found = distance(served, made.base, made.sources if " " in mistake else swapped, made.rounding)
    assert found > 2 * TOLERANCE


def test_parts_of_a_unit_from_two_checkpoints_are_told(everything: tuple[Everything, Served]) -> None:
    _, served = everything
    sources = {layer.layer: layer.source for layer in served.account.layers}
    assert sources["model.layers.1.self_attn.qkv_proj"] == "one + two"
    assert sources["model.layers.1.mlp.gate_up_proj"] == "one + two"
    assert sources["model.layers.2.post_attention_layernorm"] == "awq"


def test_each_layer_has_the_method_of_its_own_source(everything: tuple[Everything, Served]) -> None:
    """Ignore lists, overrides by pattern and config groups of seven configs, each as its own tool meant it."""
    _, served = everything
    formats = {layer.layer.removeprefix("model.layers."): layer.format for layer in served.account.layers}
    assert formats["0.self_attn.qkv_proj"] == "gptq-int4-g64"
    assert formats["0.mlp.gate_up_proj"] == formats["0.mlp.down_proj"] == "gptq-int4-g32"
    assert (formats["2.self_attn.qkv_proj"], formats["2.mlp.gate_up_proj"]) == ("bf16", "awq-int4-g32")
    assert (formats["3.self_attn.o_proj"], formats["3.mlp.down_proj"]) == ("fp8-channel", "bf16")
    assert (formats["4.self_attn.o_proj"], formats["4.mlp.down_proj"]) == ("fp8-channel", "packed-int4-g32")
    assert (formats["5.mlp.down_proj"], formats["6.self_attn.o_proj"]) == ("int8-channel", "fp8-tensor")
    assert (formats["6.mlp.down_proj"], formats["7.mlp.down_proj"]) == ("bf16", "bf16")
    assert formats["lm_head"] == "gptq-int4-g64"
    plain = {layer.layer for layer in served.account.layers if layer.method.startswith("Unquantized")}
    assert {"model.layers.2.self_attn.o_proj", "model.layers.3.mlp.down_proj", "model.layers.7.mlp.down_proj"} <= plain


def test_norms_inside_an_attention_are_served(tmp_path: Path) -> None:
    """Qwen3, attention and feed-forward part of each layer from two tools."""
    base = tiny.write_base(tmp_path / "base", "qwen3", num_hidden_layers=3)
    gptq = tiny.write_quantized(tmp_path / "gptq", base, every(tiny.GPTQ), settings(tiny.GPTQ))
    awq = tiny.write_quantized(tmp_path / "awq", base, every(tiny.AWQ), settings(tiny.AWQ), smoothed=True)
    served = serve(
        tmp_path,
        f"""
model: {base}
sources: {{gptq: {{path: {gptq}}}, awq: {{path: {awq}}}}}
rules:
  - {{targets: ['re:.*self_attn.*_proj$'], source: awq}}
  - {{targets: ['re:.*mlp.*_proj$'], source: gptq}}
""",
    )
    sources = {f"model.layers.{at}.{part}": awq for at in range(3) for part in (*ATTENTION, "input_layernorm")}
    sources |= {f"model.layers.{at}.{part}": gptq for at in range(3) for part in FEED}
    found = distance(served, base, sources)
    assert found < TOLERANCE
    assert served.account.faults == ()


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], LoadAccount]:
    """Three layers of a Qwen3: the cache's scales beside the attention, beside its projections, and none."""
    root = tmp_path_factory.mktemp("scaled")
    base = tiny.write_base(root / "base", "qwen3", num_hidden_layers=3)
    scheme = {"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": True, "dynamic": False}
    at = [f"model.layers.{layer}.self_attn" for layer in range(3)]
    number = torch.tensor([0.25])
    ct = tiny.write_quantized(
        root / "ct", base, every(tiny.FP8), settings(tiny.FP8, kv_cache_scheme=scheme),
        extra={f"{name}.{part}_scale": number.clone() for name in at for part in "kv"},
    )  # fmt: skip
    fp8 = tiny.write_quantized(
        root / "fp8", base, every(tiny.FP8_TENSOR), settings(tiny.FP8_TENSOR),
        extra={f"{name}.{part}_proj.{part}_scale": number.clone().reshape(()) for name in at for part in "kv"},
    )  # fmt: skip
    mix = f"""
model: {base}
sources: {{ct: {{path: {ct}}}, fp8: {{path: {fp8}}}}}
rules:
  - {{targets: ['re:.*layers\\.0\\..*_proj$'], source: ct}}
  - {{targets: ['re:.*layers\\.1\\..*_proj$'], source: fp8}}
serve: {{kv_cache_dtype: fp8}}
"""
    ran, folder = run(root, mix)
    return ran, read_accounts(state_folder(folder))[0]


def test_scales_of_the_cache_are_loaded_by_the_engines_own_methods(
    scaled: tuple[subprocess.CompletedProcess[str], LoadAccount],
) -> None:
    ran, account = scaled
    assert account.faults == ()
    methods = {layer.layer: layer.method for layer in account.layers if layer.layer.endswith(".attn")}
    assert list(methods.values()) == ["CompressedTensorsKVCacheMethod", "Fp8KVCacheMethod", "Attention"]
    assert not [name for name in account.kept if name.endswith((".k_scale", ".v_scale"))]
    if ran.returncode:  # loading is over then
        assert "FP8 KV cache on CPU requires x86 with AVX-512 or AMX" in ran.stdout + ran.stderr
