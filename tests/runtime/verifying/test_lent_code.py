"""What is lent to another interpreter needs nothing there but the engine itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ALLOWED = {"torch", "vllm", "safetensors"}
REMOTE = {"huggingface_hub"}  # only for files that are not on this machine; a trial reads what is
OURS = ("mixprec_doctor", "mixprec_runtime")


def test_trials_import_nothing_that_mixprec_brings_along() -> None:
    foreign, seen, waiting = {}, set(), ["mixprec_runtime.adapters.vllm.trial"]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        file = _file(module)
        if file is None:
            continue
        waiting += [module.rpartition(".")[0]] if "." in module else []
        for name in _imports(file):
            top = name.partition(".")[0]
            if top in OURS:
                waiting += [name, name.rpartition(".")[0]]
            elif top not in sys.stdlib_module_names | ALLOWED | REMOTE:
                foreign[name] = module
    assert "mixprec_runtime.adapters.layers" in seen
    assert foreign == {}


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def _imports(file: Path) -> list[str]:
    """What a module imports when it is imported, or when one of its functions runs.

    Not what only type checkers see, nor what a name brings that nobody lent asks its package for.
    """
    found = []
    tree = ast.parse(file.read_bytes())
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in lazy:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith(OURS)),
            ]
    return found
