"""Identity of tensors: digests of their bytes, so that what was measured of them is known again under any name."""

from __future__ import annotations

__all__ = ["Identities"]

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from mixprec_runtime.measuring.quality import Progress
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader

SIZE = 16  # bytes of a digest
CHUNK = 1 << 22
BESIDE = ("config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json")


class Identities:
    """Digests by tensor. Those of a file are kept under its path, size and time of change, and taken only once."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self._root = root
        self._progress = progress
        self._files: dict[Path, dict[str, str]] = {}

    def whole(self, checkpoint: Checkpoint) -> str:
        """Of all tensors of a checkpoint, its config and its tokenizer."""
        digest = hashlib.blake2b(digest_size=SIZE)
        for name in BESIDE:
            file = checkpoint.path / name
            digest.update(file.read_bytes() if file.is_file() else b"-")
        digest.update(self.of(checkpoint, checkpoint.modules).encode())
        return digest.hexdigest()

    def of(self, checkpoint: Checkpoint, modules: Iterable[str]) -> str:
        """Of some modules: their tensors' names, shapes and bytes, and what the config says of how to read them."""
        told = [json.dumps(checkpoint.quantization, sort_keys=True, default=str)]
        for module in sorted(modules):
            for suffix, tensor in sorted(checkpoint.of_module(module).items()):
                bytes_of = self._file(tensor, checkpoint)[tensor.name]
                told.append(f"{module}.{suffix} {tensor.dtype} {list(tensor.shape)} {bytes_of}")
        return hashlib.blake2b("\n".join(told).encode(), digest_size=SIZE).hexdigest()

    def _file(self, tensor: TensorHeader, checkpoint: Checkpoint) -> dict[str, str]:
        file = Path(tensor.file).resolve()
        if file not in self._files:
            self._files[file] = self._known(file) or self._read(file, checkpoint)
        return self._files[file]

    def _place(self, file: Path) -> Path:
        about = file.stat()
        named = f"{file} {about.st_size} {about.st_mtime_ns}"
        return self._root / f"{hashlib.blake2b(named.encode(), digest_size=SIZE).hexdigest()}.json"

    def _known(self, file: Path) -> dict[str, str] | None:
        try:
            kept = json.loads(self._place(file).read_text(encoding="utf-8"))
            return {str(name): str(digest) for name, digest in kept.items()}
        except (OSError, ValueError, AttributeError):
            return None

    def _read(self, file: Path, checkpoint: Checkpoint) -> dict[str, str]:
        tensors = [
            tensor
            for module in checkpoint.modules
            for tensor in checkpoint.of_module(module).values()
            if Path(tensor.file).resolve() == file
        ]
        total, done = sum(tensor.nbytes for tensor in tensors), 0
        found: dict[str, str] = {}
        with file.open("rb") as data:
            for tensor in sorted(tensors, key=lambda each: each.begin):
                digest = hashlib.blake2b(digest_size=SIZE)
                data.seek(tensor.begin)
                left = tensor.end - tensor.begin
                while left and (read := data.read(min(left, CHUNK))):
                    digest.update(read)
                    left -= len(read)
                found[tensor.name] = digest.hexdigest()
                done += tensor.nbytes
                self._progress(done >> 20, total >> 20, f"reading {checkpoint.path.name} (MiB)")
        self._keep(file, found)
        return found

    def _keep(self, file: Path, found: dict[str, str]) -> None:
        place = self._place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        staging = place.with_suffix(f".{os.getpid()}")
        staging.write_text(json.dumps(found), encoding="utf-8")
        staging.replace(place)
