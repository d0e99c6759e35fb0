"""The doors into SGLang: single layers on trial, and a linear method with mixprec's portable kernels."""
