"""`plumbrule serve`: a page that shows what lies under a folder, as it is now."""

from pathlib import Path
from typing import Annotated

import typer

from plumbrule.cli.shown import plain_console, shown


def serve(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Runs, watches, trials and reports lie under it.")
    ],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any that is free. [default: 7463]")
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; another than the loopback asks for a token."),
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="PLUMBRULE_TOKEN",
            help="What a browser must show first; a new one each time where none is given.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name by which browsers may call this machine; again for further ones."),
    ] = None,
) -> None:
    """Show runs, findings, remedies, alarms and trials on a page that follows them.

    The page looks every two seconds. It changes nothing, loads nothing from elsewhere, and runs no
    script but its own, whatever models wrote. Ctrl-C ends it.
    """
    from plumbrule.serving import LivePage

    page = LivePage(folder, host=host, port=port, token=token, names=name or [])
    console = plain_console()
    # As it is: an address must survive being copied.
    console.print(f"Open in a browser: {page.url}", soft_wrap=True, markup=False)
    if not page.local:
        console.print(
            "Whoever has this address can read everything under "
            f"{shown(str(folder))}; it is sent without encryption.",
            soft_wrap=True,
        )
    try:
        page.run()
    finally:
        page.close()
