"""User code: lines that somebody wants to run in an environment, read and never run."""

__all__ = ["UnreadableCode", "UserCode", "read_code"]

from mixprec_doctor.usercode.code import UnreadableCode, UserCode, read_code
