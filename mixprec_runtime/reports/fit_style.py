"""Styles of a fit's picture, beside those that it shares with a memory picture."""

from __future__ import annotations

__all__ = ["CSS", "sign_class"]

from mixprec_runtime.reports import memory_style

_PLAIN = {"plain": ("#9aa4af", "#7d8590"), "plain-2": ("#7f8994", "#98a1ac"), "plain-3": ("#5f6873", "#b4bcc5")}
_DARK_GROUNDS = frozenset({"c0", "c2", "c5", "c7", "c8", "c9", "plain-3"})  # white is easier to read on these

_LIGHT = """
.mp .line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.mp .dot{stroke-width:1.6}
.mp .open{fill:#fff}
.mp .mine{fill:none;stroke:#1f2328;stroke-width:2.2;stroke-linejoin:round}
.mp .mark{fill:#fff;stroke:#1f2328;stroke-width:2.6}
.mp .curve{fill:none;stroke:#59636e;stroke-width:1.6}
.mp .point{fill:#59636e}
.mp .rise{stroke:#59636e;stroke-width:1;stroke-dasharray:2 2}
.mp .limit{stroke:#59636e;stroke-width:1;stroke-dasharray:5 3}
.mp .sign{font-size:9.5px;text-anchor:middle}
.mp .on-light{fill:#1f2328}.mp .on-dark{fill:#fff}
.mp .strong{font-weight:600}
.mp .halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}
.mp .cell:hover rect{opacity:.75}
"""
_DARK = """
.mp .open,.mp .mark{fill:#0d1117}
.mp .mine,.mp .mark{stroke:#e6edf3}
.mp .curve,.mp .rise,.mp .limit{stroke:#9198a1}
.mp .point{fill:#9198a1}
.mp .halo{stroke:#0d1117}
"""


def _strokes(colours: dict[str, str]) -> str:
    return "".join(f".mp .line.{name},.mp .dot.{name}{{stroke:{colour}}}" for name, colour in colours.items())


CSS = (
    memory_style.CSS
    + _LIGHT
    + _strokes({f"c{at}": colour for at, colour in enumerate(memory_style.COLOURS)})
    + _strokes({name: light for name, (light, _) in _PLAIN.items()})
    + ".mp .line[class]{fill:none}"
    + f"\n@media (prefers-color-scheme:dark){{{_DARK}{_strokes({name: dark for name, (_, dark) in _PLAIN.items()})}}}"
)
"""One style sheet, inside the picture: nothing is loaded from anywhere."""


def sign_class(colour: str) -> str:
    """The class of a letter that stands on a colour."""
    return "on-dark" if colour in _DARK_GROUNDS else "on-light"
