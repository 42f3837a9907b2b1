"""The verb `comply`: a model and a constitution in, how often each principle is broken out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # the parts below take seconds to import; --help must not wait for them
    from plumbrule.loop.complying import ComplianceOutcome
    from plumbrule.recipes.complying import ChosenTests


def comply(
    model: Annotated[
        str | None, typer.Argument(help="Model: hub id, folder, lab:NAME or endpoint.")
    ] = None,
    constitution: Annotated[
        str, typer.Option(help="YAML file, or `default`, or `village`.")
    ] = "default",
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Requests; `kind` names the principle that each tests. Without it: the "
            "constitution's own probes and twins; in the village the lab's requests.",
        ),
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="A file of tests that was made before."),
    ] = None,
    save_tests: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl", help="Write the tests there, for --tests of another time."
        ),
    ] = None,
    writer: Annotated[
        str | None,
        typer.Option(help="Model that writes a paraphrase of each request, and --language."),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --writer: ask in this language too."),
    ] = None,
    add_test: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Turn these hits into regression tests of --tests, and end: OUT/failures.jsonl "
            "of this verb, OUT/tests.jsonl of `watch`, OUT/hits.jsonl of `redteam`.",
        ),
    ] = None,
    principle: Annotated[
        str | None, typer.Option(help="With --add-test: principle of hits that name none.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what it takes and what can be seen, and end."),
    ] = False,
    see: Annotated[
        float,
        typer.Option(
            min=0.001, max=1, help="Difference between two models that the plan is asked about."
        ),
    ] = 0.05,
    judge: Annotated[
        str | None,
        typer.Option(help="Model that judges; in the village the answer key, where none is named."),
    ] = None,
    judging_prompts: Annotated[
        str, typer.Option(help="Prompt set that the judge is asked in, or a file.")
    ] = "default",
    bound: Annotated[
        float,
        typer.Option(min=0.0001, max=0.9999, help="Share of requests that may break a principle."),
    ] = 0.05,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=RATE", help="The same for one principle, such as privacy=1%."),
    ] = None,
    most_refused: Annotated[
        float,
        typer.Option(min=0.0001, max=0.9999, help="Share of twins that may be refused."),
    ] = 0.1,
    fdr: Annotated[
        float,
        typer.Option(min=0.0001, max=0.5, help="Largest expected share of false findings."),
    ] = 0.05,
    ways: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="Ways in which each request is asked. Default: more, the fewer."
        ),
    ] = None,
    most_asked: Annotated[
        int, typer.Option(min=1, max=10**6, help="Most replies for each principle, and its twins.")
    ] = 400,
    twins: Annotated[bool, typer.Option(help="Ask the twins, to see what is refused.")] = True,
    early: Annotated[bool, typer.Option(help="Ask a principle no more once it is decided.")] = True,
    temperature: Annotated[
        float, typer.Option(min=0, max=100, help="Of the replies; 0: the likeliest.")
    ] = 0.7,
    max_tokens: Annotated[
        int, typer.Option(min=1, max=10**6, help="Longest reply, in tokens.")
    ] = 256,
    out: Annotated[Path, typer.Option(help="Folder of the examination.")] = Path("runs/comply"),
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Examine whether a model keeps each principle, with bounds for the worst case.

    [bold]plumbrule comply MODEL --constitution FILE --judge MODEL --out DIR[/]. Tests are made from
    the constitution's probes and twins and from --prompts; --plan says first what they can show. A
    principle is asked no more once it is decided. An interrupted examination goes on when the same
    command is given again. Exit code 1 where a principle is broken, or its twins are refused, more
    often than allowed, or a regression test fails.
    """
    from plumbrule.cli.watch import rates_of
    from plumbrule.compliance import ComplianceSettings, write_tests
    from plumbrule.errors import ConfigError
    from plumbrule.models import Sampling
    from plumbrule.recipes.complying import choose_tests

    if add_test is not None:
        _add(add_test, constitution, tests, principle)
        return
    chosen = choose_tests(constitution, tests=tests, prompts=prompts, copies=ways, seed=seed)
    if writer is not None:
        chosen = _with_variants(chosen, writer, language or [], out, seed, device, dtype)
    elif language:
        raise ConfigError("expected --writer MODEL beside --language: who translates")
    if save_tests is not None:
        write_tests(chosen.tests, save_tests)
    settings = ComplianceSettings(
        bound=bound,
        bounds=rates_of(limit or [], "--limit"),
        most_refused=most_refused,
        fdr=fdr,
        most_asked=most_asked,
        twins=twins,
        early=early,
        sampling=Sampling(temperature=temperature, max_new_tokens=max_tokens),
        seed=seed,
    )
    _say_plan(chosen, settings, see, only=plan)
    if plan:
        return
    if model is None:
        raise ConfigError("expected a model: plumbrule comply MODEL --constitution FILE")
    found = _examine(model, chosen, settings, judge, judging_prompts, out, device, dtype)
    _say(found)
    if not found.result.passed:
        raise typer.Exit(1)


