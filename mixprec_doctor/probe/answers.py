"""Answers: what the child wrote and how it ended, as records."""

from __future__ import annotations

__all__ = ["read_answer", "read_death", "read_end"]

import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixprec_doctor.probe.stacks import read_stack
from mixprec_doctor.records.probe import Fault, Frame, Kind, Observed, Outcome, Output, Probe, ProbeRequest, Shape

_CHILD = str(Path(__file__).with_name("child.py"))
_CANNOT_ANSWER = 97  # the child's own exit code for it
_REASONS = {
    "timeout": (Outcome.TIMEOUT, "it did not end within its time"),
    "total": (Outcome.TIMEOUT, "the time for all was used up"),
    "memory": (Outcome.OUT_OF_MEMORY, "it took more memory than it may"),
    "garbage": (Outcome.NO_ANSWER, "its answer had no end"),
    "cancelled": (Outcome.NO_ANSWER, "it was interrupted"),
}


def read_answer(request: ProbeRequest, event: Mapping[str, Any]) -> Probe:
    """The record of a request that the child itself answered."""
    return Probe(
        request=request,
        outcome=Outcome(event["outcome"]),
        seconds=event["seconds"],
        fault=_fault(event["fault"]["chain"], request) if event.get("fault") else None,
        exit_code=event.get("exit_code"),
        observed=_observed(event["observed"]) if event.get("observed") else None,
        value=event.get("value"),
    )


def read_end(answered: Probe, event: Mapping[str, Any]) -> Probe:
    """The record of the last request that a child answered, with how the child ended after it."""
    left = tuple(event["left"])
    detail = _ending(event, answered)
    answered = replace(answered, detail=detail, peak_bytes=event["peak"], left=left)
    if answered.worked and not detail:
        return answered
    return replace(answered, stdout=Output(**event["stdout"]), stderr=Output(**event["stderr"]))


def read_death(request: ProbeRequest, event: Mapping[str, Any], *, seconds: float) -> Probe:
    """The record of the request at which a child ended without an answer."""
    number, stderr = event["signal"], Output(**event["stderr"])
    outcome, detail = _how(event)
    return Probe(
        request=request,
        outcome=outcome,
        seconds=seconds,
        detail=detail,
        exit_code=event["code"],
        signal=_name(number) if number and event["reason"] is None else None,
        stack=read_stack(stderr.tail or stderr.head, own=_CHILD),
        stdout=Output(**event["stdout"]),
        stderr=stderr,
        peak_bytes=event["peak"],
        left=tuple(event["left"]),
    )


def _how(event: Mapping[str, Any]) -> tuple[Outcome, str]:
    reason, number, code = event["reason"], event["signal"], event["code"]
    if reason in _REASONS:
        return _REASONS[reason]
    if number == signal.SIGKILL:
        return Outcome.SIGNAL, "mixprec did not send it; most often the kernel sends it when memory is used up"
    if number:
        return Outcome.SIGNAL, ""
    if event["done"] or code == _CANNOT_ANSWER:
        return Outcome.NO_ANSWER, "the process could not write its answer"
    return Outcome.EXITED, "the process ended itself without an exception"


def _ending(event: Mapping[str, Any], answered: Probe) -> str:
    """How lines that had run came to their end, where that was not in order; nothing else is judged by its end."""
    if answered.request.kind is not Kind.CODE:
        return ""
    if event["reason"] == "lingering":
        return "the process did not end by itself afterwards: a thread or an atexit handler keeps it"
    if event["signal"] and event["reason"] is None:
        return f"the process died of {_name(event['signal'])} while it ended"
    return ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _fault(chain: Sequence[Mapping[str, Any]], request: ProbeRequest) -> Fault | None:
    if not chain:
        return None
    first, *further = chain
    return Fault(
        type=first["type"],
        message=first["message"],
        about=first["about"],
        path=first["path"],
        frames=tuple(_frame(each, request) for each in first["frames"]),
        omitted=first["omitted"],
        cause=_fault(further, request),
        told=first["told"],
    )


def _frame(raw: Sequence[Any], request: ProbeRequest) -> Frame:
    file, line, function, text = raw
    lines = (request.text or "").splitlines()
    if not text and file == "<string>" and 0 < line <= len(lines):
        text = lines[line - 1].strip()
    return Frame(file=file or "?", line=line or 0, function=function or "?", text=text)


def _observed(raw: Mapping[str, Any]) -> Observed:
    parameters = raw.get("parameters")
    return Observed(
        kind=raw["kind"],
        module=raw.get("module"),
        name=raw.get("name"),
        file=raw.get("file"),
        hollow=raw.get("hollow", False),
        parameters=None
        if parameters is None
        else tuple(Shape(name=name, kind=kind, required=required) for name, kind, required in parameters),
    )
