"""What an exception is about, and which lines of Python stand for what failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.records.traceback import Frame, Raised
from mixprec_doctor.tracebacks import question_of
from mixprec_doctor.tracebacks.asking import codes_to_ask, module_of_file

SITE = "/env/lib/python3.11/site-packages"


def raised(text: str, *frames: Frame) -> Raised:
    kind, _, message = text.partition(": ")
    return Raised(type=kind, message=message, frames=frames)


def module(path: str, code: str | None = None, function: str = "<module>") -> Frame:
    return Frame(file=path if path.startswith("/") else f"{SITE}/{path}", line=1, function=function, code=code)


@pytest.mark.parametrize("text, subject, terms", [
    ("ModuleNotFoundError: No module named 'vllm.gone'", "vllm.gone", {"vllm.gone"}),
    ("ModuleNotFoundError: No module named 'x.y'; 'x' is not a package", "x.y", {"x.y"}),
    ("ImportError: cannot import name 'a' from 'b.c' (/x/b/c.py)", "b.c.a", {"a"}),
    ("ImportError: cannot import name 'a' from partially initialized module 'b' (most likely due to a circular import)", "b", {"circular", "circle", "cycle"}),
    ("AttributeError: module 'torch' has no attribute 'float8_e8m0fnu'", "torch.float8_e8m0fnu", {"float8_e8m0fnu"}),
    (f"ImportError: {SITE}/vllm/_C.abi3.so: undefined symbol: _ZN3c104cuda9", "vllm._C", {"_ZN3c104cuda9"}),
    (f"ImportError: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by {SITE}/vllm/_C.abi3.so)", "vllm._C", {"GLIBCXX_3.4.32"}),
    ("RuntimeError: operator torchvision::nms does not exist", "torchvision", {"torchvision"}),
    ("AttributeError: '_OpNamespace' '_C' object has no attribute 'rms_norm'", "vllm._C", {"vllm._C"}),
    ("ModuleNotFoundError: Could not import module 'LlamaConfig'. Are this object's requirements defined correctly?", "transformers", {"LlamaConfig"}),
    ("importlib.metadata.PackageNotFoundError: No package metadata was found for vllm", "vllm", {"vllm"}),
    ("ValueError: 'aimv2' is already used by a Transformers config, pick another name.", "transformers", {"aimv2", "transformers"}),
])  # fmt: skip
def test_subjects_and_terms_are_read_from_the_message(text: str, subject: str, terms: set[str]) -> None:
    question = question_of(raised(text))
    assert question is not None
    assert subject in question.subjects
    assert set(question.terms) == terms


@pytest.mark.parametrize("text, needed", [
    ("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory", "libcudart.so.12"),
    ("OSError: libtorch_cuda.so: cannot open shared object file: No such file or directory", "libtorch_cuda.so"),
])  # fmt: skip
def test_a_library_that_is_not_found_is_a_term(text: str, needed: str) -> None:
    question = question_of(raised(text))
    assert question is not None
    assert question.terms == (needed,)
    assert question.codes == ("MP4",)


@pytest.mark.parametrize("text, called, keywords", [
    ("TypeError: Fp8Config.__init__() got an unexpected keyword argument 'weight_bits'", "Fp8Config", ("weight_bits",)),
    ("TypeError: __init__() got an unexpected keyword argument 'x'", "__init__", ("x",)),
    ("TypeError: GPTQConfig.__init__() missing 2 required positional arguments: 'desc_act' and 'lm_head_quantized'", "GPTQConfig", ()),
])  # fmt: skip
def test_a_refused_call_names_what_was_called(text: str, called: str, keywords: tuple[str, ...]) -> None:
    question = question_of(raised(text))
    assert question is not None
    assert (question.called, question.keywords) == (called, keywords)


@pytest.mark.parametrize(
    "text", ["AssertionError: ", "KeyError: 'x'", "RuntimeError: it broke", "ValueError: bad value"]
)
def test_other_exceptions_ask_nothing(text: str) -> None:
    assert question_of(raised(text)) is None


def test_the_outermost_of_modules_that_import_one_another_is_asked_first() -> None:
    fault = raised(
        "ModuleNotFoundError: No module named 'zmq'",
        module("/srv/job.py", "engine = Engine()", function="main"),
        module("sglang/utils.py", "module = self._load()", function="__call__"),
        module("/usr/lib/python3.11/importlib/__init__.py", "return _gcd_import(name)", function="import_module"),
        Frame(file="<frozen importlib._bootstrap>", line=1204, function="_gcd_import"),
        module("sglang/srt/entrypoints/engine.py", "import zmq"),
    )
    assert codes_to_ask(fault, question_of(fault)) == ("import sglang.srt.entrypoints.engine", "import zmq")


def test_the_statement_of_the_user_is_asked_where_it_is_shown() -> None:
    fault = raised(
        "ModuleNotFoundError: No module named 'torch'",
        module("/srv/job.py", "from vllm import LLM"),
        module("vllm/__init__.py", "import torch"),
    )
    assert codes_to_ask(fault, question_of(fault))[0] == "from vllm import LLM"


def test_dots_of_a_relative_import_are_resolved() -> None:
    fault = raised(
        "ImportError: cannot import name 'x' from 'a.b'", module("a/c/d.py", "from ..b import x", function="f")
    )
    assert codes_to_ask(fault, question_of(fault)) == ("from a.b import x",)


def test_a_failing_call_takes_the_imports_of_its_file_along(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        "import os\nfrom vllm.fp8 import Fp8Config\n\n\ndef main():\n    config = Fp8Config(\n        bits=8,\n    )\n"
    )
    fault = raised(
        "TypeError: Fp8Config.__init__() got an unexpected keyword argument 'bits'",
        Frame(file=str(job), line=6, function="main", code="config = Fp8Config("),
    )
    assert codes_to_ask(fault, question_of(fault)) == ("from vllm.fp8 import Fp8Config\nFp8Config(bits=8)",)


def test_a_file_that_has_changed_since_is_not_taken_for_the_one_that_failed(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text("from vllm import other\nother(1)\n")
    fault = raised("TypeError: f() got an unexpected keyword argument 'a'", Frame(file=str(job), line=2, code="f(a=1)"))
    assert codes_to_ask(fault, question_of(fault)) == ()


@pytest.mark.parametrize("file, name", [
    (f"{SITE}/vllm/__init__.py", "vllm"),
    (f"{SITE}/sglang/srt/utils.py", "sglang.srt.utils"),
    ("/usr/lib/python3/dist-packages/numpy/core.py", "numpy.core"),
    ("/srv/job.py", None),
    (f"{SITE}/my-script.py", None),
])  # fmt: skip
def test_a_file_of_a_package_is_a_module(file: str, name: str | None) -> None:
    assert module_of_file(file) == name
