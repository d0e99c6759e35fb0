from typing import Annotated, ClassVar, Generic, Optional, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from pydantic.dataclasses import dataclass

T = TypeVar("T")


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)

    a: int
    b: int = 1
    c: int = Field(...)
    d: int = Field(2, ge=0)
    e: list = Field(default_factory=list)
    f: int = Field(alias="ef")
    g: Optional[int] = Field(default=None, alias="gee")
    h: Annotated[int, Field(ge=0)] = 3
    i: Optional[int]
    k: ClassVar[int] = 3
    _private: int = PrivateAttr(default=1)
    _other: int = 2


class Child(Model):
    a: int = 7
    z: str = "z"


class Configured(BaseModel):
    x: int = Field(gt=0)


@dataclass
class Data:
    a: int
    b: int = Field(default=1, ge=0)
    c: int = Field(default_factory=int)


class Own(BaseModel):
    a: int

    def __init__(self, a, **kwargs):
        super().__init__(a=a, **kwargs)


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Generic_(BaseModel, Generic[T]):
    a: T
