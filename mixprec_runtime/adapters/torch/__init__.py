"""The embedded engine: PyTorch and transformers, with mixprec's own loading and portable kernels."""
