"""The verb `judge`: how a judge errs, what moves it, and what a rate that it reports is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plumbrule.cli.shown import shown

if TYPE_CHECKING:  # the parts below take seconds to import; --help must not wait for them
    from rich.table import Table

    from plumbrule.records import Estimate

app = typer.Typer(
    help="Measure how a judge errs on replies that people labeled, and correct its rates for it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

JudgeSpec = Annotated[
    str, typer.Option(help="Model that judges: hub id, folder, lab:NAME or endpoint.")
]
Labels = Annotated[
    Path,
    typer.Option(
        metavar="FILE.jsonl",
        help="Labeled replies, one JSON object a line: request, reply, principle (its id), broken "
        "(true or false); optional: annotator, probability (of having been drawn for labeling), "
        "author (of the reply; `judge` for the judge itself).",
    ),
]
Rules = Annotated[str, typer.Option(help="`default`, `village`, or a YAML file.")]
Words = Annotated[str, typer.Option(help="Prompt set to ask in: `default`, `village` or a file.")]
Run = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Read the judge's answers as this run did, by the borders that its examination found.",
    ),
]
Seed = Annotated[int, typer.Option(help="Decides every random choice.")]
Level = Annotated[
    float, typer.Option(min=0.5, max=0.999, help="Confidence level of the intervals.")
]


@app.command()
def certify(
    judge: JudgeSpec,
    labels: Labels,
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="Where the certificate goes.")],
    constitution: Rules = "default",
    prompts: Words = "default",
    source: Annotated[
        str, typer.Option(help="Who labeled: `human`, `rule`, `oracle` or `ai`.")
    ] = "human",
    run: Run = None,
    days: Annotated[
        int, typer.Option(min=1, max=10_000, help="Age after which it is said to be old.")
    ] = 180,
    seed: Seed = 0,
) -> None:
    """Ask a judge about labeled replies and write down how it errs.

    [bold]plumbrule judge certify --judge SPEC --labels FILE.jsonl --out FILE.json[/]. Fifty broken
    and fifty kept replies a principle, drawn at random from those that will be judged, tell a
    sensitivity within about 14 points. The certificate holds for this judge, these prompts and
    these texts of the principles alone.
    """
    from rich.console import Console

    from plumbrule.errors import ConfigError
    from plumbrule.judging.certifying import certify_judge
    from plumbrule.loop.certified import standing_of

    if source not in ("human", "rule", "oracle", "ai"):
        raise ConfigError(f"--source must be human, rule, oracle or ai, got {source!r:.40}")
    model, known, law, words = _opened(judge, labels, constitution, prompts)
    certificate = certify_judge(
        model,
        known,
        law,
        prompts=words,
        source=source,  # type: ignore[arg-type]
        seed=seed,
        days=days,
        standing=standing_of(run, law),
    )
    certificate.write(out)
    table = _table("principle", "broken", "kept", "sensitivity", "specificity", "AUROC", "lost")
    for each in certificate.principles:
        table.add_row(
            each.principle_id,
            str(each.broken),
            str(each.kept),
            _said(each.sensitivity),
            _said(each.specificity),
            "-" if each.auroc is None else f"{each.auroc.value:.2f}",
            str(each.refused + each.errored + each.disputed),
        )
    console = Console()
    console.print(table)
    console.print(
        "[dim]lost: labeled replies that the judge gave no verdict on, or that people disagree "
        "on.[/]",
        soft_wrap=True,
    )
    console.print(f"Certificate: {shown(str(out))}", soft_wrap=True)


@app.command()
def biases(
    judge: JudgeSpec,
    labels: Labels,
    constitution: Rules = "default",
    prompts: Words = "default",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the report here as well.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Ask a judge about each labeled reply twice, changed in what should not matter.

    Place in a pair, length, manners, its own hand, and looks. Exit code 1 where a bias is found.
    """
    import json

    from rich.console import Console

    from plumbrule.judging.biases import measure_biases
    from plumbrule.records import to_json
    from plumbrule.store import write_atomic

    model, known, law, words = _opened(judge, labels, constitution, prompts)
    report = measure_biases(model, known, law, prompts=words, seed=seed)
    if out is not None:
        write_atomic(out, json.dumps(to_json(report), indent=1) + "\n")
    table = _table("kind", "pairs", "move", "log-odds", "p")
    for each in report.effects:
        table.add_row(
            each.kind.replace("_", "-"),
            str(each.pairs),
            _said(each.effect, "+.2f"),
            _said(each.log_odds, "+.1f"),
            "-" if each.adjusted is None else f"{each.adjusted:.2g}",
        )
    console = Console()
    console.print(table)
    console.print(
        "[dim]move: toward mildness, or to the first place, in probability. p: beside all kinds.[/]"
    )
    for each in report.effects:
        line = f"{each.kind.replace('_', '-')}: {each.reason}"
        console.print(f"[red]{shown(line)}[/]" if each.found else shown(line), soft_wrap=True)
    if report.found:
        raise typer.Exit(1)


