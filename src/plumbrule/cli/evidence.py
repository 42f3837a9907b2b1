"""`plumbrule evidence`: what an outsider can check, written and verified."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from plumbrule.cli.shown import shown

app = typer.Typer(
    help="Put a finished run together for somebody who does not trust it, and verify that.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Kind = Literal["card", "bom", "annex-iv", "annex-xi"]


@app.command()
def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of runs, comparisons or reviews that ended."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; it must be empty.")],
    key: Annotated[
        Path | None,
        typer.Option(help="Private key that signs, PEM, P-256; without it nothing is signed."),
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(help="Where else the ledgers' heads are kept; the page says so."),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Copy the models that the runs made as well.")
    ] = False,
) -> None:
    """Write one folder with statements, ledgers, samples, documents and a page."""
    from plumbrule.cli.progress import progress_bars
    from plumbrule.evidence import export_evidence, read_signing_key

    signing = None if key is None else read_signing_key(key)
    with progress_bars() as tell:
        evidence = export_evidence(
            runs, out, key=signing, anchor=anchor, weights=weights, tell=tell
        )
    console = Console(soft_wrap=True, highlight=False)
    chain = evidence.links
    for state in ("holds", "broken", "missing"):
        count = sum(each.state == state for each in chain)
        console.print(f"links, {state}: {count}")
    for name, each in evidence.index["runs"].items():
        console.print(f"head of {shown(name)}: {each['head']}")
    signed = "not signed" if signing is None else f"signed by {signing.verifying.id}"
    console.print(f"Evidence: {shown(str(out / 'index.html'))}, {signed}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="What `evidence export` wrote.")],
    key: Annotated[
        Path | None,
        typer.Option(help="Public key or certificate, PEM, from a place that you trust."),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help="Head of a ledger as it is kept elsewhere; may be given several times."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[RUN=]FOLDER", help="A final model at hand, held against the run's files."
        ),
    ] = None,
) -> None:
    """Make every decision again from the samples, and check every hash and signature.

    No model and no network is needed. Exit code 0 when all that could be checked is as it was
    written, 1 when something is not, 2 when there is nothing to verify or the key is of no use.
    """
    from plumbrule.evidence import read_evidence, read_verifying_key, verify_evidence

    public = None if key is None else read_verifying_key(key)
    names = list(read_evidence(folder).index["runs"])
    found = verify_evidence(
        folder, key=public, heads=head or (), weights=_placed(weights or [], names)
    )
    console = Console(soft_wrap=True, highlight=False)
    for line in found.problems:
        console.print(f"[red]{shown(line)}[/]")
    for line in found.held:
        console.print(shown(line))
    if found.unchecked:
        console.print("[bold]not checked:[/]")
    for line in found.unchecked:
        console.print(f"  {shown(line)}")
    if found.sound:
        console.print("[green]sound[/]: everything that could be checked is as it was written")
        return
    count = len(found.problems)
    console.print(f"[bold red]not sound[/]: {count} problem{'s' * (count > 1)}")
    raise typer.Exit(1)


def _placed(given: list[str], names: list[str]) -> dict[str, Path]:
    """Folders of models by the run they belong to."""
    from plumbrule.errors import ConfigError

    placed = {}
    for each in given:
        name, separator, place = each.partition("=")
        if not separator:
            name, place = (names[0] if len(names) == 1 else ""), each
        if name not in names:
            raise ConfigError(
                f"expected --weights RUN=FOLDER with one of {', '.join(names)}, got {each!r:.200}"
            )
        if not Path(place).is_dir():
            raise ConfigError(f"expected a folder of a model, there is none at {place:.200}")
        placed[name] = Path(place)
    return placed


@app.command()
def document(
    kind: Annotated[Kind, typer.Argument(help="Which document.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run that has ended.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; the console where not given.")
    ] = None,
) -> None:
    """Write one document from the records: model card, bill of materials, Annex IV or XI.

    Every line leads to its record, and what no record says is not known.
    """
    from plumbrule.evidence import write_document

    text = write_document(kind, run, out)
    if out is None:
        sys.stdout.write(text)
    else:
        Console(soft_wrap=True, highlight=False).print(f"{kind} in {shown(str(out))}")
