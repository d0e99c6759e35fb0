"""Origin: whether a source was quantized from the base's own weights, as its input embeddings tell.

A quantizer leaves embeddings alone. Where they differ, the source was made from another training, or it was rotated
(QuaRot, SpinQuant): then all of its layers speak another language than the base's.
"""

from __future__ import annotations

__all__ = ["find_strangers"]

from collections.abc import Iterable, Mapping

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.formats import ModuleWeights, read_module
from mixprec_runtime.checkpoint.values import numbers, read_spans
from mixprec_runtime.planning.assign import Assignment
from mixprec_runtime.planning.disagreement import Taken
from mixprec_runtime.planning.modules import EMBEDDINGS
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import PlanFinding

ROWS = 8  # that are looked at
ROUNDING = 2.0**-7  # relative distance that two floating-point types explain
FAR = 0.25  # relative distance beyond what further training leaves
POSITIONS = frozenset({"wpe", "position_embeddings"})


def find_strangers(
    mix: Mix, opened: Mapping[str, Checkpoint], taken: Iterable[Taken], assigned: Mapping[str, Assignment]
) -> list[Finding]:
    """MP638 for each source of linear layers whose embeddings are not those that the mixture has.

    A few rows are read. A source whose embeddings are left out or quantized is not judged.
    """
    modules = [name for name in assigned if name.rpartition(".")[2] in EMBEDDINGS - POSITIONS]
    findings = []
    parts: dict[str, list[str]] = {}
    for part in taken:
        parts.setdefault(part.source, []).append(part.module)
    for source, linear in parts.items():
        for module in modules:
            here = assigned[module].source
            if source == here or here not in opened:
                continue
            apart = _distance(module, opened[here], opened[source])
            if apart is not None and apart > ROUNDING:
                findings.append(_stranger(mix, source, module, apart, here, linear=linear))
    return findings


def _distance(module: str, one: Checkpoint, other: Checkpoint) -> float | None:
    """The largest distance of a row from the other's, by its length; None where the rows cannot be compared."""
    first, second = (each.of_module(module) for each in (one, other))
    weights = [
        read_module(tensors, each.quantization, module=module) if tensors else None
        for tensors, each in ((first, one), (second, other))
    ]
    left, right = weights
    if not isinstance(left, ModuleWeights) or not isinstance(right, ModuleWeights) or left.shape != right.shape:
        return None
    if len(left.shape) != 2 or {left.format.kind, right.format.kind} != {FormatKind.PLAIN}:
        return None
    rows = range(0, left.shape[0], max(1, left.shape[0] // ROWS))
    largest = 0.0
    for a, b in zip(_rows(first["weight"], rows), _rows(second["weight"], rows), strict=True):
        length = sum(value * value for value in a)
        if length:
            largest = max(largest, (sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / length) ** 0.5)
    return largest


def _rows(weight: TensorHeader, rows: Iterable[int]) -> list[tuple[float, ...]]:
    size = weight.nbytes // weight.shape[0]
    return [
        numbers(data, weight.dtype) for data in read_spans(weight, [(row * size, (row + 1) * size) for row in rows])
    ]


def _stranger(mix: Mix, source: str, module: str, apart: float, here: str, *, linear: Iterable[str]) -> Finding:
    far = apart > FAR
    return PlanFinding(
        code="MP638",
        severity=Severity.ERROR if far else Severity.WARNING,
        summary=f"{mix.source(source).mark}: source {source!r} was made from other weights than source {here!r}, which"
        " the embeddings come from",
        cause="Its layers were rotated, or trained, together with its own embeddings."
        if far
        else "It may come from another training of the model.",
        evidence=(f"{module}: rows differ by up to {apart:.1%} of their length",),
        remedy=Remedy(text="Name a quantized checkpoint of this very base model, made without rotation."),
        modules=tuple((each,) for each in linear),
    )