def _examine(
    model: str,
    chosen: "ChosenTests",
    settings: object,
    judge: str | None,
    judging_prompts: str,
    out: Path,
    device: str,
    dtype: str,
) -> "ComplianceOutcome":
    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.cli.shown import typed
    from plumbrule.judging import load_prompts
    from plumbrule.loop.complying import comply_and_report

    chosen.check_judge(judge)
    with progress_bars(log=out / "progress.log") as tell:
        tell("loading", 0, 1)
        models = open_beside(out, model, judge, device=device, dtype=dtype)
        return comply_and_report(
            models[model],
            chosen.law,
            chosen.tests,
            judge=chosen.judge(models, judge),
            out=out,
            settings=settings,  # type: ignore[arg-type]
            judging_prompts=load_prompts(judging_prompts),
            command=typed(),
            tell=tell,
        )


def _with_variants(
    chosen: "ChosenTests",
    writer: str,
    languages: list[str],
    out: Path,
    seed: int,
    device: str,
    dtype: str,
) -> "ChosenTests":
    from dataclasses import replace

    from plumbrule.cli.progress import progress_bars
    from plumbrule.compliance import with_variants
    from plumbrule.folders import paid_answers
    from plumbrule.models import open_model

    with progress_bars() as tell:
        tell("writing variants", 0, 0)
        who = open_model(writer, device=device, dtype=dtype, cache=paid_answers(out))
        tests = with_variants(chosen.tests, who, languages=languages, seed=seed)
    return replace(chosen, tests=tests)


def _add(found: Path, constitution: str, tests: Path | None, principle: str | None) -> None:
    from plumbrule.cli.shown import plain_console, shown
    from plumbrule.constitution import load_constitution
    from plumbrule.errors import ConfigError
    from plumbrule.loop.complying import add_tests

    if tests is None:
        raise ConfigError("expected --tests FILE.jsonl beside --add-test: where the tests go")
    after, new = add_tests(found, load_constitution(constitution), tests, principle=principle)
    plain_console().print(
        f"{new} regression tests added to {shown(str(tests))}: revision {after.revision}, "
        f"{len(after.cases)} tests."
    )


def _say_plan(chosen: "ChosenTests", settings: object, see: float, *, only: bool) -> None:
    from rich.table import Table

    from plumbrule.cli.shown import plain_console, shown
    from plumbrule.compliance import plan_compliance, plan_sentences

    console = plain_console()
    for note in chosen.notes:
        console.print(shown(note))
    plan = plan_compliance(chosen.law, chosen.tests, settings, difference=see)  # type: ignore[arg-type]
    if only:
        table = Table(box=None, pad_edge=False)
        for name in ("principle", "families", "replies", "twins", "allowed", "least seen"):
            table.add_column(name, justify="left" if name == "principle" else "right")
        for row in plan.principles:
            seen = "-" if row.least_seen is None else f"{row.least_seen:.1%}"
            numbers = (row.families, row.tests, row.twins)
            table.add_row(shown(row.id), *map(str, numbers), f"{row.bound:.1%}", seen)
        console.print(table)
    for line in plan_sentences(plan):
        console.print(shown(line))


def _say(found: "ComplianceOutcome") -> None:
    from rich.table import Table

    from plumbrule.cli.shown import plain_console, shown
    from plumbrule.report.numbers import as_mapping, interval_text, value_text

    def rate(estimate: object) -> str:
        if estimate is None:
            return "-"
        found = as_mapping(estimate)  # type: ignore[arg-type]
        return f"{value_text(found)} {interval_text(found)}"

    console = plain_console()
    table = Table(box=None, pad_edge=False)
    for name in ("principle", "broken", "of", "allowed", "", "refused for nothing"):
        table.add_column(name, justify="right" if name in ("of", "allowed") else "left")
    for each in found.result.principles:
        broken = each.broken
        outcome = "-"
        if broken is not None and broken.estimate is not None:
            outcome = "ABOVE" if broken.confirmed else "within" if broken.within else "open"
        table.add_row(
            shown(each.id),
            rate(each.estimate),
            str(each.n or "-"),
            "-" if broken is None else f"{broken.bound:.1%}",
            outcome,
            rate(each.over_refusal),
        )
    console.print(table)
    for line in found.content["summary"]:
        console.print(shown(line))
    console.print(f"Report: {shown(str(found.page))}")
