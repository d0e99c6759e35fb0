"""Order: the import that, put before some lines, keeps them out of a circle."""

from __future__ import annotations

__all__ = ["first_import_that_helps"]

from mixprec_doctor.rehearsal import Rehearsal, Stop
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import parse_module
from mixprec_doctor.usercode.code import MAIN, UserCode
from mixprec_doctor.usercode.libraries import unloadable_in

_MOST = 6  # modules tried


def first_import_that_helps(code: UserCode, stop: Stop) -> str | None:
    """The module on the way into a circle whose import, made first, lets the code's own imports run through.

    Those nearest to the end of the way are tried first: they are the ones that must come first.
    """
    way = list(dict.fromkeys(step.module for step in stop.trail if step.module != MAIN))
    for module in reversed(way[-_MOST:]):
        source = b"import " + module.encode() + b"\n" + code.parsed.source
        parsed = parse_module(MAIN, source, is_package=False, whole=True)
        again = Rehearsal(
            Exports(code.exports.sources), code.environment, unloadable=unloadable_in(code.environment)
        ).run(parsed)
        if again is None:
            return module
    return None
