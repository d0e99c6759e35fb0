"""Run by an interpreter that has vLLM: what the engine's own classes say to questions written as Python, as JSON lines.

Standard input holds one JSON object: ``capability`` of a GPU that is played (null: the CPU that is there), and
``questions``, each with the module of a kernel, its name, a method, and the source of its argument with the module in
which it is to be read.
"""

import importlib
import json
import sys
import types
from typing import Any


def play_gpu(capability: tuple[int, int]) -> None:
    """Have the engine believe in a GPU before any of its kernels is imported."""
    for name in ("vllm._C_stable_libtorch", "vllm._moe_C_stable_libtorch", "vllm._C"):
        sys.modules.setdefault(name, types.ModuleType(name))  # of a CUDA build; their operators stay away
    import torch

    attention = sys.modules["vllm.vllm_flash_attn"] = types.ModuleType("vllm.vllm_flash_attn")
    attention.__getattr__ = lambda name: None
    for name in (
        "scaled_mm_supports_fp8",
        "scaled_mm_supports_block_fp8",
        "scaled_mm_supports_fp4",
        "group_gemm_supported",
    ):
        setattr(torch.ops._C, f"cutlass_{name}", lambda number: True)  # asked while modules are imported
    import vllm.platforms
    from vllm.platforms.cuda import NvmlCudaPlatform
    from vllm.platforms.interface import DeviceCapability

    class Played(NvmlCudaPlatform):
        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> object:
            return DeviceCapability(*capability)

        @classmethod
        def import_kernels(cls) -> None:
            pass

    vllm.platforms._current_platform = Played()


def answer(question: dict[str, Any]) -> dict[str, Any]:
    kernel = getattr(importlib.import_module(question["module"]), question["kernel"])
    given = ()
    if question["argument"] is not None:
        given = (eval(question["argument"], dict(vars(importlib.import_module(question["home"])))),)  # noqa: S307
    said = getattr(kernel, question["method"])(*given)
    if isinstance(said, tuple):
        return {"accepted": bool(said[0]), "reason": None if said[1] is None else str(said[1])}
    return {"value": said}


def main() -> None:
    asked = json.load(sys.stdin)
    if asked["capability"] is not None:
        play_gpu(tuple(asked["capability"]))
    for question in asked["questions"]:
        try:
            said = answer(question)
        except BaseException as fault:  # noqa: BLE001  an operator that is not there, a library that does not load
            said = {"raised": type(fault).__name__, "detail": str(fault)[:200]}
        print("ANSWER " + json.dumps(said), flush=True)


main()
