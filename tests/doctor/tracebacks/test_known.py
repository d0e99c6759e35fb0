"""Faults that no look at an environment can find are told by the words that engines and libraries really write."""

from __future__ import annotations

import pytest

from mixprec_doctor.tracebacks import known_faults
from mixprec_doctor.tracebacks.known import KNOWN

MESSAGES = (
    ("port-in-use", "OSError: [Errno 98] Address already in use"),
    ("port-in-use", "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"),
    ("port-in-use", "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. "
     "port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"),
    ("gated-model", "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-x)\n\nCannot access gated repo "
     "for url https://huggingface.co/meta-llama/Llama-3.1-8B/resolve/main/config.json."),
    ("gated-model", "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/x."),
    ("model-not-found", "OSError: nosuch/model is not a local folder and is not a valid model identifier listed on "
     "'https://huggingface.co/models'"),
    ("model-not-found", "huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error. (Request ID: Root=1-x)\n\nRepository Not "
     "Found for url: https://huggingface.co/api/models/nosuch/model."),
    ("hub-unreachable", "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the "
     "cached files."),
    ("hub-unreachable", "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries "
     "exceeded with url: /x (Caused by NameResolutionError(...))"),
    ("cache-memory", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
     "initializing the engine."),
    ("cache-memory", "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored "
     "in KV cache (30544). Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine."),
    ("cache-memory", "ValueError: To serve at least one request with the models's max seq len (40960), (5.62 GiB KV cache is needed, "
     "which is larger than the available KV cache memory (3.80 GiB)."),
    ("cache-memory", "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."),
    ("gpu-occupied", "ValueError: Free memory on device (10.5/79.11 GiB) on startup is less than desired GPU memory utilization "
     "(0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."),
    ("gpu-out-of-memory", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB. GPU 0 has a total capacity of "
     "23.64 GiB of which 1.18 GiB is free."),
    ("file-limit", "OSError: [Errno 24] Too many open files: '/dev/null'"),
    ("shared-memory", "RuntimeError: DataLoader worker (pid 9) is killed by signal: Bus error. It is possible that dataloader's "
     "workers are out of shared memory. Please try to raise your shared memory limit. insufficient shared memory (shm)"),
    ("shared-memory", "torch.distributed.DistBackendError: NCCL error: unhandled system error, Last error: Error while creating "
     "shared memory segment /dev/shm/nccl-Xt2pPV (size 9637888)"),
    ("shared-memory", "OSError: [Errno 28] No space left on device: '/dev/shm/psm_1'"),
    ("disk-full", "OSError: [Errno 28] No space left on device"),
    ("remote-code", "ValueError: The repository x/y contains custom code which must be executed to correctly load the model. You can "
     "inspect the repository content at https://hf.co/x/y. Please pass the argument `trust_remote_code=True` to allow it."),
    ("unknown-architecture", "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: "
     "dict_keys(['AquilaModel'])"),
    ("unknown-architecture", "ValueError: The checkpoint you are trying to load has model type `new` but Transformers does not "
     "recognize this architecture."),
    ("no-main-guard", "RuntimeError: \n        An attempt has been made to start a new process before the\n        current process has "
     "finished its bootstrapping phase."),
    ("cuda-before-fork", "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must "
     "use the 'spawn' start method"),
    ("heads-not-divisible", "ValueError: Total number of attention heads (14) must be divisible by tensor parallel size (4)."),
    ("no-compiler", "RuntimeError: Failed to find C compiler. Please specify via CC environment variable."),
    ("no-compiler", "main.c:5:10: fatal error: Python.h: No such file or directory"),
    ("no-cuda-compiler", "RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist"),
    ("memory", "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
     "allocate 4294967296 bytes. Error code 12 (Cannot allocate memory)"),
    ("memory", "MemoryError"),
)  # fmt: skip


@pytest.mark.parametrize("name, message", MESSAGES)
def test_the_fault_is_known_by_its_message(name: str, message: str) -> None:
    [fault] = known_faults(message)
    assert fault.name == name
    assert fault.title
    assert fault.explanation
    assert fault.remedy.text
    assert not any("{" in command for command in fault.remedy.commands)


def test_every_known_fault_has_a_real_message_here() -> None:
    assert {known.name for known in KNOWN} == {name for name, _ in MESSAGES}
    assert len({known.name for known in KNOWN}) == len(KNOWN)


def test_what_the_message_names_stands_in_the_command() -> None:
    [fault] = known_faults("error while attempting to bind on address ('0.0.0.0', 30000): address already in use")
    assert fault.remedy.commands == ("ss -ltnp 'sport = :30000'",)
    assert known_faults("OSError: [Errno 98] Address already in use")[0].remedy.commands == ()


@pytest.mark.parametrize("message", [
    "ImportError: cannot import name 'x' from 'y'",
    "KeyError: 'model.layers.0.mlp.down_proj.weight'",
    "AssertionError",
    "ValueError: unsupported dtype",
    "RuntimeError: CUDA error: no kernel image is available for execution on the device",
])  # fmt: skip
def test_other_messages_are_no_known_fault(message: str) -> None:
    assert known_faults(message) == ()
