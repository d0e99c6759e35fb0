from ..base import Base
from ...base import Top
from .fp8 import Config
