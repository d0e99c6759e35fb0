"""The embedded engine in one's own Python: import this, then ``AutoModelForCausalLM.from_pretrained(run_folder)``.

    import mixprec_runtime.torch as mixprec
    loaded = mixprec.load("mix.yaml")

Importing it imports transformers, and makes ``mixprec`` known to it as a quantization method.
"""

from __future__ import annotations

__all__ = ["Loaded", "load", "prepare"]

from mixprec_runtime.adapters.torch.opening import Loaded, load, prepare
from mixprec_runtime.adapters.torch.quantizer import register

register()
