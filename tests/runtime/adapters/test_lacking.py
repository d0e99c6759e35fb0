"""A vLLM that is too old is refused before anything is started, with what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_runtime.adapters.vllm.lacking import EngineLacks, engine_arguments, refuse_lacking

LOADERS = "vllm/model_executor/model_loader/__init__.py"
OLD = {
    "vllm/__init__.py": "",
    "vllm/model_executor/__init__.py": "",
    LOADERS: "def get_model_loader(load_config): ...\n",
    "vllm/engine/__init__.py": "",
    "vllm/engine/arg_utils.py": "class EngineArgs:\n    def __init__(self, model, seed=0, *, dtype='auto'): ...\n",
}
DOOR = "def register_model_loader(load_format): ...\n"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source of vLLM before 0.10.1, found before any that is installed."""
    for name, text in OLD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_vllm_without_a_door_for_loaders_is_refused_with_the_release_that_has_one(engine: Path) -> None:
    with pytest.raises(EngineLacks, match=r"wanted register_model_loader.*has none\n  try: vLLM 0\.10\.1") as caught:
        refuse_lacking()
    assert caught.value.exit_code == 1


def test_one_with_a_door_passes(engine: Path) -> None:
    (engine / LOADERS).write_text(OLD[LOADERS] + DOOR)
    refuse_lacking()


def test_engine_arguments_are_read_from_the_source(engine: Path) -> None:
    assert engine_arguments() == {"model", "seed", "dtype"}
