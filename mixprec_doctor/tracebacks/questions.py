"""Questions: what an exception is about, in the terms in which the doctor's findings speak."""

from __future__ import annotations

__all__ = ["Question", "question_of"]

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from mixprec_doctor.records.traceback import Raised


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to look for. ``subjects`` are import names, ``terms`` words that an explanation must mention."""

    subjects: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()  # import statements that would fail in the same way
    called: str | None = None  # the class or function that was used in a way that it does not know
    keywords: tuple[str, ...] = ()  # those that it did not take
    codes: tuple[str, ...] = ()  # beginnings of codes of findings that are about such things
    between: bool = False  # one package complains of another: an explanation is about both


def question_of(raised: Raised) -> Question | None:
    """What an exception asks; None where its words are none of those known."""
    for pattern, make in _QUESTIONS:
        if found := pattern.search(str(raised)[:_MOST]):
            return make(found)
    return None


_MOST = 8000


def module_of_library(path: str) -> str | None:
    """``vllm._C`` of ``/env/lib/python3.11/site-packages/vllm/_C.abi3.so``; None outside of packages."""
    parts = PurePosixPath(path).parts
    marks = [index for index, part in enumerate(parts) if part in ("site-packages", "dist-packages")]
    if not marks or marks[-1] + 1 >= len(parts):
        return None
    inside = parts[marks[-1] + 1 :]
    return ".".join((*inside[:-1], inside[-1].partition(".")[0]))


def _missing_module(found: re.Match[str]) -> Question:
    name = found["module"]
    return Question(subjects=(name,), terms=(name,), imports=(f"import {name}",))


def _missing_name(found: re.Match[str]) -> Question:
    module, name = found["module"], found["name"]
    line = () if name.startswith("__") else (f"from {module} import {name}",)
    return Question(subjects=(f"{module}.{name}", module), terms=(name,), imports=line)


def _circle(found: re.Match[str]) -> Question:
    module = found["module"]
    return Question(subjects=(module,), terms=("circular", "circle", "cycle"), imports=(f"import {module}",))


def _lazy_transformers(found: re.Match[str]) -> Question:
    name = found["name"]
    return Question(subjects=("transformers",), terms=(name,), imports=(f"from transformers import {name}",))


def _unknown_keyword(found: re.Match[str]) -> Question:
    return Question(terms=(found["name"],), called=_callee(found["callee"]), keywords=(found["name"],))


def _missing_arguments(found: re.Match[str]) -> Question:
    names = tuple(re.findall(r"'(\w+)'", found["names"]))
    return Question(terms=names, called=_callee(found["callee"]))


def _too_many(found: re.Match[str]) -> Question:
    return Question(called=_callee(found["callee"]), terms=(_callee(found["callee"]),))


def _standin(found: re.Match[str]) -> Question:
    """A class without what its kind has: often one that stands in for another."""
    return Question(terms=(found["callee"],), called=found["callee"])


def _callee(text: str) -> str:
    """``Fp8Config`` of ``Fp8Config.__init__``."""
    return text.removesuffix(".__init__").rpartition(".")[2]


def _library(found: re.Match[str]) -> Question:
    groups = {name: value for name, value in found.groupdict().items() if value}
    module = module_of_library(groups.get("file", ""))
    terms = tuple(groups[name] for name in ("symbol", "version", "needed") if name in groups)
    if not terms and "file" in groups:
        terms = (PurePosixPath(groups["file"]).name,)
    imports = (f"import {module}",) if module and re.fullmatch(r"[A-Za-z_][\w.]*", module) else ()
    return Question(subjects=(module,) if module else (), terms=terms, imports=imports, codes=("MP4",))


def _driver_library(found: re.Match[str]) -> Question:
    return Question(terms=("driver", "GPU"), codes=("MP5",), subjects=("torch",))


def _operator(found: re.Match[str]) -> Question:
    space = found["space"]
    return Question(subjects=(space,), terms=(space,), codes=("MP4",), imports=(f"import {space}",))


def _engine_operator(found: re.Match[str]) -> Question:
    """``torch.ops._C`` is filled by an engine's library of that name."""
    space = found["space"]
    modules = {"_C": ("vllm._C",), "_moe_C": ("vllm._moe_C",), "sgl_kernel": ("sgl_kernel",)}.get(space, (space,))
    return Question(
        subjects=modules, terms=modules, codes=("MP4",), imports=tuple(f"import {each}" for each in modules)
    )


def _wanted_package(found: re.Match[str]) -> Question:
    """Said of packages that are not there, and just as often of ones that are: what is between the two is asked."""
    return Question(subjects=(found["module"],), between=True)


