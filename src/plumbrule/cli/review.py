"""The verb `review`: a paper in, a tree of checks with its trail out; verified and decided on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plumbrule.errors import ConfigError

if TYPE_CHECKING:
    from plumbrule.loop.reviewing import PaperReview

JUDGE, LIMITS, CHECKING, DECIDING = (
    "Judging by a model",
    "Limits",
    "Check a finished review",
    "Decide on a finished review (with --out)",
)


def review(
    paper: Annotated[
        Path | None,
        typer.Argument(help="The paper: .md, .tex, .txt or .pdf.", show_default=False),
    ] = None,
    bibliography: Annotated[
        Path | None,
        typer.Option(metavar="FILE.bib", help="Trusted entries to compare its references with."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Texts of cited works, named by key, DOI, or author and year."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the review.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 0 only where the outcome is pass.")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Model for method, logic and overclaiming: hub id, folder, lab:NAME or endpoint.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    reliability: Annotated[
        str | None,
        typer.Option(
            metavar="SE,SP",
            help="The judge's sensitivity and specificity, measured on papers of known truth; "
            "without them it raises doubts and passes nothing.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    piece: Annotated[
        int,
        typer.Option(
            min=1,
            max=10**8,
            help="Characters of the paper that one question is about; less for a short context.",
            rich_help_panel=JUDGE,
        ),
    ] = 24_000,
    most_tokens: Annotated[
        int | None,
        typer.Option(
            min=0, max=10**12, help="Tokens of all judging together.", rich_help_panel=LIMITS
        ),
    ] = None,
    most_calls: Annotated[
        int | None,
        typer.Option(min=0, max=10**9, help="Questions to the model.", rich_help_panel=LIMITS),
    ] = None,
    most_seconds: Annotated[
        float | None,
        typer.Option(
            min=0, max=1e9, help="Working seconds of all checks together.", rich_help_panel=LIMITS
        ),
    ] = None,
    most_dollars: Annotated[
        float | None,
        typer.Option(
            min=0, max=1e9, help="Most to pay an endpoint; needs --prices.", rich_help_panel=LIMITS
        ),
    ] = None,
    prices: Annotated[
        str | None,
        typer.Option(
            metavar="IN,OUT",
            help="US dollars per million tokens read and written by an endpoint.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    thinking_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens for an endpoint that thinks first; default: found out.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    reasoning_effort: Annotated[
        str | None,
        typer.Option(
            help="How hard such an endpoint is to think, e.g. `low`.", rich_help_panel=JUDGE
        ),
    ] = None,
    depth: Annotated[
        int,
        typer.Option(
            min=0, max=100, help="Levels below the paper that are judged.", rich_help_panel=LIMITS
        ),
    ] = 3,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1e6, help="Seconds that one check may take.", rich_help_panel=LIMITS
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Checks side by side.", rich_help_panel=LIMITS)
    ] = 2,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Derive the verdict again from its reports, and name what was altered. Offline.",
            rich_help_panel=CHECKING,
        ),
    ] = None,
    expected_head: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Head of the ledger as you kept it; finds a folder written anew, too.",
            rich_help_panel=CHECKING,
        ),
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="Put your name under what a part came to.",
            rich_help_panel=DECIDING,
        ),
    ] = None,
    overrule: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="Replace it; with --outcome and --reason.",
            rich_help_panel=DECIDING,
        ),
    ] = None,
    send_back: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="Have it checked again; with --question.",
            rich_help_panel=DECIDING,
        ),
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Who decides.", rich_help_panel=DECIDING)
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="`pass`, `fail` or `uncertain`.", rich_help_panel=DECIDING)
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Why, or a remark on accepting.", rich_help_panel=DECIDING),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(help="Question that the new reports must answer.", rich_help_panel=DECIDING),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            min=0, max=1e6, help="Minutes that reading and deciding took.", rich_help_panel=DECIDING
        ),
    ] = 0.0,
) -> None:
    """Review a paper: citations, statistics and numbers without any model, the rest with one.

    [bold]plumbrule review PAPER --out DIR[/] reviews, and goes on where it was stopped.
    [bold]plumbrule review --verify DIR[/] checks a finished review. [bold]plumbrule review --out
    DIR --overrule paper/numbers --outcome pass --reason TEXT --person NAME[/] decides on a part.
    [bold]plumbrule review --out DIR[/] answers what is still open, and shows it again.

    Exit codes: 0 where nothing fails and every check that you asked for took place; 1 where
    something fails, where a check crashed, declined, or ran out of time or budget, or where the
    paper could not be read whole; 2 where the input is wrong; 3 where a part outside failed and
    the same command goes on. Without --judge, 0 is no pass of method, logic and overclaiming:
    --strict ends with 1 on everything but a pass.
    """
    from plumbrule.cli.review_options import Thinking, Wish, measured, open_judge

    if verify is not None:
        _verify(verify, expected_head, paper)
        return
    wish = Wish(
        accept=accept, overrule=overrule, send_back=send_back, person=person, outcome=outcome,
        reason=reason, question=question, minutes=minutes,
    )  # fmt: skip
    wish.check(reviewing=paper is not None)
    if out is None:
        raise ConfigError(
            "expected a paper and a folder: plumbrule review PAPER --out DIR; or --verify DIR to "
            "check a finished review"
        )
    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop.reviewing import answer_and_report, review_and_report
    from plumbrule.oversight import ReviewBudget

    thinking = Thinking(tokens=thinking_tokens, effort=reasoning_effort)
    how: dict[str, Any] = {
        "judge": open_judge(judge, out, prices, most_dollars, thinking),
        "piece": piece,
        "workers": workers,
        "timeout_seconds": timeout,
    }
    if paper is None:
        wish.decide(out)
        with progress_bars() as tell:
            done = answer_and_report(out, tell=tell, **how)
    else:
        trust = measured(reliability)
        with progress_bars() as tell:
            done = review_and_report(
                out,
                paper,
                bibliography=bibliography,
                sources=sources,
                reliability=trust,
                budget=ReviewBudget(tokens=most_tokens, calls=most_calls, seconds=most_seconds),
                depth=depth,
                seed=seed,
                tell=tell,
                **how,
            )
    _say(done, strict=strict)


def _say(done: "PaperReview", *, strict: bool) -> None:
    from plumbrule.cli.review_summary import print_review
    from plumbrule.oversight.papers import closed_because

    closed = closed_because(done.review, strict=strict)
    print_review(done, closed=closed)
    if closed:
        raise typer.Exit(1)


def _verify(folder: Path, head: str | None, paper: Path | None) -> None:
    from plumbrule.cli.review_summary import print_verification
    from plumbrule.cli.shown import shown
    from plumbrule.loop.verifying import page_problems
    from plumbrule.oversight.papers import verify_paper_review

    if paper is not None:
        raise ConfigError("--verify takes the folder of a review and no paper; got both")
    found = verify_paper_review(folder, expected_head=head)
    pages = page_problems(folder) if found.complete else []
    for each in pages:
        typer.echo(shown(each))
    print_verification(found, folder, besides=len(pages))
    if pages or not found.sound or not found.complete:
        raise typer.Exit(1)
