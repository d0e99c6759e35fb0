"""``mixprec plan --fit``: its options, and what they lead to."""

from __future__ import annotations

__all__ = ["fit_options", "is_asked", "run_fit"]

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mixprec_runtime.fitting.timing import KernelsOf
    from mixprec_runtime.records.fit_report import FitReport
    from mixprec_runtime.records.mix import Mix

ASKED = "mixprec.fit"  # where the options of this module are kept until the command runs
TOKENS = 192
WINDOWS = (32, 128)  # tokens, the shortest and the longest: as short as gives every part of a text its turn
JUDGED_TOKENS, JUDGED_WINDOW = 2048, 512
FREE = 0.6  # of the memory that is free may be taken for the base model's layers
Command = TypeVar("Command", bound=Callable[..., Any])
PICTURES = (".svg", ".html", ".htm")


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    kept = ctx.meta.setdefault(ASKED, {})
    kept[param.name] = value
    if ctx.get_parameter_source(str(param.name)) is click.core.ParameterSource.COMMANDLINE:
        ctx.meta.setdefault(f"{ASKED}.given", []).append(param.opts[0])


_OPTIONS = (
    click.option(
        "--fit", metavar="BUDGET",
        help="Find the best mixture of the sources: 140MB or 1.5GiB for the whole model; 0.5 of the way from the "
        "smallest to the largest; gpu:24GiB less the cache of --context tokens; loss:0.05 for the fewest bytes.",
    ),
    click.option(
        "--choose", multiple=True, metavar="SOURCE",
        help="With --fit: a source to choose among, 'model' being the base; again for more. By default all.",
    ),
    click.option(
        "--sensitivity", type=click.Choice(["kl", "error"]), default="kl", show_default=True,
        help="With --fit: what a choice loses: measured on a text (kl), or the error of its weights (error, quick).",
    ),
    click.option(
        "--text", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE",
        help="With --fit: what choices are measured on. By default a small text that mixprec brings along.",
    ),
    click.option(
        "--text-tokens", type=click.IntRange(WINDOWS[0]), default=TOKENS, show_default=True, metavar="N",
        help="With --fit: how much of it is used.",
    ),
    click.option(
        "--judge", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE",
        help="With --fit: another text, on which the mixture and each source alone are measured at the end.",
    ),
    click.option(
        "--judge-tokens", type=click.IntRange(0), default=JUDGED_TOKENS, show_default=True, metavar="N",
        help="With --fit: how much of that is used; 0: nothing is measured at the end.",
    ),
    click.option(
        "--context", type=click.IntRange(1), metavar="N",
        help="With --fit gpu:SIZE: tokens that the key-value cache holds. By default the longest sequence.",
    ),
    click.option(
        "--gpu-share", type=click.FloatRange(0, 1, min_open=True), metavar="PART",
        help="With --fit gpu:SIZE: the part of the memory that is used. By default as the mix is served, or 0.9.",
    ),
    click.option(
        "--cost", type=click.Choice(["bytes", "time"]), default="bytes", show_default=True,
        help="With --fit: what the budget limits; time is that of one row through the proved kernels, 3.2ms or a part.",
    ),
    click.option(
        "--picture", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="With --fit: draw layers, sources, sensitivity and the front into an SVG or HTML file.",
    ),
    click.option("--force", is_flag=True, help="With --fit: overwrite the mix file that -o names."),
)  # fmt: skip


