"""Portable kernels: PyTorch's own quantized operators on weights that stay compressed."""
