"""Kernel choices of an examination: what reading says of each candidate, and what trying them showed."""

from __future__ import annotations

__all__ = ["choose_kernels"]

from collections.abc import Callable

from mixprec_doctor.checks import Patient
from mixprec_doctor.extensions import find_prover, standard_workload
from mixprec_doctor.kernels import choose_all
from mixprec_doctor.probe import usual_limits
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.probe import Kind, ProbeRequest
from mixprec_doctor.records.workload import Workload

Progress = Callable[[int, int, ProbeRequest], None]


def choose_kernels(
    patient: Patient,
    workload: Workload | None,
    *,
    verify: bool,
    limit: float,
    progress: Progress | None = None,
) -> tuple[KernelChoice, ...]:
    """For each engine there, what serves each kind of layer of the workload; with ``verify`` as trials showed.

    Without a workload one generated layer of each format is tried. An engine whose package cannot be imported, by what
    was tried before, is left out of the trials.
    """
    choices: list[KernelChoice] = []
    for engine in patient.engines:
        if engine.root is None:
            continue
        asked = workload or standard_workload()
        read = choose_all(asked, patient.environment, engine=engine, machine=patient.machine)
        choices += _proved(patient, engine, asked, read, limit=limit, progress=progress) if verify else read
    return tuple(choices)


def _proved(
    patient: Patient,
    engine: InstalledEngine,
    workload: Workload,
    read: tuple[KernelChoice, ...],
    *,
    limit: float,
    progress: Progress | None,
) -> tuple[KernelChoice, ...]:
    prove = find_prover(engine.engine)
    python = patient.environment.interpreter.executable
    if prove is None or python is None or _cannot_be_imported(patient, engine):
        return read
    return prove(
        workload, python=python, engine=engine.engine, limits=usual_limits(limit), progress=progress, choices=read
    )


def _cannot_be_imported(patient: Patient, engine: InstalledEngine) -> bool:
    return any(
        probe.failed and probe.request.kind is Kind.IMPORT and probe.request.module == engine.engine
        for probe in patient.probes
    )
