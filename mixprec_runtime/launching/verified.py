"""What is proved for a launch: by the setup that was handed over, by one kept from an earlier launch, or now."""

from __future__ import annotations

__all__ = ["KeptFrom", "Verified", "refuse_placeholders", "revalidate", "setup_place", "verify"]

import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.setup import Drift, Setup
from mixprec_doctor.records.workload import Workload, WorkloadLayer
from mixprec_doctor.setup import (
    InvalidSetup,
    concerning,
    drift_of,
    make_setup,
    read_setup,
    refresh,
    valid_choices,
    with_kept,
    write_setup,
)
from mixprec_runtime.planning.kernels import unserved

Progress = Callable[[int, int, object], None]


class KeptFrom(MixprecError):
    """Layers that nothing here can compute: they would load, and fail at the first request."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, choices: tuple[KernelChoice, ...]) -> None:
        super().__init__(choices)
        self.choices = choices

    def __str__(self) -> str:
        lines = ["no kernel serves these layers here; only a placeholder is left, which raises when it is used"]
        for choice in self.choices:
            named = choice.modules[0] if choice.modules else str(choice.shape)
            more = f" and {len(choice.modules) - 1} more" if len(choice.modules) > 1 else ""
            lines.append(f"  {choice.format.name} {choice.shape}: {named}{more}")
            lines += [f"    {each.candidate}: {'; '.join(each.reasons)}" for each in choice.verdicts if each.reasons]
        lines.append("  try: another source for these layers, or --allow-placeholders to load the rest all the same")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The choices that hold, the layers that must be proved yet, and why, against the setup that was looked at."""

    choices: tuple[KernelChoice, ...]
    missing: tuple[WorkloadLayer, ...]
    drifts: tuple[Drift, ...]
    setup: Setup | None
    file: Path | None
    seconds: float


def setup_place(*, engine: str, root: Path) -> Path:
    """Where all that was proved of an engine in this environment is kept between launches, of whatever mixture."""
    return root / "setups" / f"{engine}-{hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]}.json"


def revalidate(workload: Workload, *, engine: str, named: Path | None, kept: Path) -> Verified:
    """Compare what a setup says with what is here now. Raises InvalidSetup for a file that the user named.

    The setup kept from an earlier launch fills in what the named one does not prove.
    """
    began = time.perf_counter()
    files = [named] if named is not None else []
    files += [kept] if kept.is_file() else []
    found: Verified | None = None
    for file in files:
        try:
            setup = read_setup(file)
        except InvalidSetup:
            if file is named:
                raise
            continue  # it is made anew
        if file is named and (setup.engine, setup.ranks) != (engine, workload.ranks):
            raise InvalidSetup(
                file,
                f"is for {setup.engine} on {setup.ranks} ranks, wanted {engine} on {workload.ranks} ranks",
            )
        drifts = concerning(drift_of(setup.fingerprint, refresh(setup.fingerprint)), workload)
        asked = workload if found is None else replace(workload, layers=found.missing)
        held, missing = valid_choices(setup, drifts, asked)
        if found is None:
            found = Verified(choices=held, missing=missing, drifts=drifts, setup=setup, file=file, seconds=0.0)
        elif held:
            found = replace(found, choices=(*found.choices, *held), missing=missing)
        if not found.missing:
            break
    if found is None:
        found = Verified(choices=(), missing=workload.layers, drifts=(), setup=None, file=None, seconds=0.0)
    return replace(found, seconds=time.perf_counter() - began)


def verify(
    workload: Workload, verified: Verified, *, engine: str, kept: Path, progress: Progress | None = None
) -> Verified:
    """Prove what is missing in a child process, keep all of it for the next launch, and give it back."""
    from mixprec_doctor.environment import Target, find_engines, read_environment
    from mixprec_doctor.probe import usual_limits
    from mixprec_doctor.resolving.engine import open_engine
    from mixprec_runtime.verifying import prove

    began = time.perf_counter()
    environment = read_environment(Target())
    bare = InstalledEngine(engine=engine, version=None, distribution=None, root=None)  # one that PYTHONPATH brings
    installed = next((each for each in find_engines(environment) if each.engine == engine), bare)
    proved = prove(
        replace(workload, layers=verified.missing),
        python=sys.executable,
        engine=engine,
        limits=usual_limits(),
        progress=progress,
    )
    setup = make_setup(
        workload,
        (*verified.choices, *proved),
        environment=environment,
        engine=installed,
        resolutions=open_engine(environment, engine).roles() if installed.root is not None else (),
        seconds=time.perf_counter() - began,
    )
    write_setup(with_kept(setup, *_kept(kept)), kept)
    return replace(verified, choices=setup.choices, missing=(), setup=setup, seconds=setup.seconds)


def _kept(file: Path) -> tuple[Setup | None, tuple[Drift, ...]]:
    """What earlier launches kept, and what has changed since."""
    try:
        setup = read_setup(file)
    except InvalidSetup:
        return None, ()
    return setup, drift_of(setup.fingerprint, refresh(setup.fingerprint))


def refuse_placeholders(choices: tuple[KernelChoice, ...]) -> None:
    """Raises KeptFrom when a layer has nothing but a placeholder."""
    if left := unserved(choices):
        raise KeptFrom(left)