def fit_options(command: Command) -> Command:
    """The options of a fit, kept aside until ``run_fit`` asks for them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    for parameter in getattr(command, "__click_params__", []):
        if parameter.name in _NAMES:
            parameter.expose_value = False
            parameter.callback = _keep
    return command


_NAMES = frozenset({
    "fit", "choose", "sensitivity", "text", "text_tokens", "judge", "judge_tokens", "context", "gpu_share", "cost",
    "picture", "force",
})  # fmt: skip


def is_asked(ctx: click.Context) -> bool:
    """Whether a fit is wanted. Raises UsageError for its options without it."""
    asked = ctx.meta.get(ASKED, {}).get("fit") is not None
    if not asked and (given := ctx.meta.get(f"{ASKED}.given")):
        raise click.UsageError(f"{given[0]} says how a fit is made; say with --fit BUDGET what is wanted")
    return asked


def run_fit(
    ctx: click.Context, wish: Mix, *, ranks: int, stages: int, form: str | None, output: Path | None,
    kernels: KernelsOf,
) -> None:  # fmt: skip
    """Fit, write the mix file (or show it), the picture and the report. Raises what ``fitting.fit.fit`` raises."""
    asked: Mapping[str, Any] = ctx.meta[ASKED]
    if form not in (None, "text", "json"):
        raise click.UsageError("with --fit the report is text or json; --picture FILE draws html and svg")
    picture: Path | None = asked["picture"]
    if picture is not None and picture.suffix.lower() not in PICTURES:
        raise click.UsageError(f"--picture takes a file that ends with .svg or .html, not {picture.name}")
    from datetime import date

    from mixprec_runtime.fitting.errors import refuse_absent
    from mixprec_runtime.fitting.mixtext import write_mix

    refuse_absent()
    _refuse_place(output, force=asked["force"])
    report = _fitted(ctx, wish, asked, ranks=ranks, stages=stages, kernels=kernels)
    command = shlex.join(["mixprec", *sys.argv[1:]])
    day = date.today().isoformat()
    text = write_mix(report, wish, file=output, command=command, date=day, force=asked["force"])
    if output is not None:
        report = replace(report, written=str(output))
    if picture is not None:
        _draw(report, picture)
    _show(report, text, form=form or "text", output=output, picture=picture)


def _refuse_place(output: Path | None, *, force: bool) -> None:
    """Before minutes are spent: raises MixThere and CannotWriteMix."""
    from mixprec_runtime.fitting.mixtext import CannotWriteMix, MixThere

    if output is None:
        return
    if output.exists() and not force:
        raise MixThere(output)
    if not output.absolute().parent.is_dir():
        raise CannotWriteMix(output, "there is no such folder")


def _fitted(
    ctx: click.Context, wish: Mix, asked: Mapping[str, Any], *, ranks: int, stages: int, kernels: KernelsOf
) -> FitReport:
    from mixprec_runtime.adapters.torch.lacking import refuse_lacking
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.fitting.fit import FitRequest, Surroundings, fit
    from mixprec_runtime.fitting.texts import builtin_text, read_text
    from mixprec_runtime.measuring.memory import free_memory
    from mixprec_runtime.measuring.sensitivity import TextsOfFit
    from mixprec_runtime.reports.bars import counted_bar

    refuse_lacking(serving=False)
    choice = read_text(asked["text"]) if asked["text"] else builtin_text()
    texts = TextsOfFit(
        choice=choice,
        judge=read_text(asked["judge"]) if asked["judge"] else builtin_text(judge=True),
        choice_tokens=asked["text_tokens"],
        judge_tokens=asked["judge_tokens"],
        choice_window=min(max(asked["text_tokens"] // len(choice.parts), WINDOWS[0]), WINDOWS[1]),
        judge_window=min(JUDGED_WINDOW, asked["judge_tokens"] or JUDGED_WINDOW),
    )
    request = FitRequest(
        budget=asked["fit"],
        method=asked["sensitivity"],
        texts=texts,
        choose=asked["choose"],
        ranks=ranks,
        stages=stages,
        context=asked["context"],
        share=asked["gpu_share"],
        by_time=asked["cost"] == "time",
        judged=asked["judge_tokens"] > 0,
    )
    _fetch(wish, request.choose)
    around = Surroundings(
        folders={source.name: source.path for source in (wish.model, *wish.sources.values())},
        cache=cache_folder(),
        most_bytes=int(FREE * free_memory()),
    )
    try:
        with counted_bar("reading the checkpoints") as progress:
            return fit(wish, request, around, kernels=kernels, progress=progress)
    except KeyboardInterrupt:
        click.echo("mixprec: stopped; what was measured is kept, and the same command goes on from there", err=True)
        ctx.exit(130)


def _fetch(wish: Mix, choose: tuple[str, ...]) -> None:
    """All shards of sources on the Hub that may be chosen."""
    from mixprec_runtime.cli.fetching import fetch_planned
    from mixprec_runtime.planning.planner import make_plan

    for source in (wish.model, *wish.sources.values()):
        if source.hub is not None and (not choose or source.name in choose):
            fetch_planned(make_plan(replace(wish, default=source.name, rules=(), ignore=())))


def _draw(report: FitReport, picture: Path) -> None:
    from mixprec_doctor.cli.options import write

    if picture.suffix.lower() == ".svg":
        from mixprec_runtime.reports.fit_svg import fit_svg

        write(fit_svg(report) + "\n", picture)
    else:
        from mixprec_runtime.reports.fit_html import fit_html

        write(fit_html(report), picture)


def _show(report: FitReport, text: str, *, form: str, output: Path | None, picture: Path | None) -> None:
    from mixprec_doctor.cli.options import write

    if form == "json":
        import json

        from mixprec_runtime.reports.fit_json import fit_document

        write(json.dumps(fit_document(report), indent=2, ensure_ascii=False) + "\n", None)
    else:
        from mixprec_runtime.reports.console import render
        from mixprec_runtime.reports.fit_text import fit_text

        write(render(fit_text(report), to_file=False) + ("" if output is not None else f"\n{text.rstrip()}\n"), None)
    if picture is not None:
        click.echo(f"mixprec: wrote the picture {picture}", err=True)
