"""What the latest launch of a mix file left in its folder."""

from __future__ import annotations

__all__ = ["launched"]

import json
from typing import Any

from mixprec_runtime.cache import cache_folder


def launched(name: str) -> dict[str, Any]:
    """The account of each rank in short, and memory, planned and measured; empty where a launch left nothing."""
    folders = sorted(cache_folder().glob(f"launches/{name}-*"), key=lambda folder: folder.stat().st_mtime)
    if not folders:
        return {}
    accounts = []
    for file in sorted(folders[-1].glob("account.rank*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        short = {key: raw[key] for key in ("rank", "parameters", "parameter_bytes", "held_bytes", "faults", "seconds")}
        methods: dict[str, int] = {}
        for layer in raw["layers"]:
            served = f"{layer['source']}: {layer['method']}"
            methods[served] = methods.get(served, 0) + 1
        accounts.append({**short, "methods": methods, "refused": raw["refused"], "kept": sorted(raw["kept"])[:8]})
    memory = folders[-1] / "memory.json"
    told = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else None
    return {"accounts": accounts, "memory": told}
