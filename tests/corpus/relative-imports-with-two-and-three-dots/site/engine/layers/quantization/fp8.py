from ..base import Base
from ...base import Top


class Config:
    def __init__(self, y=2): ...
