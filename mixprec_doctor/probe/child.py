"""The child: run by the examined interpreter, tries what it is asked and writes each answer as one line of JSON.

Standard library only, and no syntax newer than Python 3.7. What it needs is imported first and kept under names of its
own, so that an import that replaces `json` or `os._exit` does not silence it. It never catches a crash; that is seen
by the process that watches it.
"""

from __future__ import annotations

__all__ = ["main"]

import sys

# This folder is no part of the examined environment. ``site`` has run, so only the script's own entry goes.
if sys.path and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]

import contextlib
import faulthandler
import importlib
import importlib.util
import inspect
import json
import linecache
import os
import signal
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

_dumps, _loads, _import, _signature = json.dumps, json.loads, importlib.import_module, inspect.signature
_open, _write, _read, _close, _stat, _leave, _pid = (
    os.open, os.write, os.read, os.close, os.fstat, os._exit, os.getpid,
)  # fmt: skip
_clock, _line = time.monotonic, linecache.getline
_OWN = _pid()
_CANNOT_ANSWER = 97
_MOST_FRAMES = 12
_FIRST_FRAMES = 3
_MOST_CAUSES = 8
_MOST_TEXT = 4000
_NOTHING = object()
_Enumeration = type(signal.Signals)


class Answers:
    """The file that answers go to; found again by its path when somebody has closed the descriptor."""

    def __init__(self, path: str, token: str) -> None:
        self._path = path
        self._token = token
        self._file = _open(path, os.O_WRONLY | os.O_APPEND)
        self._identity = self._who(self._file)

    def tell(self, answer: dict[str, Any]) -> None:
        """One line. A process that cannot answer any more ends with a code of its own; a fork never answers."""
        if _pid() != _OWN:
            _leave(0)
        line = f"\n{self._token} {_dumps(answer)}\n".encode("utf-8", "backslashreplace")
        try:
            if self._who(self._file) != self._identity:
                self._file = _open(self._path, os.O_WRONLY | os.O_APPEND)
            while line:
                line = line[_write(self._file, line) :]
        except BaseException:  # noqa: BLE001  nothing is left to say it with
            _leave(_CANNOT_ANSWER)

    @staticmethod
    def _who(descriptor: int) -> tuple[int, int] | None:
        """The file behind a descriptor: the number alone may by now be somebody else's."""
        try:
            found = _stat(descriptor)
        except OSError:
            return None
        return (found.st_dev, found.st_ino)


def main(questions: str, answers_path: str, token: str) -> None:
    """Try each request of the file in turn, but for those in a package or module whose import has failed.

    A failed import leaves half-made modules behind, so what fails after it is marked as tainted.
    """
    with contextlib.suppress(Exception):
        stacks = os.dup(2)
        faulthandler.enable(file=stacks)
        faulthandler.register(signal.SIGRTMAX - 2, file=stacks, all_threads=True)
    answers = Answers(answers_path, token)
    with open(questions, encoding="utf-8") as stream:  # noqa: PTH123  pathlib is loaded by few, and not for this
        requests = _loads(stream.read())
    failed: list[str] = []
    for number, request in requests:
        if any(f"{request['module']}.".startswith(f"{module}.") for module in failed):
            continue
        answers.tell({"begin": number})
        started = _clock()
        answer = _try(request, _teller(answers, number))
        _flush()
        answers.tell({"number": number, "seconds": _clock() - started, "tainted": bool(failed), **answer})
        if request["kind"] == "import" and answer["outcome"] != "worked":
            failed.append(request["module"])
    answers.tell({"done": True})
    if requests and requests[-1][1]["kind"] == "code":
        return  # how the user's own lines end is part of what was asked
    _leave(0)  # neither threads nor what is registered with atexit keeps this waiting


def _teller(answers: Answers, number: int) -> Callable[[Any], None]:
    return lambda part: answers.tell({"part": part, "of": number})


def _try(request: dict[str, Any], tell: Callable[[Any], None]) -> dict[str, Any]:
    try:
        if request["kind"] == "call":
            return {"outcome": "worked", "value": _called(request, tell)}
        observed = _DEEDS[request["kind"]](request)
    except SystemExit as fault:
        code = fault.code if isinstance(fault.code, int) else 0 if fault.code is None else 1
        if request["kind"] == "code" and code == 0:
            return {"outcome": "worked", "observed": None}
        return {"outcome": "exited", "exit_code": code, "fault": _fault(fault)}
    except MemoryError as fault:
        return {"outcome": "out_of_memory", "fault": _fault(fault)}
    except BaseException as fault:  # noqa: BLE001  whatever it is, it is the answer
        return {"outcome": "raised", "fault": _fault(fault)}
    return {"outcome": "worked", "observed": observed}


def _imported(request: dict[str, Any]) -> dict[str, Any]:
    found = _import(request["module"])
    return {"kind": "module", "name": request["module"], "file": _text(getattr(found, "__file__", None))}


def _named(request: dict[str, Any]) -> dict[str, Any]:
    return _described(_find(request), signature=True)


def _constructed(request: dict[str, Any]) -> dict[str, Any]:
    found = _find(request)
    call = getattr(found, request["method"]) if request["method"] else found
    return _described(type(call(**request["arguments"])), signature=False)


