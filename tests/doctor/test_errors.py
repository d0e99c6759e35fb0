"""Errors raised on purpose cross processes as their fields, and say what was wanted, found and can be tried."""

from __future__ import annotations

import pickle

import pytest

from mixprec_doctor.checks import UnknownCode
from mixprec_doctor.cli.options import CannotWrite
from mixprec_doctor.cli.resolve import NotInstalled
from mixprec_doctor.environment.target import NoSuchTarget, UnreadableEnvironment
from mixprec_doctor.errors import MixprecError
from mixprec_doctor.reports import UnknownFormat
from mixprec_doctor.resolving.layout import UnknownEngine
from mixprec_doctor.source.module import UnparsableModule

ERRORS: tuple[MixprecError, ...] = (
    UnknownCode("MP999", ["MP101"]),
    CannotWrite("/no/file", "no such folder"),
    NotInstalled("/env", "vllm"),
    NoSuchTarget("/no", "no such folder"),
    UnreadableEnvironment("/env/bin/python", "exits with code 7"),
    UnknownFormat("pdf"),
    UnknownEngine("triton", ("vllm", "sglang")),
    UnparsableModule("vllm.config", "line 3: invalid syntax"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_its_fields_and_has_words(error: MixprecError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  pickled on the line
    assert type(again) is type(error)
    assert (str(again), again.exit_code) == (str(error), error.exit_code)
    assert str(error.args[0]) in str(error)
