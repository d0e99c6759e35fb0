"""Outlines: the same module, only without the bodies of its functions."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.source.module import UnparsableModule, parse_module
from mixprec_doctor.source.outline import outline_of

STDLIB = Path(sysconfig.get_paths()["stdlib"])
MODULES = sorted(
    path
    for folder in ("asyncio", "json", "email", "unittest", "collections", "importlib")
    for path in (STDLIB / folder).glob("*.py")
)
# Lines that trip a splitter that only looks at indentation.
TRICKS = {
    "a string with code at column 0": 'def f():\n    x = """\nclass Trap:\n    pass\n"""\nclass Real: ...\n',
    "a string that ends a line deeper": 'class A:\n    def f(self):\n        x = """\n  y\n""".strip()\n    z = 1\n',
    "a colon in a default": "def f(a=lambda x: x, *, b: 'str: int' = {1: 2}) -> dict[str, int]:\n    return 1\nx = 2\n",
    "a header over many lines": "def f(\n    a,\n    b=(1,\n2),\n):\n    return 1\nx = 2\n",
    "a comment at column 0 in a body": "def f():\n    a = 1\n# no end\n    return a\nx = 2\n",
    "brackets at column 0 in a body": "def f():\n    return g(\nx=1,\n)\ny = 2\n",
    "a body on the line of the header": "def f(): return 1\nclass A:\n    def g(self): ...\n    h = 3\n",
    "quotes in comments": "# don't\ndef f():\n    # it's\n    return 1\nx = 'a # b'\n",
    "a nested function and a decorator": "@d(1)\ndef f():\n    def g():\n        return 1\n    return g\nx = 2\n",
    "a backslash before a quote": "a = 'it\\'s'\ndef f():\n    return '\\\\'\nb = 1\n",
    "no newline at the end": "def f():\n    return 1",
    "tabs": "class A:\n\tdef f(self):\n\t\treturn 1\n\tx = 1\n",
    "in if and try": "try:\n    def f():\n        return 1\nexcept ImportError:\n    f = None\nif X:\n    async def g():\n        await f()\nelse:\n    g = 2\n",
}  # fmt: skip


def bare(source: bytes | ast.Module) -> str:
    """The syntax tree with every function body left out, ends of blocks not compared."""
    tree = ast.parse(source) if isinstance(source, bytes) else source
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [ast.Pass()]
    for node in ast.walk(tree):
        if hasattr(node, "body") and isinstance(node, (ast.stmt, ast.ExceptHandler)):
            node.end_lineno = node.end_col_offset = None  # type: ignore[union-attr]
    return ast.dump(tree, include_attributes=True)


@pytest.mark.parametrize("trick", TRICKS)
def test_the_outline_is_the_module_without_function_bodies(trick: str) -> None:
    source = TRICKS[trick].encode()
    parsed = parse_module("m", source, is_package=False)
    assert bare(parsed.tree) == bare(source)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_real_modules_keep_every_line_and_column(path: Path) -> None:
    source = path.read_bytes()
    outline = outline_of(source)
    assert bare(outline.source if outline else source) == bare(source)


@pytest.mark.parametrize("path", MODULES[:25], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_function_can_be_had_whole(path: Path) -> None:
    source = path.read_bytes()
    parsed = parse_module("m", source, is_package=False)
    wanted = {node.lineno: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.FunctionDef):
            whole, right = parsed.whole(node), wanted[node.lineno]
            assert ast.dump(whole, include_attributes=True) == ast.dump(right, include_attributes=True)


def test_code_after_an_oddly_indented_body_is_parsed_whole() -> None:
    source = TRICKS["brackets at column 0 in a body"].encode()
    assert parse_module("m", source, is_package=False).outline is None
    assert [each.name for each in parse_module("m", source, is_package=False).bindings] == ["f", "y"]


def test_a_body_in_newer_syntax_does_not_hide_the_module() -> None:
    source = b"def f():\n    this is not Python\nclass A: ...\n"
    assert [each.name for each in parse_module("m", source, is_package=False).bindings] == ["f", "A"]


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(source: bytes) -> None:
    try:
        parsed = parse_module("m", source, is_package=False)
    except UnparsableModule:
        return
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.FunctionDef):
            parsed.whole(node)


@given(st.lists(st.sampled_from([line for trick in TRICKS.values() for line in trick.splitlines()]), max_size=14))
def test_lines_in_any_order_bind_what_the_whole_source_binds(lines: list[str]) -> None:
    source = "\n".join([*lines, ""]).encode()
    try:
        right = ast.parse(source)
    except SyntaxError:
        return
    parsed = parse_module("m", source, is_package=False)
    assert bare(parsed.tree) == bare(right)
