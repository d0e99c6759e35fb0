"""SVG in text: elements with escaped names and values, and an axis whose steps people can read."""

from __future__ import annotations

__all__ = ["element", "figure", "steps", "text"]

from html import escape
from math import floor, log10

_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF), "\N{REPLACEMENT CHARACTER}")


def element(name: str, *children: str, **attributes: object) -> str:
    """An element; ``klass`` is its class, an underscore in a name a hyphen. ``children`` are markup already."""
    words = "".join(
        f' {"class" if key == "klass" else key.replace("_", "-")}="{_safe(figure(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{words}>{''.join(children)}</{name}>" if children else f"<{name}{words}/>"


def text(content: str) -> str:
    """Text between tags, whatever characters a checkpoint's names are made of."""
    return _safe(content)


def _safe(content: str) -> str:
    return escape(content.translate(_CONTROLS).encode("utf-8", "replace").decode(), quote=True)


def figure(value: object) -> str:
    """A number with two decimals at most; anything else as it is."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def steps(largest: float, *, wanted: int = 5) -> tuple[float, ...]:
    """Values of an axis from 0 to at least ``largest``, in steps of 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return (0.0, 1.0)
    rough = largest / wanted
    power = 10.0 ** floor(log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    count = 1
    while count * step < largest:
        count += 1
    return tuple(at * step for at in range(count + 1))
