from dataclasses import dataclass


@dataclass
class EngineArgs:
    model: str = "x"
