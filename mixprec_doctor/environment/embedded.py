"""The embedded engine: the packages that mixprec's own engine is made of, as an environment has them."""

from __future__ import annotations

__all__ = ["LOADING", "NEEDED", "RECENT", "SERVING", "embedded_lacks"]

from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.environment import Environment

NEEDED = ("torch", "transformers")
SERVING = ("jinja2", "starlette", "uvicorn")  # what answers over HTTP
LOADING = "core_model_loading.py"  # where transformers reads weights by rules that a quantizer may add to
RECENT = "transformers of release 5 or later"


def embedded_lacks(environment: Environment) -> tuple[str, ...]:
    """What an environment lacks of the extra ``torch``; empty where mixprec serves without another engine."""
    found = {name: locate_package(environment, name) for name in (*NEEDED, *SERVING)}
    lacks = [name for name, place in found.items() if place is None]
    transformers = found["transformers"]
    if transformers is not None and not (transformers / LOADING).is_file():
        lacks.append(RECENT)
    return tuple(lacks)
