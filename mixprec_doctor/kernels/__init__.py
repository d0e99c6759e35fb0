"""Kernels: what could serve a format and shape on a machine, decided from facts that were read beforehand."""
