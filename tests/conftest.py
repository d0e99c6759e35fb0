"""What all tests share."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("hypothesis") is not None:
    from hypothesis import settings

    # No test asserts on time: a machine that is busy with something else fails none.
    settings.register_profile("mixprec", deadline=None)
    settings.load_profile("mixprec")
