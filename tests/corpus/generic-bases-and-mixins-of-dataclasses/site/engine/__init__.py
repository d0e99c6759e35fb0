from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class HasName(Protocol):
    name: str


@dataclass
class A(ABC, Generic[T]):
    a: T

    @abstractmethod
    def run(self): ...


@dataclass
class B(A[int], HasName):
    name: str = "b"


class C(B):
    def __post_init__(self): ...
