"""MP301: a class that mixprec would construct requires an argument that it has nothing for."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Binding, Resolution, Status
from mixprec_doctor.records.signature import signature


def _find(patient: Patient) -> Iterator[Finding]:
    for engine, resolutions in patient.roles.items():
        for each in resolutions:
            if each.status is Status.FOUND and each.binding is not None and each.binding.unfilled:
                yield _finding(engine, each, each.binding)


def _finding(engine: str, role: Resolution, binding: Binding) -> Finding:
    names = ", ".join(binding.unfilled)
    door = f"{role.name}.from_config" if binding.via == "from_config" else f"the constructor of {role.name}"
    taken = [f"{name} takes {meaning}" for name, meaning in binding.keywords.items()]
    return Finding(
        code="MP301",
        severity=Severity.WARNING,
        engine=engine,
        summary=f"{role.role.value}: nothing to give for {names}",
        cause=(
            f"{door} requires {names} in this release of {engine}, and neither a checkpoint's quantization_config "
            "nor the layer's config says what that should be"
        ),
        evidence=(
            signature(f"{role.module}.{role.name}", role.parameters),
            *([f"known: {', '.join(taken)}"] if taken else []),
        ),
        remedy=Remedy(
            text=(
                "leave this format out of the mixture, or use another release of the engine; "
                "your own code can give the argument to mixprec_doctor.construct by its name"
            ),
            commands=(f"mixprec resolve --engine {engine} --role {role.role.value}",),
        ),
    )


CHECK = Check(
    code="MP301",
    title="A required argument that nothing fills",
    promise="A config or linear method of this release requires an argument that mixprec has no value for.",
    explanation=(
        "What each argument means is read from the source: for a config from what its `from_config` takes out of "
        "the checkpoint's quantization_config and passes on, for a linear method from the parameter that takes the "
        "config. A required argument for which there is neither, because a release has added it, would make the "
        "call fail with a TypeError while the model is built. Optional arguments are no fault: they keep the "
        "engine's default."
    ),
    example="A release whose `GPTQLinearMethod.__init__` takes `(self, quant_config, moe_config)`.",
    cure="Use a release that does not require it, leave the format out, or give the argument to `construct` yourself.",
    find=_find,
    about_mixprec=True,
)
