"""A role that has a better and a lesser name is found under the better one, wherever that has gone."""

from __future__ import annotations

import pytest

from mixprec_doctor.records.role import Role
from tests.doctor.conftest import FakeEnvironment

BASE = "class EngineArgs:\n    def __init__(self, model: str): ...\n"
MOVED = "from vllm.engine.arg_utils import EngineArgs\nclass AsyncEngineArgs(EngineArgs): ...\n"


@pytest.mark.parametrize(
    "files, place",
    [
        ({"vllm/plugins/moved.py": MOVED}, "vllm.plugins.moved"),
        (
            {
                "vllm/relocated/moved.py": MOVED,
                "vllm/relocated/__init__.py": "",
                "vllm/entrypoints/openai/api_server.py": "from vllm.relocated.moved import AsyncEngineArgs\n",
            },
            "vllm.relocated.moved",
        ),
    ],
    ids=["in-scope", "imported-by-a-module-in-scope"],
)
def test_the_better_name_is_found_where_it_was_moved(fake: FakeEnvironment, files: dict[str, str], place: str) -> None:
    fake.install("vllm", files={"vllm/__init__.py": "", "vllm/engine/arg_utils.py": BASE, **files})
    found = fake.engine("vllm").role(Role.SERVER_ARGS)
    assert (found.module, found.name) == (place, "AsyncEngineArgs")
    assert found.tried[0].path == "vllm.engine.arg_utils.AsyncEngineArgs"


def test_the_lesser_name_counts_where_the_better_one_is_nowhere(fake: FakeEnvironment) -> None:
    fake.install("vllm", files={"vllm/__init__.py": "", "vllm/engine/arg_utils.py": BASE})
    found = fake.engine("vllm").role(Role.SERVER_ARGS)
    assert (found.module, found.name) == ("vllm.engine.arg_utils", "EngineArgs")
