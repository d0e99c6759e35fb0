"""Mix text: a chosen mixture as a commented mix file, beside the sources that it was chosen from."""

from __future__ import annotations

__all__ = ["CannotWriteMix", "MixThere", "mix_text", "write_mix"]

import os
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.fitting.ground import Ground
from mixprec_runtime.fitting.rules import shortest_rules
from mixprec_runtime.fitting.words import size_words
from mixprec_runtime.mixfile.hub import find_folder
from mixprec_runtime.planning.asides import settle_asides
from mixprec_runtime.planning.assign import Assignment, assign
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.planning.norms import follow
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.records.memory import layer_of
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Rule, Source
from mixprec_runtime.records.plan import Plan

WIDTH = 118  # of comments
COLUMN = 96  # where a comment behind a rule begins at the latest, unless the rule is longer


class MixThere(MixprecError):
    """A file that a mix would be written over."""

    exit_code = ExitCode.MISUSE

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.file = file

    def __str__(self) -> str:
        return f"wanted to write a mix file to {self.file}, and there is a file\n  try: another name, or --force"


class CannotWriteMix(MixprecError):
    """A place that a mix cannot be written to."""

    exit_code = ExitCode.MISUSE

    def __init__(self, file: Path, fault: str) -> None:
        super().__init__(file, fault)
        self.file = file
        self.fault = fault

    def __str__(self) -> str:
        return f"wanted to write a mix file to {self.file}, but: {self.fault}\n  try: -o in a folder that is there"


def write_mix(report: FitReport, mix: Mix, *, file: Path | None, command: str, date: str, force: bool = False) -> str:
    """The text of the chosen mixture, written to a file in one step; None only makes the text, for the current folder.

    ``mix`` is what the fit was asked about. Raises MixThere where there is a file, unless it may be lost (``force``),
    and CannotWriteMix.
    """
    if file is None:
        return mix_text(report, mix, folder=Path.cwd(), command=command, date=date)
    if not force and os.path.lexists(file):  # a link to nothing would be written over too
        raise MixThere(file)
    text = mix_text(report, mix, folder=file.parent, command=command, date=date)
    try:
        _write(file, text)
    except OSError as fault:
        raise CannotWriteMix(file, fault.strerror or str(fault)) from fault
    return text


def mix_text(report: FitReport, mix: Mix, *, folder: Path, command: str, date: str) -> str:
    """The mixture as YAML for a file in that folder, with how it was made, what it costs and loses, and short rules.

    Paths that were relative are relative to that folder, ids on the Hub stay; sources that nothing comes from are
    left out.
    """
    default, rules = shortest_rules(report.problem, report.chosen.sources, mix)
    ground = Ground.of(mix)
    made = replace(mix, default=default, rules=rules)
    whole = make_plan(made, sources=ground.sources)
    parts = _Parts(ground, made, whole)
    lines = [
        *_heading(report, whole, command=command, date=date),
        *_commented([(f"model: {_scalar(_path(mix, mix.model, folder))}", _commit(mix.model))]),
        *_sources(mix, {layer.source for layer in whole.layers}, folder),
        *_commented([(f"default: {default}", parts.words("default"))]),
    ]
    if rules:
        lines += ["rules:  # the first match wins", *_commented([(_rule(each), parts.words(each)) for each in rules])]
    if mix.ignore:
        lines += _commented([(f"ignore: {_list(mix.ignore)}", parts.words("ignore"))])
    if mix.engine != "auto":
        lines.append(f"engine: {mix.engine}")
    if mix.serve:
        lines += ["serve:", *(f"  {_scalar(name)}: {_value(value)}" for name, value in mix.serve.items())]
    return "\n".join(lines) + "\n"


def _heading(report: FitReport, plan: Plan, *, command: str, date: str) -> Iterator[str]:
    yield from _comment(f"{date}: {report.goal}, chosen from {report.mix} by `{command}`")
    sizes = sorted(plan.totals.by_format.items(), key=lambda each: -each[1])
    yield from _comment(
        f"Bytes: {size_words(report.chosen.bytes)}; " + ", ".join(f"{name} {size_words(size)}" for name, size in sizes)
    )
    ranks = report.chosen.bytes_per_rank
    if len(ranks) > 1:
        yield from _comment(f"Bytes on each rank: {', '.join(size_words(each) for each in ranks)}")
    losses = report.losses
    if losses.method == "kl":
        text = f" on {losses.text}, {losses.tokens:,} tokens" if losses.text else ""
        yield from _comment(f"Predicted: {report.chosen.loss:.4f} nats a token lost by divergence{text}")
    else:
        yield from _comment(f"Predicted: {report.chosen.loss:.3e} of relative error of the weights")
    if report.measured:
        yield from _comment(f"Measured{f' on {report.measured_text}' if report.measured_text else ''}:")
    for each in report.measured:
        figures = f"perplexity {each.perplexity:.2f}, divergence {each.divergence:.4f}"
        yield from _comment(f"  {each.name}: {size_words(each.bytes)}, {figures}")


