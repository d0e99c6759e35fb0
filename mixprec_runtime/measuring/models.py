"""What is measured of a mix: the mixture, and the same model from each of its checkpoints alone, as run folders."""

from __future__ import annotations

__all__ = ["Candidate", "candidates"]

from dataclasses import dataclass, replace
from pathlib import Path

from mixprec_doctor.records.finding import Severity
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.uniform import uniform_models
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.runfolder import write_run_folder

MIXTURE = "mixture"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that could be measured; ``fault`` says why it cannot, where it has no folder."""

    name: str
    bytes: int
    folder: Path | None
    fault: str | None = None


def candidates(mix: Mix, plan: Plan, *, root: Path) -> tuple[Candidate, ...]:
    """The mixture first, then each source that has all linear layers; their run folders are written below ``root``.

    Raises RunFolderError for a folder that cannot be written.
    """
    found = [Candidate(name=MIXTURE, bytes=plan.totals.bytes, folder=write_run_folder(plan, root=root))]
    for each in uniform_models(mix, plan):
        size = sum(layer.nbytes for layer in each.layers.values())
        if each.kept:
            kept = f"has not all linear layers: {each.kept[0]}" + (" and others" if len(each.kept) > 1 else "")
            found.append(Candidate(name=each.source, bytes=size, folder=None, fault=kept))
            continue
        alone = make_plan(replace(mix, default=each.source, rules=(), ignore=()), tensor_parallel_size=1)
        if not alone.valid:
            first = next(one for one in alone.findings if one.severity is Severity.ERROR)
            found.append(Candidate(name=each.source, bytes=size, folder=None, fault=f"{first.code} {first.summary}"))
            continue
        found.append(Candidate(name=each.source, bytes=alone.totals.bytes, folder=write_run_folder(alone, root=root)))
    return tuple(found)
