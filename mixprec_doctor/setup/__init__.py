"""Setup: the file that carries what was verified to the launcher, and what has changed since it was written."""

__all__ = [
    "InvalidSetup",
    "concerning",
    "drift_of",
    "make_setup",
    "read_setup",
    "refresh",
    "take_fingerprint",
    "valid_choices",
    "with_kept",
    "write_setup",
]

from mixprec_doctor.setup.drift import concerning, drift_of, valid_choices, with_kept
from mixprec_doctor.setup.file import InvalidSetup, read_setup, write_setup
from mixprec_doctor.setup.fingerprint import refresh, take_fingerprint
from mixprec_doctor.setup.making import make_setup
