"""`plumbrule ledger`: check, show and export the record of what was done."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from plumbrule.cli.shown import plain_console, shown

app = typer.Typer(
    help="Check, show and export the record of what was done in a run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, its ledger.db, or a database URL.")
]

LONGEST_CELL = 60
"""Characters of a payload that the table shows."""


@app.command()
def verify(
    run: Run,
    head: Annotated[
        str | None,
        typer.Option(
            help="Hash of the last entry as you kept it elsewhere; finds a rewritten ledger too."
        ),
    ] = None,
) -> None:
    """Find out whether record and files are as they were written, and if not, what was done.

    Every entry is held against the chain, and every file of the run's folder against the hash that
    was recorded of it. Exit code 0 when all is as it was, 1 when it is not.
    """
    from plumbrule.ledger import verify as examine
    from plumbrule.loop.verifying import folder_of, verify_files

    verification = examine(run, expected_head=head)
    folder = folder_of(run)
    problems = [str(problem) for problem in verification.problems]
    files, said = ([], "") if folder is None else verify_files(folder)
    problems += files
    console = plain_console()
    for problem in problems:
        console.print(f"[red]{shown(problem)}[/]")
    if not verification.end_known:
        console.print(
            "Nothing says where this ledger should end, so entries cut off or added at the end "
            "cannot be noticed. Give the head you kept elsewhere with --head."
        )
    count = f"{verification.entries} {'entry' if verification.entries == 1 else 'entries'}"
    found = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
    if not problems:
        if said:
            console.print(shown(said))
        console.print(f"[green]sound[/]: {count}, head {shown(verification.head)}")
        return
    console.print(f"[bold red]not sound[/]: {found} in {count}")
    raise typer.Exit(1)


@app.command()
def show(run: Run) -> None:
    """Print the entries, and the head to keep elsewhere."""
    from plumbrule.ledger import read_entries
    from plumbrule.ledger.chain import GENESIS
    from plumbrule.store import canonical

    entries = read_entries(run)
    table = Table("entry", "written at (UTC)", "kind", "key", "payload", highlight=False)
    for entry in entries:
        payload = canonical(dict(entry.payload))
        short = payload if len(payload) <= LONGEST_CELL else payload[: LONGEST_CELL - 1] + "…"
        cells = (entry.written_at[:19], entry.kind, entry.key, short)
        table.add_row(str(entry.position), *(shown(cell) for cell in cells))
    console = plain_console()
    console.print(table, soft_wrap=False)
    console.print(f"head {shown(entries[-1].hash if entries else GENESIS)}")


@app.command()
def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="File to write, one entry a line.")],
) -> None:
    """Write all entries as JSON, one per line."""
    from plumbrule.ledger import export as write

    head = write(run, out)
    plain_console().print(f"{head.entries} entries in {shown(str(out))}, head {shown(head.hash)}")
