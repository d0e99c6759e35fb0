"""mixprec_doctor: knows an environment without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixprec_doctor.version import __version__

if TYPE_CHECKING:
    from mixprec_doctor.examination import examine

__all__ = ["__version__", "examine"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Load what is asked for on first use, so that importing the package stays light."""
    if name == "examine":
        from mixprec_doctor.examination import examine

        return examine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
