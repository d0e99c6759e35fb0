"""Asks real Python: run as a script in an isolated interpreter, questions in and answers out as JSON."""

from __future__ import annotations

__all__: list[str] = []

import functools
import importlib
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_SIMPLE = (str, int, float, bool, type(None))


def main(questions: Path, answers: Path) -> None:
    """Answer every case of the file."""
    answers.write_text(json.dumps([_case(case) for case in json.loads(questions.read_text(encoding="utf-8"))]))


def _case(case: dict[str, Any]) -> list[dict[str, Any]]:
    sys.path[:0] = [case["site"]]
    sys.path += case["beside"]
    sys.dont_write_bytecode = True
    try:
        return [_answer(question, case["site"]) for question in case["questions"]]
    finally:
        sys.path.remove(case["site"])
        for folder in case["beside"]:
            sys.path.remove(folder)


def _answer(question: dict[str, Any], site: str) -> dict[str, Any]:
    """Import one name afresh, and look where the resolver says that it comes from."""
    before = set(sys.modules)
    importlib.invalidate_caches()
    try:
        namespace: dict[str, Any] = {}
        exec(f"from {question['module']} import {question['name']} as it", namespace)  # noqa: S102
        return _describe(namespace["it"], question)
    except BaseException as fault:  # noqa: BLE001  a module of the corpus may raise anything
        return {"there": False, "fault": type(fault).__name__, "detail": str(fault)}
    finally:
        for name in set(sys.modules) - before:
            file = str(getattr(sys.modules[name], "__file__", None) or site)
            if file.startswith(site):
                del sys.modules[name]


def _describe(it: Any, question: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"there": True, "module": None, "qualname": None, "line": None, "parameters": None}
    answer["kind"] = "module" if isinstance(it, ModuleType) else "value"
    if isinstance(it, ModuleType):
        answer["module"] = it.__name__
    elif isinstance(it, type) or inspect.isroutine(it) or isinstance(it, functools._lru_cache_wrapper):
        answer["kind"] = "class" if isinstance(it, type) else "function"
        answer["module"], answer["qualname"] = it.__module__, it.__qualname__
        code = getattr(inspect.unwrap(it), "__code__", None)
        answer["line"] = getattr(it, "__firstlineno__", None) or getattr(code, "co_firstlineno", None)
    answer["literal"] = repr(it) if _is_simple(it) else None
    if callable(it) and not isinstance(it, ModuleType):
        answer["parameters"] = _parameters(it)
    if (claim := question["claim"]) is not None:
        answer["same"] = _same(it, *claim)
    return answer


def _same(it: Any, module: str, name: str) -> bool:
    try:
        there = importlib.import_module(module)
        return (getattr(there, name) if name else there) is it
    except Exception:  # noqa: BLE001
        return False


def _parameters(it: Any) -> list[dict[str, Any]] | None:
    try:
        signature = inspect.signature(it)
    except (ValueError, TypeError):
        return None
    return [
        {
            "name": each.name,
            "kind": each.kind.name,
            "required": each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD),
            "default": repr(each.default) if _is_simple(each.default) else None,
        }
        for each in signature.parameters.values()
    ]


def _is_simple(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(map(_is_simple, value))
    return type(value) in _SIMPLE


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
