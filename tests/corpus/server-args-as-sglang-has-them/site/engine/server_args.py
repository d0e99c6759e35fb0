from __future__ import annotations

import dataclasses
from typing import Annotated, Optional


@dataclasses.dataclass
class ServerArgs:
    # Model and tokenizer
    model_path: str
    tokenizer_path: Optional[str] = None

    # Ports
    host: str = "127.0.0.1"
    port: int = 30000
    nested: Annotated[list[str] | None, "help"] = dataclasses.field(default_factory=list)

    @property
    def url(self):
        return f"http://{self.host}"

    late: bool = False

    def __post_init__(self):
        late: int = 3

    @staticmethod
    def from_cli(args):
        return ServerArgs(args)


def prepare(argv: list[str]) -> ServerArgs: ...


@dataclasses.dataclass
class PortArgs:
    tokenizer_ipc_name: str

    @staticmethod
    def init_new(args: ServerArgs) -> PortArgs: ...


def __getattr__(name: str):
    if name == "ZMQ":
        from .network import ZMQ

        globals()[name] = ZMQ
        return ZMQ
    raise AttributeError(name)
