"""MP503: formats whose kernels need a newer GPU."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Accelerator
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.source.module import parse_source

_METHOD = "get_min_capability"


def _find(patient: Patient) -> Iterator[Finding]:
    known = [(_number(gpu), gpu) for gpu in patient.machine.accelerators or ()]
    numbers = [(number, gpu) for number, gpu in known if number is not None]
    if not numbers or patient.code is not None:
        return
    least, gpu = min(numbers, key=lambda each: each[0])
    for engine in patient.engines:
        beyond = [
            (role.role.value.partition(".")[0], wanted)
            for role in patient.roles.get(engine.engine, ())
            if role.role.value.endswith(".config") and (wanted := _wanted(role, patient)) is not None and wanted > least
        ]
        if beyond:
            yield Finding(
                code="MP503",
                severity=Severity.INFO,
                engine=engine.engine,
                summary=f"{gpu.name} is too old for {', '.join(name for name, _ in beyond)} in {engine.engine}",
                cause=f"its compute capability is {gpu.compute_capability}; {engine.engine} refuses these there",
                evidence=tuple(f"{name}: {wanted // 10}.{wanted % 10} or newer" for name, wanted in beyond),
                subjects=(engine.engine,),
            )


def _number(gpu: Accelerator) -> int | None:
    """As engines write it: 90 for 9.0."""
    major, dot, minor = (gpu.compute_capability or "").partition(".")
    return int(major) * 10 + int(minor) if dot and major.isdecimal() and minor.isdecimal() else None


def _wanted(role: Resolution, patient: Patient) -> int | None:
    """The number that the config class itself returns; None where it is computed or inherited."""
    text = patient.exports.sources.text(role.module) if role.module else None
    try:
        body = parse_source(text).body if text is not None else []
    except (SyntaxError, ValueError):
        return None
    for statement in body:
        if isinstance(statement, ast.ClassDef) and statement.name == role.name:
            for inner in statement.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == _METHOD:
                    return _returned(inner)
    return None


def _returned(function: ast.FunctionDef) -> int | None:
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    if len(returns) == 1 and isinstance(value := returns[0].value, ast.Constant) and isinstance(value.value, int):
        return value.value
    return None


CHECK = Check(
    code="MP503",
    title="Formats that this GPU is too old for",
    promise="The engine refuses some weight formats on this GPU for its compute capability.",
    explanation=(
        "Every quantization config of an engine states the compute capability that its kernels need "
        "(`get_min_capability`). It is read from the source of the installed release and compared with the oldest GPU "
        "that nvidia-smi lists. Only noted: other formats work."
    ),
    example="Block-wise FP8 on an A100 with a release whose config asks for 8.9.",
    cure="Take another format for that machine, or a release whose kernels go further back.",
    find=_find,
)
