"""The name by which engines know mixprec: as a quantization method and as a load format. Imports nothing."""

__all__ = ["METHOD"]

METHOD = "mixprec"
