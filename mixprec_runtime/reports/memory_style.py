"""Colours of a memory picture: a class per format, told apart by people of any colour vision, on light and dark."""

from __future__ import annotations

__all__ = ["COLOURS", "CSS", "colour_classes"]

from collections.abc import Iterable

from mixprec_runtime.records.memory import UNFILLED

# Okabe and Ito's colours, with further ones for models of more formats; the plain types are greys.
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7d5ba6", "#4c9a2a", "#a0522d",
)  # fmt: skip
_FAMILIES = ("fp8", "gptq", "int8", "awq", "packed", "nvfp4", "mxfp4")  # the colour each prefers
_PLAIN = {"bf16": "plain", "f16": "plain-2", "f32": "plain-3", UNFILLED: "unfilled"}


def colour_classes(formats: Iterable[str]) -> dict[str, str]:
    """A class name for each format; the same format has the same colour in every picture, as long as it is free."""
    classes: dict[str, str] = {}
    free = list(range(len(COLOURS)))
    waiting = []
    names = list(dict.fromkeys(formats))
    for name in names:
        family = name.split("-")[0]
        if name in _PLAIN:
            classes[name] = _PLAIN[name]
        elif family in _FAMILIES and (at := _FAMILIES.index(family)) in free:
            classes[name] = f"c{at}"
            free.remove(at)
        else:
            waiting.append(name)
    for at, name in enumerate(waiting):
        classes[name] = f"c{free[at] if at < len(free) else at % len(COLOURS)}"
    return {name: classes[name] for name in names}


_LIGHT = """
.mp{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
.mp text{fill:#1f2328}
.mp .head{font-size:17px;font-weight:600}
.mp .sub{font-size:13px;font-weight:600}
.mp .soft{fill:#59636e}
.mp .end{text-anchor:end}
.mp .mid{text-anchor:middle}
.mp .ground{fill:#fff}
.mp .grid{stroke:#d8dee4;stroke-width:1}
.mp .base{stroke:#59636e;stroke-width:1}
.mp .planned{fill:none;stroke:#1f2328;stroke-width:.9}
.mp .bf16{fill:none;stroke:#59636e;stroke-width:1;stroke-dasharray:3 2}
.mp .held{stroke:#1f2328;stroke-width:2.5}
.mp .break{fill:none;stroke:#fff;stroke-width:5}
.mp .plain{fill:#9aa4af}.mp .plain-2{fill:#7f8994}.mp .plain-3{fill:#5f6873}.mp .unfilled{fill:#d3d8de}
.mp .seg rect{stroke:#fff;stroke-width:.7}
.mp .seg:hover rect{opacity:.75}
"""
_DARK = """
.mp text{fill:#e6edf3}
.mp .soft{fill:#9198a1}
.mp .ground{fill:#0d1117}
.mp .grid{stroke:#2a313a}
.mp .base{stroke:#9198a1}
.mp .planned{stroke:#e6edf3}
.mp .bf16{stroke:#9198a1}
.mp .held{stroke:#e6edf3}
.mp .break,.mp .seg rect{stroke:#0d1117}
.mp .plain{fill:#7d8590}.mp .plain-2{fill:#98a1ac}.mp .plain-3{fill:#b4bcc5}.mp .unfilled{fill:#3d444d}
"""
CSS = (
    _LIGHT
    + "".join(f".mp .c{at}{{fill:{colour}}}" for at, colour in enumerate(COLOURS))
    + f"\n@media (prefers-color-scheme:dark){{{_DARK}}}"
)
"""One style sheet, inside the picture: nothing is loaded from anywhere."""
