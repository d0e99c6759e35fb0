"""Known faults of a start that no look at an environment can find: each with what it means and what helps."""

from __future__ import annotations

__all__ = ["KNOWN", "Known", "known_faults"]

import re
from dataclasses import dataclass

from mixprec_doctor.records.diagnosis import KnownFault
from mixprec_doctor.records.finding import Remedy


@dataclass(frozen=True, kw_only=True)
class Known:
    """How a fault is recognised. Groups of the pattern fill ``{name}`` in title, remedy and commands."""

    name: str
    pattern: re.Pattern[str]
    title: str
    explanation: str
    remedy: str
    commands: tuple[str, ...] = ()  # those whose groups the message does not give are left out

    def fault(self, found: re.Match[str]) -> KnownFault:
        """The fault as one message tells it."""
        told = {name: value for name, value in found.groupdict().items() if value}
        commands = tuple(
            each.format(**told) for each in self.commands if set(re.findall(r"\{(\w+)\}", each)) <= set(told)
        )
        return KnownFault(
            name=self.name,
            title=self.title,
            explanation=self.explanation,
            remedy=Remedy(text=self.remedy, commands=commands),
        )


def known_faults(message: str) -> tuple[KnownFault, ...]:
    """The fault that an exception's words tell; the first that fits, as later ones are more general."""
    for known in KNOWN:
        if found := known.pattern.search(message[:8000]):
            return (known.fault(found),)
    return ()


def _any(*words: str) -> re.Pattern[str]:
    """A pattern of alternatives; a dot also stands for the end of a line."""
    return re.compile("|".join(words), re.DOTALL)


_SHM = "/dev/" + "shm"  # where Linux keeps memory that processes share

