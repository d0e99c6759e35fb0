"""Options of the embedded engine's server: its command line, read without torch, so that a launch judges it first."""

from __future__ import annotations

__all__ = ["API_KEY", "DEFAULT_HOST", "DEFAULT_PORT", "BadOption", "ServerOptions", "read_options"]

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mixprec_doctor.errors import MixprecError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
API_KEY = "MIXPREC_API_KEY"  # a variable, because everyone on a machine can read command lines
MODULE = "mixprec_runtime.adapters.torch.server"
DTYPES = ("auto", "bfloat16", "float16", "float32")
RUNNING = 4
WAITING = 64
BODY_BYTES = 4 << 20


class BadOption(MixprecError):
    """A command line that the embedded engine's server does not take."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return f"engine torch: {self.fault}\n  try: python -m {MODULE} --help"


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What the server is started with. ``api_key`` None: everyone who reaches it may ask."""

    run_folder: Path
    host: str
    port: int
    served_model_name: tuple[str, ...]
    max_model_len: int | None
    dtype: str
    device: str
    max_num_seqs: int
    max_waiting: int
    max_body_bytes: int
    api_key: str | None
    left_aside: tuple[str, ...]


def read_options(words: Sequence[str]) -> ServerOptions:
    """Options from a command line. Raises BadOption, all but ``--help``, which prints and exits."""
    found = _parser().parse_args(list(words))
    for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        if (count := getattr(found, name)) != 1:
            raise BadOption(f"wanted {name} 1, found {count}: this engine serves in one process, on one device")
    return ServerOptions(
        run_folder=found.run_folder,
        host=found.host,
        port=found.port,
        served_model_name=tuple(found.served_model_name or [found.run_folder.name]),
        max_model_len=found.max_model_len,
        dtype=found.dtype,
        device=found.device,
        max_num_seqs=found.max_num_seqs,
        max_waiting=found.max_waiting,
        max_body_bytes=found.max_body_bytes,
        api_key=found.api_key or os.environ.get(API_KEY) or None,
        left_aside=tuple(found.left_aside or ()),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadOption(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"python -m {MODULE}", allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Serve a run folder with PyTorch and transformers. Usually mixprec launch starts it.",
    )  # fmt: skip
    add = parser.add_argument
    add("run_folder", type=Path, help="what mixprec wrote for a mixture")
    add("--host", default=DEFAULT_HOST, help="where to listen; other machines reach it only if this is changed")
    add("--port", type=_port, default=DEFAULT_PORT, help="where to listen")
    add("--served-model-name", nargs="+", metavar="NAME", help="names that requests may give; the first is told")
    add("--max-model-len", "--context-length", type=_count, metavar="N", help="tokens of prompt and answer together")
    add("--dtype", choices=DTYPES, default="auto", help="type of activations; auto: what the base model says")
    add("--device", default="cpu", help="where the model lies: cpu, cuda:0 ...")
    add("--max-num-seqs", "--max-running-requests", type=_count, default=RUNNING, metavar="N",
        help="requests that are answered at once, taking turns")  # fmt: skip
    add(
        "--max-waiting", type=_count, default=WAITING, metavar="N", help="requests in line; more are told to come later"
    )
    add("--max-body-bytes", type=_count, default=BODY_BYTES, metavar="N", help="largest body of a request")
    add("--api-key", metavar="KEY", help=f"what requests must bring; better in the variable {API_KEY}")
    for short, name in (("-tp", "tensor"), ("-pp", "pipeline"), ("-dp", "data")):
        add(short, f"--{name}-parallel-size", type=_count, default=1, metavar="N", help="1: there is one process")
    add("--left-aside", action="append", metavar="NAME", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, found {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"wanted a port from 1 to 65535, found {text!r}")
    return int(text)