def _ran(request: dict[str, Any]) -> None:
    """As ``python -c CODE`` or ``python FILE`` has it: a ``__main__`` of its own, the same first entry of sys.path."""
    path = request["file"]
    main_module = types.ModuleType("__main__")
    sys.modules["__main__"] = main_module
    if path:
        main_module.__file__ = path
    sys.argv = [path or "-c"]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.abspath(path)) if path else "")  # noqa: PTH100, PTH120
    exec(compile(request["text"], path or "<string>", "exec"), main_module.__dict__)  # noqa: S102  that is what was asked


def _called(request: dict[str, Any], tell: Callable[[Any], None]) -> Any:  # noqa: ANN401
    """The value of a function of ours; what a generator yields is told at once, so that a later crash keeps it."""
    for name, folder in request["packages"].items():
        _lend(name, folder)
    value = getattr(_import(request["module"]), request["name"])(**request["arguments"])
    if isinstance(value, types.GeneratorType):
        while True:
            try:
                part = next(value)
            except StopIteration as end:
                value = end.value
                break
            tell(part)
    _dumps(value)  # what JSON does not have is a fault of the call, not of the telling
    return value


def _lend(name: str, folder: str) -> None:
    """Register one package of ours, so that it is importable here and its neighbours are not."""
    for known in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[known]
    file = os.path.join(folder, "__init__.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[folder])
    assert spec is not None  # noqa: S101  a file of that name has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_DEEDS = {"import": _imported, "name": _named, "construct": _constructed, "code": _ran}


def _find(request: dict[str, Any]) -> Any:  # noqa: ANN401
    scope: dict[str, Any] = {}
    exec(f"from {request['module']} import {request['name']} as found", scope)  # noqa: S102  the very statement
    return scope["found"]


def _described(found: Any, *, signature: bool) -> dict[str, Any]:  # noqa: ANN401
    is_class = isinstance(found, type)
    routine = is_class or isinstance(found, (types.FunctionType, types.BuiltinFunctionType, types.MethodType))
    return {
        "kind": "class" if is_class else "function" if routine else _text(type(found).__name__),
        "module": _text(getattr(found, "__module__", None)) if routine else None,
        "name": _text(getattr(found, "__qualname__", None)) if routine else None,
        "hollow": _is_hollow(found),
        "parameters": _parameters(found) if signature and routine else None,
    }


def _is_hollow(found: Any) -> bool:  # noqa: ANN401
    any_ = getattr(sys.modules.get("typing"), "Any", _NOTHING)
    if any(found is each for each in (None, any_, object, Ellipsis, NotImplemented)):
        return True
    if not isinstance(found, type) or found.__bases__ != (object,):
        return False
    return all(name.startswith("__") for name in vars(found)) and "__init__" not in vars(found)


def _parameters(found: Any) -> list[list[Any]] | None:  # noqa: ANN401
    if isinstance(found, _Enumeration):
        return None  # what is called there looks a member up, it constructs nothing
    try:
        parameters = list(_signature(found).parameters.values())
    except Exception:  # noqa: BLE001  whatever a metaclass or descriptor raises: Python knows no signature
        return None
    return [
        [each.name, each.kind.name, each.default is each.empty and not each.kind.name.startswith("VAR_")]
        for each in parameters
    ]


def _fault(fault: BaseException) -> dict[str, Any]:
    """The exception and what it goes back to, each bounded; a chain that bites its tail is cut."""
    chain: list[dict[str, Any]] = []
    seen = set()
    each: BaseException | None = fault
    while each is not None and id(each) not in seen and len(chain) < _MOST_CAUSES:
        seen.add(id(each))
        before = each.__cause__ or each.__context__
        told = each.__cause__ is not None or not each.__suppress_context__
        of_import = each if isinstance(each, ImportError) else None
        chain.append({
            "type": _type_name(each), "message": _text(each) or "", "about": _text(getattr(of_import, "name", None)),
            "path": _text(getattr(of_import, "path", None)), "told": told, **_frames(each),
        })  # fmt: skip
        each = before
    return {"chain": chain}


def _type_name(fault: BaseException) -> str:
    kind = type(fault)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _frames(fault: BaseException) -> dict[str, Any]:
    entries = [entry for entry in _entries(fault) if entry[0] not in _MACHINERY]
    omitted = max(0, len(entries) - _MOST_FRAMES - _FIRST_FRAMES)
    if omitted:
        entries = entries[:_FIRST_FRAMES] + entries[-_MOST_FRAMES:]
    frames = []
    for file, number, function in entries:
        text = ""
        with contextlib.suppress(Exception):
            text = _line(file, number).strip()[:200]
        frames.append([_text(file), number, _text(function), text])
    return {"frames": frames, "omitted": omitted}


_MACHINERY = {
    __file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>", importlib.__file__,
}  # fmt: skip


def _entries(fault: BaseException) -> Iterator[Any]:
    """File, line and function of each entry of a traceback; a syntax error's own place comes last."""
    entry = fault.__traceback__
    while entry is not None:
        code = entry.tb_frame.f_code
        yield (code.co_filename, entry.tb_lineno, code.co_name)
        entry = entry.tb_next
    if isinstance(fault, SyntaxError) and fault.filename and fault.lineno:
        yield (fault.filename, fault.lineno, "<module>")


def _text(value: Any) -> str | None:  # noqa: ANN401
    """The value in bounded words; a ``__str__`` that fails is no reason to fail."""
    if value is None:
        return None
    try:
        words = str(value)
    except BaseException:  # noqa: BLE001  it is the examined package's code
        words = f"<{type(value).__name__} that cannot be put in words>"
    return words if len(words) <= _MOST_TEXT else words[: _MOST_TEXT // 2] + " ... " + words[-_MOST_TEXT // 2 :]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
