"""Small environments on disk: a site-packages with distributions that need one another, and a checkpoint."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from mixprec_doctor.environment import Target, read_environment
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Timing, Verdict
from mixprec_doctor.records.workload import LinearShape, StoredTensor, Workload, WorkloadLayer

FP8 = Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.DYNAMIC)
GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)


def install(site: Path, name: str, version: str, *, requires: tuple[str, ...] = (), files: str = "a") -> Path:
    """A distribution with metadata and a RECORD whose contents stand for its files."""
    for old in site.glob(f"{name}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    (folder / "RECORD").write_text(f"{name}/__init__.py,sha256={files},1\n")
    package = site / name
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    return folder


def environment_of(site: Path) -> Environment:
    return read_environment(Target(site_packages=site))


def write_tensors(file: Path, shapes: dict[str, tuple[int, ...]], *, fill: int = 0) -> None:
    """A safetensors file of BF16 tensors."""
    head, at = {}, 0
    for name, shape in shapes.items():
        size = 2
        for extent in shape:
            size *= extent
        head[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes([fill]) * at)


def layer(folder: Path, *, form: Format = FP8, inputs: int = 64, outputs: tuple[int, ...] = (32,)) -> WorkloadLayer:
    stored = StoredTensor(
        suffix="weight", dtype="BF16", shape=(32, 64), file=str(folder / "model.safetensors"), begin=0, end=1
    )
    return WorkloadLayer(
        format=form,
        shape=LinearShape(inputs=inputs, outputs=outputs, full_inputs=inputs, full_outputs=outputs),
        source=folder.name,
        folder=str(folder),
        units=(("model.layers.0.mlp.down_proj",), ("model.layers.1.mlp.down_proj",)),
        parts=((stored,),),
    )


def workload(name: str, *layers: WorkloadLayer) -> Workload:
    return Workload(name=name, dtype="bfloat16", ranks=1, layers=layers)


def choice(of: WorkloadLayer, *, fault: str | None = None) -> KernelChoice:
    native = Proof(kernel="NativeKernel", method="Fp8LinearMethod", fault=fault, error=0.02, bound=0.08)
    portable = Proof(
        kernel="portable w8", method="Fp8LinearMethod", fault=None, error=0.002, bound=0.08, weights="checkpoint",
        timings=(Timing(rows=1, seconds=0.002, plain_seconds=0.001),), held_bytes=123,
    )  # fmt: skip
    return KernelChoice(
        engine="vllm",
        format=of.format,
        shape=of.shape,
        dtype="bfloat16",
        verdicts=(
            Verdict(candidate="NativeKernel", tier=Tier.NATIVE, accepted=fault is None, proof=native),
            Verdict(candidate="portable w8", tier=Tier.PORTABLE, accepted=True, proof=portable),
        ),
        source=of.source,
        folder=of.folder,
        modules=of.modules,
    )
