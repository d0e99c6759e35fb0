"""Errors that mixprec raises on purpose: fields first, then words."""

from __future__ import annotations

__all__ = ["ExitCode", "MixprecError"]

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command (docs/reference/exit-codes.md)."""

    CLEAN = 0
    FINDINGS = 1
    MISUSE = 2
    NOTHING_EXAMINED = 3


class MixprecError(Exception):
    """Base of every error that mixprec raises on purpose.

    The command line prints ``str(error)`` without a traceback and exits with ``exit_code``.
    """

    exit_code: ExitCode = ExitCode.MISUSE