def _comment(text: str) -> list[str]:
    """Lines of a comment that nothing in the text can end: neither breaks nor what YAML does not print."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    safe = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text.strip(" "))
    wrapped = textwrap.wrap(safe, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"# {indent}{line}".rstrip() for line in wrapped]


class _Parts:
    """Layers and bytes by what decides about them."""

    def __init__(self, ground: Ground, mix: Mix, plan: Plan) -> None:
        assigned, _ = assign(mix, ground.classes)
        opened = ground.sources.checkpoints
        settled, _ = follow(mix, opened, settle_asides(assigned, opened))
        self._by: dict[int | str, list[str]] = {}
        for module, each in settled.items():
            if ground.classes[module] == "Linear":
                self._by.setdefault(_key(each), []).append(module)
        self._bytes: dict[str, int] = {}
        for layer in plan.layers:
            stack = expert_layer(layer.layer)
            name = layer.layer if layer.layer in settled or stack is None else stack
            self._bytes[name] = self._bytes.get(name, 0) + layer.nbytes
        self._layers = {place for unit in ground.units if (place := layer_of(unit.name))[0] is not None}

    def words(self, by: Rule | str) -> str:
        """``18 of 30 layers, 12.3 MB``; empty for what decides nothing."""
        modules = self._by.get(id(by) if isinstance(by, Rule) else by, [])
        if not modules:
            return ""
        there = {layer_of(module) for module in modules} & self._layers
        outside = [module for module in modules if layer_of(module)[0] is None]
        words = [f"{len(there)} of {len(self._layers)} layers"] if there else []
        words += [", ".join(outside) if len(outside) < 3 else f"{len(outside)} modules"] if outside else []
        nbytes = sum(self._bytes.get(each, 0) for each in modules)
        return f"{' and '.join(words) or f'{len(modules)} modules'}, {size_words(nbytes)}"


def _key(each: Assignment) -> int | str:
    return id(each.by) if isinstance(each.by, Rule) else each.by


def _sources(mix: Mix, used: set[str], folder: Path) -> list[str]:
    there = [source for name, source in mix.sources.items() if name in used]
    lines = [(f"  {each.name}: {{path: {_scalar(_path(mix, each, folder))}}}", _commit(each)) for each in there]
    return ["sources:", *_commented(lines)] if lines else []


def _commit(source: Source) -> str:
    """What the numbers above are of, where the mix file need not say so."""
    return f"chosen with {source.hub}" if source.hub is not None else ""


def _path(mix: Mix, source: Source, folder: Path) -> str:
    """The source as its mix file names it, from another folder."""
    said = _said(mix).get(source.name)
    if said is None:
        return str(source.path)
    if find_folder(said, beside=mix.file.resolve().parent) is None:
        return said  # on the Hub
    if Path(said).is_absolute() or said.startswith("~"):
        return said
    there = os.path.relpath(source.path.resolve(), folder.resolve())
    return there if there.startswith(os.pardir) else os.path.join(os.curdir, there)  # noqa: PTH118  Path drops "./"


def _said(mix: Mix) -> Mapping[str, str]:
    """The words for each source in the mix file; none where it is no longer there, or another."""
    from mixprec_runtime.mixfile.errors import InvalidMix
    from mixprec_runtime.mixfile.marked_yaml import read_yaml

    try:
        raw = read_yaml(mix.file).value
    except InvalidMix:
        return {}
    if not isinstance(raw, dict) or not isinstance(raw.get("sources", {}), dict):
        return {}
    said = {BASE_SOURCE: raw.get("model")}
    said |= {name: each.get("path") for name, each in raw.get("sources", {}).items() if isinstance(each, dict)}
    return {name: text for name, text in said.items() if isinstance(text, str)}


def _rule(rule: Rule) -> str:
    return f"  - {{targets: {_list(rule.targets)}, source: {rule.source}}}"


def _list(values: Iterable[object]) -> str:
    return f"[{', '.join(_quoted(each) if isinstance(each, str) else _scalar(each) for each in values)}]"


def _value(value: object) -> str:
    return _list(value) if isinstance(value, list) else _scalar(value)


def _quoted(text: str) -> str:
    """A target in single quotes, in which a backslash is one; a name as it stands."""
    plain = text.isprintable() and text.startswith("re:")
    return "'" + text.replace("'", "''") + "'" if plain else _scalar(text)


def _scalar(value: object) -> str:
    """A value as YAML has it in the midst of a line."""
    import yaml

    written = yaml.safe_dump([value], default_flow_style=True, width=1 << 30, allow_unicode=True)
    return str(written).strip()[1:-1]


def _commented(lines: Sequence[tuple[str, str]]) -> list[str]:
    column = min(COLUMN, max(len(text) for text, _ in lines)) + 2
    return [f"{text.ljust(column - 2)}  # {words}" if words else text for text, words in lines]


def _write(file: Path, text: str) -> None:
    """All of it, or nothing."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:50]}-")
    staging = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        mask = os.umask(0)
        os.umask(mask)
        staging.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner reads
        staging.replace(file)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
