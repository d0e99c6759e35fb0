"""What a requirement names: releases on the index, or the wheel whose path it is."""

from __future__ import annotations

__all__ = ["find_each"]

from pathlib import Path

from mixprec_doctor.index.releases import usual_index
from mixprec_doctor.index.wheelfile import is_wheel_path, release_of_file
from mixprec_doctor.records.release import Release


def find_each(requirement: str, *, offline: bool = False) -> tuple[Release, ...]:
    """The releases that one requirement names, oldest first; for the path of a wheel just that."""
    if is_wheel_path(requirement):
        return (release_of_file(Path(requirement)),)
    return usual_index(offline=offline).find(requirement)
