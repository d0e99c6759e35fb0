"""A name that compiled or computed code may bind is never said to be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.codecheck.checking import check
from tests.doctor.conftest import FakeEnvironment

GETATTR = "def __getattr__(name):\n    if name == 'lazy':\n        import eng.lazy as found\n        return found\n    raise AttributeError(name)\n"
STAR = "from eng._C import *\n"
COMPUTED = "for each in dir(): globals()[each.lower()] = 1\n"


@pytest.mark.parametrize(("source", "codes"), [
    (GETATTR, ["MP804"]),
    (STAR + GETATTR, []),
    (STAR, []),
    (COMPUTED + GETATTR, []),
])  # fmt: skip
def test_only_what_nothing_can_bind_is_missing(
    source: str, codes: list[str], fake: FakeEnvironment, tmp_path: Path
) -> None:
    fake.install(
        "eng",
        files={"eng/__init__.py": source, "eng/lazy.py": "", "eng/_C.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"},
    )
    code = tmp_path / "x.py"
    code.write_text("import eng\neng.float32\n")
    report = check([code], packages=["eng"], site_packages=fake.site)
    assert [each.finding.code for each in report.findings] == codes


def test_what_is_no_import_is_never_certain_to_be_mended(fake: FakeEnvironment, tmp_path: Path) -> None:
    fake.install("eng", files={"eng/__init__.py": "", "eng/new.py": "class X: ...\n", "eng/old.py": ""})
    code = tmp_path / "x.py"
    code.write_text("import eng.old as old\nold.X\n")
    [found] = check([code], packages=["eng"], site_packages=fake.site).findings
    assert found.finding.code == "MP804"
    assert found.repair is None or not found.repair.certain
