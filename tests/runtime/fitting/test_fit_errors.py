"""What a fit cannot do is said in words that name the cure, and survives the way between processes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.fitting import errors
from mixprec_runtime.fitting.errors import (
    NoMixtureFits,
    NothingServes,
    SolverAbsent,
    SolverGaveUp,
    UntimedOptions,
    refuse_absent,
)


def test_without_scipy_the_extra_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == "scipy" else object())
    with pytest.raises(SolverAbsent, match=r"not installed: scipy\n  try: python -m pip install 'mixprec\[fit\]'"):
        refuse_absent()
    monkeypatch.undo()
    refuse_absent()


@pytest.mark.parametrize(
    "error",
    [
        NoMixtureFits(90e6, 98e6), NoMixtureFits(1e-4, 2e-4, "seconds", "for a row"), NoMixtureFits(0.1, 0.2, "loss", "x"),
        NothingServes(("a",), ("why",)), UntimedOptions([("a", "int8")] * 9), SolverGaveUp("120 s were over", "nothing"),
        SolverAbsent(["scipy"]),
    ],
)  # fmt: skip
def test_errors_say_what_to_try_and_can_be_pickled(error: MixprecError) -> None:
    assert "\n  try: " in str(error)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again)) == (type(error), str(error))


def test_missing_amounts_are_told_in_the_unit_of_the_limit() -> None:
    assert "wanted at most 90.0 MB for the whole model, the least there is 98.0 MB, 8.0 MB more" in str(
        NoMixtureFits(90e6, 98e6)
    )
    assert "100.0 µs for a row, the least there is 200.0 µs" in str(NoMixtureFits(1e-4, 2e-4, "seconds", "for a row"))
    assert "and 4 more" in str(UntimedOptions([("a", "int8")] * 9))


def test_a_budget_of_bytes_needs_no_scipy() -> None:
    """It takes a second to import; merging blocks needs numpy alone."""
    code = (
        "import sys, mixprec_runtime.fitting.solver, mixprec_runtime.fitting.front; assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