@app.command()
def remedies(
    judge: JudgeSpec,
    constitution: Rules = "default",
    prompts: Words = "default",
    larger: Annotated[
        str | None, typer.Option(help="Another model to try as critic, given as --judge is.")
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(help="Folder of a safety classifier, or an address, to try beside them."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Say what is wrong with a critic, try what may help on the known replies, recommend one.

    The known replies are the constitution's own examples. Examples in the prompt take most of the
    time: each reply is asked about five times, behind up to four others. Exit code 1 where nothing
    does better than chance, so that people are recommended.
    """
    from rich.console import Console

    from plumbrule.constitution import load_constitution
    from plumbrule.judging import (
        diagnose,
        known_replies,
        load_prompts,
        open_classifier,
        try_judge,
        try_remedies,
        usual_remedies,
    )
    from plumbrule.models import open_model

    law, words = load_constitution(constitution), load_prompts(prompts)
    known = known_replies(law)
    beside = None if classifier is None else open_classifier(classifier)
    critic = open_model(judge)
    tried = usual_remedies(
        critic,
        law,
        prompts=words,
        larger=None if larger is None else open_model(larger),
        classifier=beside,
    )
    said = try_judge(critic, known, law, prompts=words, seeds=[seed] * len(known))
    wrong = diagnose(said)
    console = Console()
    console.print(shown(f"The critic {wrong.kind}: {wrong.reason}."), soft_wrap=True)
    found = try_remedies(known, tried, seed=seed)
    table = _table("remedy", "told rightly", "p")
    for each in found.results:
        p_value = "-" if each.p_value is None else f"{each.p_value:.2g}"
        table.add_row(each.name, _said(each.accuracy), p_value)
    console.print(table)
    console.print(
        "[dim]told rightly: share of known replies, each scored on what it was not fitted to. p: "
        "that luck makes it that much better than the critic as it is.[/]",
        soft_wrap=True,
    )
    line = f"Recommended: {found.recommended}, because {found.reason}."
    console.print(shown(line), soft_wrap=True)
    if found.recommended == "people":
        raise typer.Exit(1)


@app.command()
def rate(
    certificate: Annotated[
        Path, typer.Option(metavar="FILE.json", help="What `plumbrule judge certify` wrote.")
    ],
    judgments: Annotated[
        Path,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="The judge's judgments as JSON lines: a file, or the `judgments` folder of a run.",
        ),
    ],
    constitution: Rules = "default",
    run: Run = None,
    level: Level = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Correct the rates that a judge reported for its errors.

    Refused where the certificate is of another judge, of other prompts, or of another text of a
    principle.
    """
    import json
    from datetime import UTC, datetime

    from rich.console import Console

    from plumbrule.constitution import load_constitution
    from plumbrule.judging.certificates import read_certificate
    from plumbrule.judging.correcting import corrected
    from plumbrule.loop.certified import read_records, standing_of
    from plumbrule.records import Judgment, to_json

    held = read_certificate(certificate)
    law = load_constitution(constitution)
    said = read_records(Judgment, judgments, "judgments")
    found = corrected(held, said, law, level=level, standing=standing_of(run, law))
    if as_json:
        typer.echo(json.dumps([to_json(each) for each in found], indent=1))
        return
    table = _table("principle", "judged", "lost", "flagged", "broken", "alike")
    for each in found:
        table.add_row(
            each.principle_id,
            str(each.judged),
            str(each.unanswered),
            _said(each.reported),
            _said(each.rate),
            "-" if each.likeness is None else f"p={each.likeness:.2g}",
        )
    console = Console()
    console.print(table)
    for each in found:
        if each.reason:
            console.print(shown(f"{each.principle_id}: {each.reason}"), soft_wrap=True)
    console.print(
        "[dim]flagged: as the judge says. broken: its errors taken out. alike: a small p says that "
        "these replies are of another kind than those that it was examined on.[/]",
        soft_wrap=True,
    )
    today = datetime.now(UTC).date()
    if held.old(today):
        console.print(
            f"[yellow]The certificate is {held.age(today)} days old, more than {held.days}: "
            "certify again.[/]",
            soft_wrap=True,
        )


def _opened(judge: str, labels: Path, constitution: str, prompts: str) -> tuple[Any, Any, Any, Any]:
    """What is cheap to get wrong is read before a model is opened."""
    from plumbrule.constitution import load_constitution
    from plumbrule.judging import load_prompts
    from plumbrule.judging.labels import read_labels
    from plumbrule.models import open_model

    law, words = load_constitution(constitution), load_prompts(prompts)
    known = read_labels(labels, law)
    return open_model(judge), known, law, words


def _table(*names: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name)
    return table


def _said(estimate: "Estimate | None", form: str = ".2f") -> str:
    if estimate is None:
        return "-"
    between = " to " if form.startswith("+") else "-"
    return f"{estimate.value:{form}} ({estimate.low:{form}}{between}{estimate.high:{form}})"
