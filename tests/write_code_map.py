"""Writes the code map of CONTRIBUTING.md: one line per module, from its docstring; tests/test_code_map.py keeps it so."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN = "<!-- map: written by python -m tests.write_code_map -->\n"
END = "<!-- end of map -->\n"
FOLDERS = ("mixprec_doctor", "mixprec_runtime", "noxfiles")


def code_map() -> str:
    lines: list[str] = []
    for folder in FOLDERS:
        for package in sorted({file.parent for file in (ROOT / folder).rglob("*.py")}):
            lines += ["", f"**{package.relative_to(ROOT)}/** {_promise(package / '__init__.py')}", ""]
            lines += [
                f"* `{file.name}`: {_promise(file)}" for file in sorted(package.glob("*.py")) if file.stem != "__init__"
            ]
    return "\n".join(lines) + "\n\n"


def _promise(file: Path) -> str:
    """The first sentence or line of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_bytes())) if file.is_file() else None
    return (text or "").split("\n\n")[0].replace("\n", " ")


def page_with(text: str) -> str:
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + text + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page_with(code_map()), encoding="utf-8")
