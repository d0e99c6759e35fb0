"""Making a setup of what an examination or a launch has proved."""

from __future__ import annotations

__all__ = ["make_setup"]

from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.finding import Finding
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.records.setup import Setup
from mixprec_doctor.records.workload import Workload
from mixprec_doctor.setup.fingerprint import checkpoint_files, take_fingerprint


def make_setup(
    workload: Workload,
    choices: Iterable[KernelChoice],
    *,
    environment: Environment,
    engine: InstalledEngine,
    resolutions: Iterable[Resolution] = (),
    findings: Iterable[Finding] = (),
    seconds: float,
) -> Setup:
    """The setup of this moment: what was proved, and the fingerprint of all that it was true of."""
    files = [workload.name] if Path(workload.name).is_file() else []
    for layer in workload.layers:
        files += checkpoint_files(layer.folder, [tensor.file for part in layer.parts for tensor in part])
    return Setup(
        made=datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        engine=engine.engine,
        version=engine.version,
        workload=workload.name,
        ranks=workload.ranks,
        fingerprint=take_fingerprint(environment, engine=engine.distribution, files=dict.fromkeys(files)),
        resolutions=tuple(each for each in resolutions if each.engine == engine.engine),
        choices=tuple(each for each in choices if each.engine == engine.engine),
        findings=tuple(findings),
        seconds=seconds,
    )
