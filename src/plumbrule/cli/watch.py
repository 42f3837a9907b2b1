"""The verb `watch`: conversations of a model in use in, rates and alarms out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # the parts below take seconds to import; --help must not wait for them
    from plumbrule.loop.watch_production import WatchOutcome


def watch(
    source: Annotated[
        Path,
        typer.Argument(
            help="File or folder: OTLP/JSON lines of spans or log events (OpenTelemetry GenAI, old "
            "and new; OpenInference), or JSON lines with `messages`, or `prompt` and `reply`."
        ),
    ],
    constitution: Annotated[
        str, typer.Option(help="YAML file, or `default`, or `village`; its `words` need no judge.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the watch; the same goes on.")] = Path(
        "runs/watch"
    ),
    judge: Annotated[
        str | None,
        typer.Option(help="Model that rules on replies: hub id, folder, lab:NAME or endpoint."),
    ] = None,
    judging_prompts: Annotated[
        str, typer.Option(help="Prompt set that the judge is asked in, or a file.")
    ] = "default",
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of conversations that is judged.")
    ] = 1.0,
    suspect_share: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="The same, where the reply contains words of the constitution."
        ),
    ] = 1.0,
    baseline: Annotated[
        int,
        typer.Option(min=100, max=10**9, help="Conversations, the first ones, that are as usual."),
    ] = 30_000,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=RATE", help="Rate that is allowed, in place of the usual one."),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option(min=0.000001, max=0.5, help="Chance of an alarm for nothing in a year."),
    ] = 0.05,
    per_year: Annotated[
        float | None,
        typer.Option(
            min=100, max=1e13, help="Conversations in a year. Default: as in the baseline."
        ),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(help="What is counted: each `conversation` once, or each `reply`."),
    ] = "conversation",
    anchors: Annotated[
        int,
        typer.Option(min=0, max=100_000, help="Replies kept, to notice when the judge changes."),
    ] = 500,
    label: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.jsonl", help="People's labels, from `plumbrule label export`."),
    ] = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.jsonl", help="Reports of users, to be turned into tests."),
    ] = None,
    handled: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Principle whose standing alarm was dealt with."),
    ] = None,
    keep: Annotated[
        str, typer.Option(help="What is stored of texts: `redacted`, `hash` or `none`.")
    ] = "redacted",
    redact: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Further patterns to take out.")
    ] = None,
    retain_days: Annotated[
        float | None,
        typer.Option(min=0, max=36_500, help="Days after which stored texts are deleted."),
    ] = None,
    follow: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            max=86_400,
            help="Go on, and look for more every so often; Ctrl-C ends.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Watch a model in use: how often it breaks each principle, and an alarm when that rises.

    Reads what the source holds and was not read yet; the same command goes on, also after a kill,
    and counts nothing twice. Scores go to OUT/evaluations.jsonl as OpenTelemetry events, replies
    for people to OUT/to_label.jsonl, tests from users' reports to OUT/tests.jsonl. Exit code 1
    while an alarm stands.
    """
    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.cli.shown import typed
    from plumbrule.loop.watch_production import watch_and_report
    from plumbrule.monitoring import Shares, WatchSettings

    settings = WatchSettings(
        shares=Shares(plain=share, suspect=max(suspect_share, share)),
        baseline=baseline,
        limits=rates_of(limit or [], "--limit"),
        false_alarms=false_alarms,
        per_year=per_year,
        unit=unit,  # type: ignore[arg-type]  # looked at there
        anchors=anchors,
        keep=keep,  # type: ignore[arg-type]  # likewise
        retain_days=retain_days,
        seed=seed,
    )
    with progress_bars() as tell:
        models = open_beside(out, judge, device=device, dtype=dtype)
        found = watch_and_report(
            source,
            constitution,
            out=out,
            settings=settings,
            judge=models.get(judge),
            judging_prompts=judging_prompts,
            labels=label or [],
            reports=report or [],
            handled=handled or [],
            patterns=redact,
            follow_seconds=follow,
            command=typed(),
            tell=tell,
            say=tell.say,
        )
    _say(found)
    if found.alarms:
        raise typer.Exit(1)


def rates_of(given: list[str], option: str) -> dict[str, float]:
    """What `ID=RATE` options say, by principle.

    Raises:
        ConfigError: One is no `ID=RATE`, or a principle has two.
    """
    from plumbrule.errors import ConfigError

    found: dict[str, float] = {}
    for each in given:
        name, _, rate = each.partition("=")
        try:
            value = float(rate.removesuffix("%")) / (100.0 if rate.endswith("%") else 1.0)
        except ValueError:
            value = -1.0
        if not name or not 0.0 <= value < 1.0:
            raise ConfigError(f"{option} must be ID=RATE, such as no-lies=2%, got {each!r:.60}")
        if name in found:
            raise ConfigError(f"{option} names {name!r:.60} twice; give each principle one")
        found[name] = value
    return found


def _say(found: "WatchOutcome") -> None:
    """Print the rates, the alarms, and where the page is."""
    from rich.console import Console
    from rich.table import Table

    from plumbrule.cli.shown import shown
    from plumbrule.report import estimate_text

    console = Console()
    table = Table(box=None, pad_edge=False)
    for name in ("principle", "as judged", "errors taken out", "bound"):
        table.add_column(name, justify="left" if name == "principle" else "right")

    def rate(value: object) -> str:
        return estimate_text(value) if isinstance(value, dict) else "-"

    for each in found.content["principles"]:
        bound = each["bound"]
        table.add_row(
            shown(each["id"]),
            shown(rate(each["rate"])),
            shown(rate(each["corrected"])),
            "-" if bound is None else f"{100 * bound['value']:.2f}%",
        )
    console.print(table)
    for line in found.content["summary"]:
        console.print(shown(line), soft_wrap=True)
    console.print(f"Report: {shown(str(found.page))}", soft_wrap=True)
