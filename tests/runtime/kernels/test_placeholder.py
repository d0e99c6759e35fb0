"""A placeholder can be made, shown, copied and pickled; only using it raises, and says for which layer and why."""

from __future__ import annotations

import copy
import pickle

import pytest

from mixprec_runtime.kernels.placeholder import Placeholder, PlaceholderUsed

PLACEHOLDER = Placeholder("model.layers.0.mlp.down_proj", "nvfp4", ("MarlinNvFp4: needs a GPU",))


def test_only_using_it_raises() -> None:
    with pytest.raises(PlaceholderUsed) as raised:
        PLACEHOLDER("anything", rows=1)
    words = str(raised.value)
    assert "model.layers.0.mlp.down_proj" in words
    assert "nvfp4" in words
    assert "MarlinNvFp4: needs a GPU" in words
    assert "try:" in words


def test_it_is_shown_copied_and_pickled() -> None:
    assert "down_proj" in repr(PLACEHOLDER)
    assert copy.deepcopy(PLACEHOLDER) == pickle.loads(pickle.dumps(PLACEHOLDER)) == PLACEHOLDER  # noqa: S301


def test_its_error_goes_through_a_pickle() -> None:
    error = PlaceholderUsed("a", "b", ("c",))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
