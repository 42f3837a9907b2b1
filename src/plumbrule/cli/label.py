"""`plumbrule label`: people's labels, in the terminal or on a page of this machine."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from plumbrule.cli.shown import plain_console, shown
from plumbrule.errors import ConfigError

if TYPE_CHECKING:
    from plumbrule.people import LabelQueue
    from plumbrule.records import Estimate


class _QueueFirst(TyperGroup):
    """Lets `plumbrule label QUEUE` stand for `plumbrule label start QUEUE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in where a queue stands in its place."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["start", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_QueueFirst,
    help=(
        "Ask people: make a queue, label it, learn how far people agree, exchange labels.\n\n"
        "[bold]plumbrule label QUEUE[/] labels in this terminal, "
        "[bold]plumbrule label QUEUE --web[/] on a page of this machine. QUEUE is a file made by "
        "[bold]plumbrule label make[/], or the URL of a PostgreSQL database."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Queue = Annotated[
    str,
    typer.Argument(
        metavar="QUEUE", help="The queue's file, or postgresql://user@host/name of its database."
    ),
]
Who = Annotated[
    str | None,
    typer.Option("--who", help="Name to put on the labels; by default that of your account."),
]


@app.command()
def start(
    queue: Queue,
    who: Who = None,
    web: Annotated[
        bool, typer.Option("--web", help="Label on a page that only this machine can open.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the page; 7462 by default.")
    ] = None,
    adjudicate: Annotated[
        bool,
        typer.Option("--adjudicate", help="Decide items on which two others differ."),
    ] = False,
) -> None:
    """Label a queue: one key an answer. Ends at any time; the same command goes on.

    The word "start" may be left out: `plumbrule label QUEUE`.
    """
    from plumbrule.people import open_queue
    from plumbrule.people.records import check_name

    name = check_name(who if who is not None else _account())
    with open_queue(queue) as opened:
        if web:
            _on_page(opened, name, port, adjudicate)
        else:
            _in_terminal(opened, name, adjudicate)


def _on_page(queue: "LabelQueue", who: str, port: int | None, adjudicate: bool) -> None:
    from plumbrule.people import LabelPage

    page = LabelPage(queue, port=port, adjudicate=adjudicate)
    console = plain_console()
    console.print(f"Open in a browser on this machine: {shown(page.url(who))}")
    console.print(
        "Another person takes the same address with a name of their own behind who=. "
        "Ctrl-C ends the page; every answer is kept."
    )
    try:
        page.run()
    finally:
        page.close()


def _in_terminal(queue: "LabelQueue", who: str, adjudicate: bool) -> None:
    from plumbrule.people import label_in_terminal

    def line(question: str) -> str:
        return str(typer.prompt(question.rstrip(": "), default="", show_default=False))

    typed: list[str] = []

    def key() -> str:
        if typed:
            return typed.pop(0)
        try:
            read = typer.getchar()
        except EOFError:
            return ""
        except OSError as error:
            raise ConfigError(
                "expected a terminal to read keys from, there is none; label on a page with --web"
            ) from error
        # Keys that follow one another fast come together; so do the codes of one special key.
        typed.extend(read[1:] if read.isprintable() else "")
        return read[:1] if typed else read

    label_in_terminal(
        queue,
        who,
        adjudicate=adjudicate,
        key=key,
        line=line,
        say=typer.echo,
        width=min(Console().width, 100),
    )


@app.command()
def make(
    items: Annotated[
        Path,
        typer.Option(
            metavar="FILE.jsonl",
            help="One object a line: `principle`, `request`, and `reply` to grade or `first` and "
            "`second` to compare; optional `text`, `tier`, `judged`, `difficulty`, `source`, "
            "`known`.",
        ),
    ],
    out: Annotated[
        str, typer.Option(help="File of the new queue, or the URL of an empty PostgreSQL database.")
    ],
    constitution: Annotated[
        str | None,
        typer.Option(help="Gives text and tier of principles that items only name."),
    ] = None,
    random_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of items drawn by chance.")
    ] = 0.2,
    double_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of items that two people label.")
    ] = 0.2,
    known_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of a person's items whose answer is known."),
    ] = 0.1,
    lease_minutes: Annotated[
        float, typer.Option(min=0.01, max=10080, help="How long an item is kept for one person.")
    ] = 15.0,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
) -> None:
    """Make a queue of items; what judges said and who wrote a reply is not shown to people."""
    from plumbrule.constitution import load_constitution
    from plumbrule.people import QueueSettings, make_queue, read_items

    principles = {}
    if constitution is not None:
        for each in load_constitution(constitution).principles:
            principles[each.id] = (each.statement(), each.tier)
    found = read_items(items, principles)
    settings = QueueSettings(
        seed=seed,
        random_share=random_share,
        double_share=double_share,
        known_share=known_share,
        lease_minutes=lease_minutes,
    )
    make_queue(found, out, settings)
    known = sum(item.known is not None for item in found)
    place = "the database" if "://" in out else shown(out)
    plain_console().print(
        f"{len(found)} items in {place}, {known} of them with a known answer. Label them with: "
        f"plumbrule label {place if '://' not in out else 'URL'}"
    )


@app.command()
def status(queue: Queue) -> None:
    """Who has labeled how much, how well each judges what is known, and what was flagged."""
    from plumbrule.people import live_events, open_queue, person_certificate

    with open_queue(queue) as opened:
        items, events = opened.items(), live_events(opened.events())
        table = Table(
            "person", "labels", "skipped", "flagged", "left", "sensitivity", "specificity",
            "pairs right", highlight=False,
        )  # fmt: skip
        progress = None
        for who in sorted({event.annotator for event in events}):
            progress = opened.progress(who)
            seen = person_certificate(items, events, who)
            counts = (progress.labeled, progress.skipped, progress.flagged, progress.left)
            rates = (seen.sensitivity, seen.specificity, seen.accuracy)
            table.add_row(shown(who), *map(str, counts), *map(_estimate, rates))
        console = plain_console()
        if progress is None:
            console.print("Nobody has labeled anything yet.")
            return
        console.print(table, soft_wrap=False)
        console.print(f"{progress.finished} of {progress.items} items have all their labels.")
        by_id = {item.id: item for item in items}
        for event in events:
            if event.action == "flag":
                where = shown(by_id[event.item_id].request, 60)
                console.print(f"flagged by {shown(event.annotator)}: {where} {shown(event.reason)}")


@app.command()
def agreement(
    queue: Queue,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """How far people agree beyond chance, by principle, with intervals."""
    from plumbrule.people import agreement as measure
    from plumbrule.people import open_queue

    with open_queue(queue) as opened:
        found = measure(opened.items(), opened.labels(), seed=seed)
    if not found:
        plain_console().print("No item has labels of two people yet, so agreement is not known.")
        return
    table = Table("principle", "people", "measure", "items", "same", "agreement", highlight=False)
    for each in found:
        table.add_row(
            shown(each.principle_id or "all") + (" (pairs)" if each.kind == "pair" else ""),
            shown(", ".join(each.people)),
            each.measure,
            str(each.items),
            "" if each.same is None else f"{each.same:.0%}",
            _estimate(each.estimate) or shown(each.reason or ""),
        )
    Console(highlight=False).print(table)


@app.command()
def export(
    queue: Queue,
    out: Annotated[
        Path,
        typer.Option(help="FILE.jsonl (all that is known), FILE.json (Label Studio) or FILE.csv."),
    ],
    tasks: Annotated[
        bool,
        typer.Option("--tasks", help="Write what still waits for labels, to be labeled elsewhere."),
    ] = False,
    who: Who = None,
    ledger: Annotated[
        str | None,
        typer.Option(help="Enter each event of the queue's history into this ledger too."),
    ] = None,
) -> None:
    """Write labels, or with --tasks what waits for them, to a file."""
    from plumbrule.people import enter_into_ledger, export_labels, export_tasks, open_queue

    with open_queue(queue) as opened:
        if tasks:
            count = export_tasks(opened, out, who if who is not None else _account())
        else:
            count = export_labels(opened, out)
        if ledger is not None:
            enter_into_ledger(opened, ledger)
    plain_console().print(f"{count} {'tasks' if tasks else 'labels'} in {shown(str(out))}")


@app.command(name="import")
def import_(
    queue: Queue,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .jsonl, .json or .csv of labels.")
    ],
    who: Annotated[
        str | None,
        typer.Option("--who", help="Whose labels they are, where the file does not say."),
    ] = None,
) -> None:
    """Take over labels from a file: all of them, or none and the line that is wrong."""
    from plumbrule.people import import_labels, open_queue

    with open_queue(queue) as opened:
        count = import_labels(opened, file, annotator=who)
    plain_console().print(f"{count} new labels from {shown(str(file))}")


def _account() -> str:
    """Name of the account, where the machine knows one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"


def _estimate(estimate: "Estimate | None") -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f}, n={estimate.n})"