# Special ones before general ones: the first that fits is told.
KNOWN: tuple[Known, ...] = (
    Known(
        name="port-in-use",
        pattern=_any(
            r"\('[^'\n]{0,80}', (?P<port>\d+)\)[^\n]{0,20}: (?:\[[Ee]rrno 98\] )?[Aa]ddress already in use",
            r"[Pp]ort:? (?P<other>\d+)[^\n]{0,40}(?:in use|occupied|not available)",
            r"EADDRINUSE",
            r"[Aa]ddress already in use",
        ),
        title="the port is taken",
        explanation="another process listens on that address, often an earlier start of the same server",
        remedy="end the process that has the port, or give another one with --port",
        commands=("ss -ltnp 'sport = :{port}'", "ss -ltnp 'sport = :{other}'"),
    ),
    Known(
        name="gated-model",
        pattern=_any(r"GatedRepoError", r"gated repo\b", r"Access to model .{1,200} is restricted"),
        title="the model is gated",
        explanation=(
            "its owner gives it to accounts that have accepted the terms, and this start came without the token of one"
        ),
        remedy="accept the terms on the model's page, log in, and start again (or set HF_TOKEN where the server runs)",
        commands=("hf auth login",),
    ),
    Known(
        name="model-not-found",
        pattern=_any(
            r"RepositoryNotFoundError",
            r"401 Client Error.{0,200}huggingface",
            r"is not a local folder and is not a valid model identifier",
            r"Repo id must (?:be in the form|use alphanumeric)",
        ),
        title="there is no such model, or not for this account",
        explanation=(
            "the hub answers the same for a name that does not exist and for a private model without a token; a local "
            "path that does not exist is taken for a name of the hub"
        ),
        remedy="check the name or the path; for a private model log in (or set HF_TOKEN where the server runs)",
        commands=("hf auth login",),
    ),
    Known(
        name="hub-unreachable",
        pattern=_any(
            r"couldn't connect to '?https?://huggingface\.co",
            r"LocalEntryNotFoundError",
            r"OfflineModeIsEnabled",
            r"huggingface\.co.{0,400}(?:Max retries exceeded|Temporary failure in name resolution|timed out)",
            r"(?:MaxRetryError|ConnectionError|ConnectTimeout).{0,300}huggingface\.co",
        ),
        title="the hub cannot be reached, and the model is not in the cache",
        explanation=(
            "the machine has no way to huggingface.co, or was told to stay offline, and no complete copy is there"
        ),
        remedy="fetch the model where there is a connection and start from its folder, or mend proxy and HF_ENDPOINT",
    ),
    Known(
        name="cache-memory",
        pattern=_any(
            r"No available memory for the cache blocks",
            r"larger than the (?:maximum number of tokens that can be stored|available KV cache memory)",
            r"Not enough memory\. Please try to increase --mem-fraction-static",
        ),
        title="no room for the KV cache",
        explanation="after the weights, too little of the memory that the server may use is left for one long request",
        remedy=(
            "a shorter --max-model-len (SGLang: --context-length), a larger share of the memory "
            "(--gpu-memory-utilization, SGLang: --mem-fraction-static; on a CPU VLLM_CPU_KVCACHE_SPACE), or more GPUs"
        ),
    ),
    Known(
        name="gpu-occupied",
        pattern=_any(r"Free memory on device.{0,200}less than desired GPU memory utilization"),
        title="other processes have part of the GPU's memory",
        explanation="the server asks for a share of all memory, and that much is not free",
        remedy="end what else is on the GPU, or ask for a smaller share with --gpu-memory-utilization",
        commands=("nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv",),
    ),
    Known(
        name="gpu-out-of-memory",
        pattern=_any(
            r"(?:CUDA|HIP) out of memory",
            r"torch\.(?:cuda\.)?OutOfMemoryError",
            r"CUDA error: out of memory",
            r"CUBLAS_STATUS_ALLOC_FAILED",
        ),
        title="out of GPU memory",
        explanation="weights, KV cache and work space together need more than is free on the GPU",
        remedy=(
            "see what else is on the GPU; then a smaller --max-model-len and fewer --max-num-seqs (SGLang: "
            "--context-length, --max-running-requests), a smaller memory share, a quantized checkpoint, or more GPUs"
        ),
        commands=("nvidia-smi",),
    ),
    Known(
        name="file-limit",
        pattern=_any(r"\[Errno 24\]", r"Too many open files"),
        title="too many open files",
        explanation="every connection, worker and shard takes file descriptors; the limit of the shell is too low",
        remedy="raise the limit in the shell that starts the server (docker: --ulimit nofile=65535:65535)",
        commands=("ulimit -n 65535",),
    ),
    Known(
        name="shared-memory",
        pattern=_any(
            rf"(?:No space left on device|[Ee]rror).{{0,200}}{_SHM}",
            rf"{_SHM}.{{0,200}}(?:No space left on device|[Ee]rror)",
            r"insufficient shared memory",
            r"unable to (?:open|allocate) shared memory",
        ),
        title="too little shared memory",
        explanation="the server's processes hand tensors to one another in /dev/shm; a container has 64 MB there",
        remedy="start the container with the host's shared memory (--ipc=host), or with more (--shm-size=16g)",
        commands=("df -h /dev/shm",),
    ),
    Known(
        name="disk-full",
        pattern=_any(r"\[Errno 28\]", r"No space left on device"),
        title="a disk is full",
        explanation="a download, a compilation cache or a temporary file did not fit",
        remedy="make room, or move the caches: HF_HOME, TMPDIR, XDG_CACHE_HOME",
        commands=("df -h",),
    ),
    Known(
        name="remote-code",
        pattern=_any(
            r"set the option `?trust_remote_code=True",
            r"pass the argument `?trust_remote_code=True",
            r"requires you to execute the configuration file",
            r"contains custom code which must be executed",
        ),
        title="the model brings its own code",
        explanation="its configuration or layers are Python files in its repository, which are not run unless allowed",
        remedy="read that code; if you trust it, start with --trust-remote-code",
    ),
    Known(
        name="unknown-architecture",
        pattern=_any(
            r"Model architectures? \[[^\]\n]{0,200}\] (?:is|are) not supported",
            r"Transformers does not recognize this architecture",
            r"has no vLLM implementation",
        ),
        title="this release does not know the model's architecture",
        explanation="the model is newer than the engine or its transformers, or of a kind that it does not serve",
        remedy="a newer release of the engine, with the transformers that it asks for, in an environment of its own",
    ),
    Known(
        name="no-main-guard",
        pattern=_any(r"attempt has been made to start a new process before the\s{1,40}current process"),
        title="the script has no main guard",
        explanation="worker processes import the script again, and it starts the engine again while they do",
        remedy='put what starts the engine under `if __name__ == "__main__":`',
    ),
    Known(
        name="cuda-before-fork",
        pattern=_any(r"Cannot re-initialize CUDA in forked subprocess"),
        title="CUDA was used before a process was forked",
        explanation="a forked process cannot use the GPU when the one it was forked from has touched it",
        remedy="start workers afresh (vLLM), and touch no GPU before the engine is made",
        commands=("export VLLM_WORKER_MULTIPROC_METHOD=spawn",),
    ),
    Known(
        name="heads-not-divisible",
        pattern=_any(r"(?:attention heads|num_heads)[^\n]{0,60}divisible by[^\n]{0,40}tensor.parallel"),
        title="the model cannot be cut into that many parts",
        explanation="every GPU of a tensor-parallel group gets a whole number of attention heads",
        remedy="a --tensor-parallel-size (SGLang: --tp-size) that divides the number of attention heads",
    ),
    Known(
        name="no-compiler",
        pattern=_any(
            r"Failed to find C compiler",
            r"Python\.h: No such file",
            r"No such file or directory: '(?:gcc|cc|g\+\+|clang)'",
        ),
        title="kernels are compiled here, and the compiler or Python's headers are missing",
        explanation="Triton and torch.compile build small modules for this Python while the server starts",
        remedy="install a C compiler and the headers of this Python (Debian, Ubuntu: gcc, g++ and python3-dev)",
    ),
    Known(
        name="no-cuda-compiler",
        pattern=_any(
            r"Could not find nvcc",
            r"nvcc: (?:command )?not found",
            r"CUDA_HOME (?:environment variable )?is not set",
            r"No such file or directory: '[^'\n]{0,200}nvcc'",
        ),
        title="kernels are compiled here, and nvcc is missing",
        explanation="FlashInfer, DeepGEMM and others build CUDA kernels while the server starts, with the CUDA toolkit",
        remedy="install the CUDA toolkit of the version that torch was built for, and set CUDA_HOME to it",
    ),
    Known(
        name="memory",
        pattern=_any(
            r"can't allocate memory",
            r"Cannot allocate memory",
            r"(?<![A-Za-z])MemoryError",
            r"std::bad_alloc",
            r"exit ?code:? -9\b",
            r"SIGKILL",
        ),
        title="out of main memory",
        explanation="the operating system refused memory, or ended a process, as a rule for want of it",
        remedy="a smaller or quantized checkpoint, a shorter --max-model-len, or more memory (containers have a limit)",
        commands=("free -h",),
    ),
)
