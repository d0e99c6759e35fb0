"""Environments read from outside: nothing of them is imported, nothing of them runs."""

__all__ = ["Target", "UnreadableEnvironment", "find_engines", "read_environment"]

from mixprec_doctor.environment.engines import find_engines
from mixprec_doctor.environment.reading import read_environment
from mixprec_doctor.environment.target import Target, UnreadableEnvironment
