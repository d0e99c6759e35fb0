"""What other packages add to the doctor, found by their entry points and imported only when it is asked for."""

from __future__ import annotations

__all__ = ["PROVERS", "WORKLOADS", "NoRuntime", "find_prover", "read_workload", "standard_workload"]

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.workload import Workload

WORKLOADS = "mixprec.workloads"
"""``mix``: from the path of a mix file to the Workload that it describes; ``standard``: a layer of each format."""
PROVERS = "mixprec.provers"
"""Entry points by engine: a function that tries kernels in a process of their own and gives KernelChoices back."""

Prover = Callable[..., tuple[KernelChoice, ...]]


class NoRuntime(MixprecError):
    """What serves mixtures is not installed, or was installed before it had this."""

    def __init__(self, group: str, name: str) -> None:
        super().__init__(group, name)
        self.group = group
        self.name = name

    def __str__(self) -> str:
        return (
            f"wanted an entry point {self.name!r} in {self.group}, found none: mixprec is here without its runtime\n"
            "  try: python -m pip install --force-reinstall --no-deps mixprec, or -e . once more in a checkout"
        )


def read_workload(mix: Path) -> Workload:
    """What a mix file asks of an engine. Raises NoRuntime, and whatever is wrong with the file."""
    workload = _load(WORKLOADS, "mix")(mix)
    assert isinstance(workload, Workload)  # noqa: S101  an entry point is code that was installed to do this
    return workload


def standard_workload() -> Workload:
    """One generated layer of each format, where no mix file says what is to be served. Raises NoRuntime."""
    workload = _load(WORKLOADS, "standard")()
    assert isinstance(workload, Workload)  # noqa: S101
    return workload


def find_prover(engine: str) -> Prover | None:
    """What tries the kernels of an engine; None where nothing can."""
    try:
        found: Prover = _load(PROVERS, engine)
    except NoRuntime:
        return None
    return found


def _load(group: str, name: str) -> Any:  # noqa: ANN401
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    raise NoRuntime(group, name)
