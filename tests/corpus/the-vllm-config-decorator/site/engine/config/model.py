from pydantic import ConfigDict

from .utils import config


@config(config=ConfigDict(arbitrary_types_allowed=True))
class ModelConfig:
    model: str = "x"
    task: str | None = None
