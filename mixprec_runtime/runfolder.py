"""The run folder: what an engine is pointed at instead of a checkpoint; no weight is copied into it.

It holds the base model's config with ``quantization_config: {"quant_method": "mixprec", ...}``, the tokenizer's
files, and ``mixprec-run.json`` with every planned tensor. Its name carries a digest of all that, it is written
beside its final place and renamed, so a folder of that name is always whole.
"""

from __future__ import annotations

__all__ = [
    "METHOD",
    "RUN_FILE",
    "STAND_IN",
    "STAND_IN_TENSOR",
    "RunFolderError",
    "RunTensor",
    "read_left_out",
    "read_run",
    "run_folder_path",
    "write_run_folder",
]

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.document import document
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.method import METHOD
from mixprec_runtime.planning.cachescales import NUMBER
from mixprec_runtime.planning.fusing import shared_units
from mixprec_runtime.planning.kernels import handed_over
from mixprec_runtime.records.mix import BASE_SOURCE
from mixprec_runtime.records.plan import LeftOut, Plan

RUN_FILE = "mixprec-run.json"
COPIED = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py")
NOT_COPIED = frozenset(
    {"config.json", "quantize_config.json", "quant_config.json", "model.safetensors.index.json", RUN_FILE}
)
STAND_IN, STAND_IN_TENSOR = "mixprec-stand-in.safetensors", "mixprec"
"""A file of one byte, and its tensor: transformers wants some file of weights, and this is the one that it is named."""
_HEADER = json.dumps({STAND_IN_TENSOR: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).ljust(64)
_STAND_IN_BYTES = len(_HEADER).to_bytes(8, "little") + _HEADER.encode() + b"\0"
STAGING_SECONDS = 10  # after which a folder that is being written belongs to a launch that was killed
STEM = 40  # characters of the mix file's name in a folder's name; a file system has 255 bytes for all of it


class RunFolderError(MixprecError):
    """A run folder that cannot be written or read."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, path: Path, fault: str, remedy: str = "") -> None:
        super().__init__(path, fault, remedy)
        self.path = path
        self.fault = fault
        self.remedy = remedy

    def __str__(self) -> str:
        return f"run folder {self.path}: {self.fault}" + (f"\n  try: {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class RunTensor:
    """One planned tensor: where its bytes are, and what they must be."""

    name: str
    source: str
    format: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    droppable: bool  # an engine may leave it out, provided that it says nothing (GPTQ's g_idx in file order)


def run_folder_path(plan: Plan, *, root: Path) -> Path:
    """Where the plan's run folder lies below ``root``; the same plan always gives the same path.

    Raises RunFolderError when a file of the base model cannot be read any more.
    """
    base = plan.sources[BASE_SOURCE].path
    try:
        digest = hashlib.sha256(json.dumps(_contents(plan), sort_keys=True).encode())
        for file in _copied(base):
            digest.update(f"\0{file.name}\0".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as fault:
        raise RunFolderError(root, f"{fault.filename or base} cannot be read: {fault.strerror or fault}") from fault
    return root / f"{plan.mix_file.stem[:STEM]}-{digest.hexdigest()[:12]}"


def write_run_folder(plan: Plan, *, root: Path) -> Path:
    """Write the plan's run folder below ``root`` and return it; one that is there already, and whole, is used again.

    Raises RunFolderError when the disk refuses; nothing half-written stays behind, also not of a launch that was
    killed meanwhile.
    """
    target = run_folder_path(plan, root=root)
    _sweep(root)
    if target.is_dir():
        if _is_whole(target, plan):
            return target
        shutil.rmtree(target, ignore_errors=True)  # somebody took files out, or the machine went down
    try:
        root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-{os.getpid()}-", dir=root))
    except OSError as fault:
        raise RunFolderError(target, f"cannot be made: {fault.strerror or fault}", "set MIXPREC_CACHE") from fault
    try:
        for name, content in _contents(plan).items():
            (staging / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
        (staging / STAND_IN).write_bytes(_STAND_IN_BYTES)
        for file in _copied(plan.sources[BASE_SOURCE].path):
            shutil.copyfile(file, staging / file.name)
        staging.chmod(0o755)
        with contextlib.suppress(FileExistsError):  # a second launch was quicker; its folder is the same
            _rename(staging, target)
    except OSError as fault:
        raise RunFolderError(target, f"cannot be written: {fault.strerror or fault}") from fault
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _is_whole(target: Path, plan: Plan) -> bool:
    try:
        written = {name: json.dumps(content, indent=1) for name, content in _contents(plan).items()}
        if any((target / name).read_text(encoding="utf-8") != text for name, text in written.items()):
            return False
        if (target / STAND_IN).read_bytes() != _STAND_IN_BYTES:
            return False
        copied = _copied(plan.sources[BASE_SOURCE].path)
        return all((target / file.name).stat().st_size == file.stat().st_size for file in copied)
    except (OSError, ValueError):
        return False


def _sweep(root: Path) -> None:
    """Take away what launches left that were killed while they wrote; theirs is the number in the name."""
    for left in root.glob(".*-*-*"):
        pid = left.name.split("-")[-2]
        try:
            old = time.time() - left.stat().st_mtime > STAGING_SECONDS
        except OSError:  # gone by now
            continue
        if pid.isdecimal() and old and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)


def _rename(staging: Path, target: Path) -> None:
    try:
        staging.rename(target)
    except OSError:
        if target.is_dir():
            raise FileExistsError from None
        raise


def _copied(base: Path) -> list[Path]:
    files = sorted(file for pattern in COPIED for file in base.glob(pattern))
    return [file for file in files if file.is_file() and file.name not in NOT_COPIED]


def _contents(plan: Plan) -> dict[str, dict[str, object]]:
    base = plan.sources[BASE_SOURCE]
    config = json.loads((base.path / "config.json").read_text(encoding="utf-8"))
    config.pop("compression_config", None)
    config["quantization_config"] = {
        "quant_method": METHOD,
        "revision": 1,
        "sources": {
            name: {"path": str(source.path), "quantization_config": source.quantization}
            for name, source in plan.sources.items()
        },
        "modules": {layer.layer: layer.source for layer in plan.layers},
        "formats": {layer.layer: layer.format.kind.value for layer in plan.layers},
        "shared": shared_units(plan.layers),
        "cache_scales": [layer.layer for layer in plan.layers if layer.format == NUMBER and not layer.shape],
        "kernels": handed_over(plan.kernels),
    }
    return {"config.json": config, RUN_FILE: _run_file(plan)}


def _run_file(plan: Plan) -> dict[str, object]:
    tensors = [
        asdict(
            RunTensor(
                name=tensor.name,
                source=layer.source,
                format=layer.format.name,
                file=str(tensor.file),
                dtype=tensor.dtype,
                shape=tensor.shape,
                bytes=tensor.nbytes,
                droppable=layer.format.kind is FormatKind.GPTQ and tensor.name.endswith(".g_idx"),
            )
        )
        for layer in plan.layers
        for tensor in layer.tensors
    ]
    files = sorted({str(tensor["file"]) for tensor in tensors})
    left_out = [asdict(tensor) for tensor in plan.left_out]
    return document(
        "run", {"files": {file: _state(Path(file)) for file in files}, "tensors": tensors, "left_out": left_out}
    )


def _state(file: Path) -> dict[str, int]:
    status = file.stat()
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns}


def read_left_out(folder: Path) -> tuple[LeftOut, ...]:
    """Tensors that the plan of a run folder leaves out; none where that was not written down."""
    try:
        raw = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        return tuple(LeftOut(**tensor) for tensor in raw.get("left_out", ()))
    except (OSError, ValueError, AttributeError, TypeError):
        return ()


def read_run(folder: Path) -> tuple[RunTensor, ...]:
    """The planned tensors of a run folder. Raises RunFolderError when a checkpoint changed since the plan."""
    file = folder / RUN_FILE
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        files = dict(raw["files"])
        tensors = tuple(RunTensor(**{**tensor, "shape": tuple(tensor["shape"])}) for tensor in raw["tensors"])
    except (OSError, ValueError) as fault:
        raise RunFolderError(folder, f"{RUN_FILE} cannot be read: {fault}", "mixprec launch MIX") from fault
    except (LookupError, TypeError) as fault:
        words = f"{RUN_FILE} is none that this release of mixprec wrote: {fault!r}"
        raise RunFolderError(folder, words, "mixprec launch MIX") from fault
    _check_files(folder, files)
    return tensors


def _check_files(folder: Path, files: Mapping[str, Mapping[str, int]]) -> None:
    changed = []
    for name, state in files.items():
        try:
            now = _state(Path(name))
        except OSError as fault:
            changed.append(f"{name}: {fault.strerror or fault}")
            continue
        if now != state:
            changed.append(f"{name}: has changed since the plan was made")
    if changed:
        raise RunFolderError(folder, "; ".join(changed), "mixprec launch MIX, which plans anew")
