"""The hand-kept table of import names, derived again from the wheels on the index."""

from __future__ import annotations

import pytest

from mixprec_doctor.index import Index
from mixprec_doctor.resolving.importnames import DISTRIBUTIONS_OF

pytestmark = pytest.mark.network

ENTRIES = [(name, distribution) for name, each in DISTRIBUTIONS_OF.items() for distribution in each]


@pytest.fixture(scope="module")
def index() -> Index:
    return Index()


@pytest.mark.parametrize(("name", "distribution"), ENTRIES)
def test_the_newest_wheel_of_a_distribution_holds_the_import_name(index: Index, name: str, distribution: str) -> None:
    (release,) = index.find(distribution)
    path = name.replace(".", "/")
    with index.open(release) as wheel:
        tops = sorted({each.partition("/")[0] for each in wheel.archive.names()})
        held = [each for each in wheel.archive.names() if each.startswith((f"{path}/", f"{path}."))]
    assert any(each.endswith((".py", ".so", ".pyd")) for each in held), (release.version, tops)
