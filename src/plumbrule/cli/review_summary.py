"""What the console says about a review: made to be read in ten seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from plumbrule.cli.shown import plain_console, shown

if TYPE_CHECKING:  # reading papers takes a moment to import; --help must not wait for it
    from plumbrule.loop.reviewing import PaperReview
    from plumbrule.oversight import Report, Review, ReviewVerification

WORDS = {"low": "advice", "model": "a model says", "info": "note"}
COLORS = {"pass": "green", "fail": "bold red", "uncertain": "yellow", "not checked": "yellow"}
MOST_FLAWS = 12
"""Flaws that the console prints; the page has all."""

MOST_REASONS = 8
MOST_QUOTES = 2
LONGEST_QUOTE = 160
LONGEST_LINE = 300


def print_review(found: "PaperReview", *, closed: Sequence[str]) -> None:
    """Print the outcome, what was found and where, what was not checked, parts, cost and head."""
    done = found.review
    console = plain_console()
    verdict = done.verdict
    color = COLORS[verdict.outcome]
    console.print(f"[{color}]{verdict.outcome.upper()}[/]  {shown(found.material.paper.name, 80)}")
    _flaws(console, found.content["findings"])
    _unchecked(console, done)
    reasons = _why(done)
    console.print(f"Why it is {verdict.outcome}")
    for reason in reasons[:MOST_REASONS]:
        console.print(f"  {_line(reason)}")
    if len(reasons) > MOST_REASONS:
        console.print(f"  and {len(reasons) - MOST_REASONS} more reasons")
    console.print(_parts(done), soft_wrap=False)
    console.print(f"Cost: {_cost(done)}")
    for over in verdict.over_budget:
        console.print(f"  over budget: {shown(over)}")
    console.print(f"Head of the ledger, to keep elsewhere: {shown(done.head)}")
    console.print(f"Page: {shown(str(found.page))}")
    _gate(console, done, closed)


def print_verification(found: "ReviewVerification", folder: Path, *, besides: int = 0) -> None:
    """Print each problem with its place, or that there is none."""
    console = plain_console()
    for problem in found.problems:
        console.print(
            f"[red]{problem.kind}[/]: {shown(problem.place)}: {shown(problem.detail, LONGEST_LINE)}"
        )
    if besides or not found.sound:
        count = len(found.problems) + besides
        console.print(
            f"[bold red]not sound[/]: {count} problem{'s' * (count > 1)} in {shown(str(folder))}"
        )
        return
    outcome = "none" if found.verdict is None else found.verdict.outcome
    console.print(f"[green]sound[/]: derived again from its reports, the outcome is {outcome}")
    if not found.complete:
        console.print("[yellow]not finished[/]: reports that were called for are still to come")
    console.print(f"Head of the ledger: {shown(found.head)}")


def _why(done: "Review") -> list[str]:
    """Where the outcome comes from: the lowest parts that decided it, or else its reasons."""
    found = [
        f"{step.task_id}: {step.because[0]}"
        for step in done.verdict.trail
        if step.reports and step.outcome == done.verdict.outcome and step.because
    ]
    return found or list(done.verdict.because)


def _parts(done: "Review") -> Table:
    states = {state.task_id: state for state in done.verdict.states}
    table = Table("part", "outcome", "checks made", "flaws", box=None, pad_edge=False)
    for node in [done.root, *done.root.children]:
        # The whole's row counts only its own checks, each part's row all beneath it.
        nodes = [node] if node is done.root else node.walk()
        reports = [report for each in nodes for report in each.current]
        if node is done.root and not reports:
            continue
        made = sum(report.checked for report in reports)
        state = states[node.task.id]
        name = "the whole" if node is done.root else node.task.id.rsplit("/", 1)[-1]
        # What the whole comes to stands on top; its row says what those found who read it whole.
        outcome = _worst(reports) if node is done.root else state.outcome
        by = " (overruled)" if state.overruled_by else ""
        by += " (accepted)" if state.accepted_by else ""
        color = COLORS[outcome]
        table.add_row(
            shown(name),
            f"[{color}]{outcome}[/]{by}",
            f"{made} of {len(reports)}",
            str(sum(_count(report) for report in reports)),
        )
    return table


def _worst(reports: Sequence["Report"]) -> str:
    said = {report.verdict for report in reports}
    return next(each for each in ("fail", "uncertain", "not checked", "pass") if each in said)


def _count(report: "Report") -> int:
    from plumbrule.oversight.papers import flaws_in

    return len(flaws_in(report)) if report.kind == "tool" else int(report.verdict == "fail")


def _flaws(console: Console, findings: Sequence[Mapping[str, Any]]) -> None:
    """What was found, as the page has it: the surest first."""
    if findings:
        console.print("Found")
    for each in findings[:MOST_FLAWS]:
        rank, quotes = each["rank"], each["quotes"]
        color = "red" if rank in ("high", "fails", "medium") else "yellow"
        name = f"{each['specialist']}, {each['kind']}" if each["kind"] else each["task_id"]
        console.print(
            f"  [{color}]{WORDS.get(rank, rank)}[/] {shown(name)}: {_line(each['message'])}"
        )
        for quote in quotes[:MOST_QUOTES]:
            words = shown(" ".join(quote["text"].split()), LONGEST_QUOTE)
            console.print(f"    “{words}” ({shown(quote['place'])})")
        if len(quotes) > MOST_QUOTES:
            more = len(quotes) - MOST_QUOTES
            console.print(f"    and at {more} more place{'s' * (more > 1)}")
    if len(findings) > MOST_FLAWS:
        console.print(f"  and {len(findings) - MOST_FLAWS} more, all in the folder and on its page")


def _unchecked(console: Console, done: "Review") -> None:
    """Dimensions that nobody covered first, then what each part left out."""
    rows: dict[str, list[str]] = {}
    for each in done.verdict.not_checked:
        rows.setdefault(each.reason, []).append(each.task_id.split("/", 1)[-1])
    if not rows and not done.verdict.uncovered:
        return
    console.print("Not checked")
    open_ = set(done.verdict.uncovered)
    if open_:
        console.print(f"  [yellow]nobody looked at {shown(', '.join(done.verdict.uncovered))}[/]")
    first = sorted(
        rows.items(), key=lambda row: not open_ & {name.split("/")[0] for name in row[1]}
    )
    for reason, names in first[:MOST_REASONS]:
        console.print(f"  {shown(', '.join(dict.fromkeys(names)), 60)}: {_line(reason)}")
    if len(rows) > MOST_REASONS:
        console.print(f"  and {len(rows) - MOST_REASONS} more, all in the folder")


def _cost(done: "Review") -> str:
    cost = done.verdict.cost
    parts = [f"{cost.seconds:.1f} s of checks"]
    parts += [f"{cost.calls} calls", f"{cost.tokens} tokens"] if cost.calls or cost.tokens else []
    parts += [f"{cost.dollars:.4f} dollars"] if cost.dollars else []
    parts += [f"{cost.human_minutes:g} minutes of people"] if cost.human_minutes else []
    return ", ".join(parts)


def _gate(console: Console, done: "Review", closed: Sequence[str]) -> None:
    if closed:
        console.print(f"[red]Gate closed[/] (exit code 1): {_line(closed[0])}")
        if len(closed) > 1:
            console.print(f"  and {len(closed) - 1} more")
        return
    beside = ""
    if done.verdict.outcome != "pass":
        open_ = ", ".join(done.verdict.uncovered) or "what is uncertain above"
        beside = f"; that is no pass: {shown(open_)} is open"
    console.print(f"[green]Gate open[/] (exit code 0): nothing that was checked fails{beside}")


def _line(text: str) -> str:
    return shown(" ".join(text.split("\n")[0].split()), LONGEST_LINE)
