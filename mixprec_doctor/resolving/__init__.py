"""Where roles and symbols live in a release of an engine, read from its source."""

__all__ = ["EngineSource", "RoleResolver", "find_layout", "open_engine", "search_symbol"]

from mixprec_doctor.resolving.engine import EngineSource, open_engine
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.resolving.roles import RoleResolver
from mixprec_doctor.resolving.symbols import search_symbol
