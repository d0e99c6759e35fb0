"""What ``launch`` and ``demo`` do before the start: kernels of a setup, or proved now, told on standard error."""

from __future__ import annotations

__all__ = ["with_kernels"]

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mixprec_doctor.records.workload import Workload
    from mixprec_runtime.records.mix import Mix
    from mixprec_runtime.records.plan import Plan

EMBEDDED = "torch"


def with_kernels(
    plan: Plan,
    wish: Mix,
    *,
    engine: str,
    setup: Path | None = None,
    prove: bool = True,
    allow_placeholders: bool = False,
) -> Plan:
    """The plan with the kernels that a setup proves, or else that are proved now unless ``prove`` is false.

    The embedded engine has portable kernels alone, and what they take is known: nothing of them is proved. Raises
    InvalidSetup for a setup that the user named, and KeptFrom for layers that nothing here can compute.
    """
    from mixprec_doctor.cli.progress import probe_progress
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.verified import refuse_placeholders, revalidate, setup_place, verify
    from mixprec_runtime.planning.kernels import with_choices
    from mixprec_runtime.planning.workload import workload_of
    from mixprec_runtime.reports.setup_text import proved_text, revalidated_text

    workload = workload_of(plan, wish)
    if engine == EMBEDDED:
        return _embedded(plan, workload, setup=setup, allow_placeholders=allow_placeholders)
    kept = setup_place(engine=engine, root=cache_folder())
    verified = revalidate(workload, engine=engine, named=setup, kept=kept)
    if prove or verified.setup is not None:
        click.echo(revalidated_text(verified), err=True, nl=False)
    if verified.missing and prove:
        with probe_progress() as progress:
            verified = verify(workload, verified, engine=engine, kept=kept, progress=progress)
        click.echo(proved_text(verified), err=True, nl=False)
    if not allow_placeholders:
        refuse_placeholders(verified.choices)
    return with_choices(plan, verified.choices)


def _embedded(plan: Plan, workload: Workload, *, setup: Path | None, allow_placeholders: bool) -> Plan:
    from mixprec_doctor.setup import InvalidSetup
    from mixprec_runtime.launching.verified import refuse_placeholders
    from mixprec_runtime.planning.kernels import with_choices
    from mixprec_runtime.planning.portable import portable_choices
    from mixprec_runtime.reports.setup_text import portable_text

    if setup is not None:
        raise InvalidSetup(setup, f"is for another engine: {EMBEDDED} takes none, for nothing has to be proved")
    choices = portable_choices(workload)
    click.echo(portable_text(choices), err=True, nl=False)
    if not allow_placeholders:
        refuse_placeholders(choices)
    return with_choices(plan, choices)