def _registered_twice(found: re.Match[str]) -> Question:
    return Question(subjects=("transformers", "vllm"), terms=(found["name"], "transformers"), imports=())


def _distribution(found: re.Match[str]) -> Question:
    name = found["name"]
    return Question(subjects=(name.replace("-", "_"),), terms=(name,), codes=("MP1",))


def _gpu(found: re.Match[str]) -> Question:
    return Question(subjects=("torch",), terms=(), codes=("MP5",))


def _numpy(found: re.Match[str]) -> Question:
    return Question(subjects=("numpy",), terms=("numpy",), codes=("MP4", "MP1"))


_NAME = r"[A-Za-z_][\w.]{0,200}"
_CALLEE = r"(?P<callee>[\w.<>]{1,200})\(\)"
_SO = r"(?P<file>[^\s:'\"(]{0,600}\.so[\w.]{0,40})"
_GPU = (
    "CUDA driver version is insufficient", "NVIDIA driver on your system is too old", "Found no NVIDIA driver",
    "no kernel image is available", "not compiled with CUDA enabled", "CUDA error: invalid device function",
    "is not compatible with the current PyTorch installation", "PTX was compiled with an unsupported toolchain",
    "forward compatibility was attempted", "No CUDA GPUs are available", "Failed to infer device type",
)  # fmt: skip
_NUMPY = (
    r"numpy\.dtype size changed",
    r"compiled using NumPy 1\.x cannot be run",
    r"numpy\.core\.multiarray failed to import",
)
_LOADING = "(?:invalid ELF|wrong ELF|cannot open|file too short|undefined|failed to map|cannot enable)"
_INSTALL = r"(?:[Pp]lease|[Tt]ry:?|need to) (?:run )?[`'\"]?(?:python -m )?(?:pip )?install (?:-U |--upgrade )?"
# In order: the first that fits is taken.
_QUESTIONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Question]], ...] = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (rf"partially initialized module '(?P<module>{_NAME})'", _circle),
        (rf"cannot import name '(?P<name>\w+)' from '(?P<module>{_NAME})'", _missing_name),
        (rf"[Mm]odule '?(?P<module>{_NAME}?)'? has no attribute '(?P<name>\w+)'", _missing_name),
        (rf"No module named '?(?P<module>{_NAME})'?", _missing_module),
        (r"Could not import module '(?P<name>\w+)'\. Are this object's requirements", _lazy_transformers),
        (rf"{_CALLEE} got an unexpected keyword argument '(?P<name>\w+)'", _unknown_keyword),
        (rf"{_CALLEE} got multiple values for (?:keyword )?argument '(?P<name>\w+)'", _unknown_keyword),
        (rf"{_CALLEE} missing \d+ required (?:positional|keyword-only) arguments?: (?P<names>.+)", _missing_arguments),
        (rf"{_CALLEE} takes (?:from \d+ to )?\d+ positional arguments? but", _too_many),
        (r"type object '(?P<callee>\w{1,200})' has no attribute '\w+'", _standin),
        (rf"{_SO}: undefined symbol: (?P<symbol>\w{{1,600}})", _library),
        (r"version [`'](?P<version>\w{1,40}_[\d.]{1,20})' not found \(required by (?P<file>[^)\n]{1,600})\)", _library),
        (r"libcuda\.so\.1: cannot open shared object file", _driver_library),
        (rf"(?P<needed>lib[\w.+-]{{1,120}}\.so[\w.]{{0,40}}): {_LOADING}", _library),
        (rf"{_SO}: {_LOADING}", _library),
        (r"[Oo]perator (?P<space>\w{1,80})::\w{1,120} does not exist", _operator),
        (r"'_OpNamespace' '(?P<space>\w{1,80})' object has no attribute", _engine_operator),
        (rf"requires some operators from (?P<module>{_NAME}?)\.?(?:\s|$)", _wanted_package),
        (r"'(?P<name>[\w-]{1,80})' is already used by a Transformers (?:config|model)", _registered_twice),
        (r"PackageNotFoundError: (?:No package metadata was found for )?(?P<name>[\w.-]{1,120})", _distribution),
        (r"(?P<name>[A-Za-z][\w.-]{0,80})[<>=!~]=[^\n]{1,80} is required for a normal functioning", _distribution),
        ("|".join(_GPU), _gpu),
        ("|".join(_NUMPY), _numpy),
        (rf"{_INSTALL}(?P<module>{_NAME}?)(?:[\s`'\"=<>~.]|$)", _wanted_package),
    )
)
