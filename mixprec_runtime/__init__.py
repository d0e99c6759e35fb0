"""mixprec_runtime: serves one model whose layers come from several quantized checkpoints.

The names of the original system are here too. They need no engine to be imported, and find it when they are used.
"""

from typing import TYPE_CHECKING, Any

from mixprec_doctor.version import __version__

if TYPE_CHECKING:
    from mixprec_runtime.adapters.vllm.names import (
        MixedPrecisionLinear,
        TrueMixedPrecisionConfig,
        TrueMixedPrecisionLoader,
    )
    from mixprec_runtime.binding import bind
    from mixprec_runtime.original import (
        initialize_specific_layers,
        load_model_weights,
        replace_linear_with_mixed_precision,
    )

__all__ = [
    "MixedPrecisionLinear",
    "TrueMixedPrecisionConfig",
    "TrueMixedPrecisionLoader",
    "__version__",
    "bind",
    "initialize_specific_layers",
    "load_model_weights",
    "replace_linear_with_mixed_precision",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """The names that are looked for; the engine's classes once it is bound."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "bind":
        from mixprec_runtime.binding import bind

        return bind
    from mixprec_runtime.original import find

    return find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
