"""Install commands: what they name, and the same line with something else in its place."""

from __future__ import annotations

import pytest

from mixprec_doctor.remedies.commands import read_install


@pytest.mark.parametrize("line, requirements", [
    ("python -m pip install 'torch==2.8.0' numpy", ("torch==2.8.0", "numpy")),
    ("/x/bin/pip install --upgrade \"outlines_core==0.1.26\"", ("outlines_core==0.1.26",)),
    ("pip3.11 install --index-url https://e.org/simple torch", ("torch",)),
    ("pip install vllm[audio]>=0.9", ("vllm[audio]>=0.9",)),
])  # fmt: skip
def test_requirements_are_the_words_that_name_distributions(line: str, requirements: tuple[str, ...]) -> None:
    install = read_install(line)
    assert install is not None
    assert install.requirements == requirements


@pytest.mark.parametrize("line", [
    "pip uninstall -y vllm", "pip install -e /src/vllm", "pip install ./vllm", "mixprec doctor", "rm -r '/x y'",
    "import sglang", "apt install gcc", "pip install 'unclosed", "pip install -r requirements.txt",
])  # fmt: skip
def test_other_lines_are_left_alone(line: str) -> None:
    assert read_install(line) is None


def test_a_requirement_is_replaced_and_another_left_out() -> None:
    install = read_install("/x/python -m pip install 'a==1' 'b==2' 'c>=3'")
    assert install is not None
    assert install.rewritten({"a==1": "a==1.1", "b==2": None}) == "/x/python -m pip install 'a==1.1' 'c>=3'"
    assert install.rewritten({"a==1": None, "b==2": None, "c>=3": None}) is None


def test_another_index_is_named_in_the_line() -> None:
    install = read_install("pip install 'torch==2.8.0+cpu'")
    assert install is not None
    expected = "pip install 'torch==2.8.0+cpu' --extra-index-url https://e.org/cpu"
    assert install.rewritten({}, extra_indexes=("https://e.org/cpu",)) == expected
