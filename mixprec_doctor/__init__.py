"""mixprec_doctor: knows an environment without touching it."""

from mixprec_doctor.version import __version__

__all__ = ["__version__"]
