"""Reading: what fills one keyword of a constructor, in the words of a checkpoint's quantization_config."""

from __future__ import annotations

__all__ = ["Reading"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One keyword and what it takes from the checkpoint's ``quantization_config``.

    ``meaning`` is a key of it (``bits``), ``config`` for all of it, or an expression of keys
    (``'fp8' in quant_method``).
    """

    meaning: str
    keys: tuple[str, ...] = ()  # the keys that are looked for, in this order
    required: bool = False  # an error when none of the keys is there
    default: str | None = None  # source text of what is taken when none of the keys is there
    exact: bool = True  # handed on as it stands in the checkpoint, not computed from it

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.resolve/1`` document."""
        return {
            "meaning": self.meaning,
            "keys": list(self.keys),
            "required": self.required,
            "default": self.default,
            "exact": self.exact,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Reading:
        """The record that ``to_json`` wrote."""
        return cls(**{**raw, "keys": tuple(raw["keys"])})
