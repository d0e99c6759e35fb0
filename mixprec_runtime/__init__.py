"""mixprec_runtime: serves one model whose layers come from several quantized checkpoints."""

from mixprec_doctor.version import __version__

__all__ = ["__version__"]
