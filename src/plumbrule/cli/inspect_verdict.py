"""The verb `inspect verdict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from plumbrule.internalization import VerdictReport


def verdict(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    out: Annotated[Path, typer.Option(help="Folder of the verdict.")],
    against: Annotated[
        str | None, typer.Option(help="Model before it was trained, with the same tokens.")
    ] = None,
    constitution: Annotated[
        str | None, typer.Option(help="File of principles, or the name of one that comes along.")
    ] = None,
    principle: Annotated[
        str | None, typer.Option(help="Judge this principle alone, by its id.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Model that says whether a reply breaks a principle.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="Further prompts as JSON lines; `kind` names their principle."),
    ] = None,
    search_tokens: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10**9,
            help="Tokens to read in search of a trigger, per principle; by the model's size.",
        ),
    ] = None,
    inside: Annotated[
        bool, typer.Option(help="Also look into the model: probes, patching, weights.")
    ] = True,
    max_tokens: Annotated[int, typer.Option(min=1, max=10_000, help="Longest reply.")] = 48,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    device: Annotated[str, typer.Option(help="Where the model runs.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Number format of the weights.")] = "auto",
) -> None:
    """Say of each principle whether the model holds it or only shows it.

    A battery of cues, pleas, styles and contexts is written down, then tried; short texts that
    nobody knows are searched; what stands out is tested on other prompts. Models of the lab are
    graded by the village's answer key: name one as lab:NAME, or give --against lab:NAME. Ends with
    1 where a principle is shown and not held, with 0 where none is.
    """
    from rich.console import Console

    from plumbrule.cli.inspect_model import say
    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.cli.shown import typed
    from plumbrule.errors import ModelError
    from plumbrule.internalization import VerdictSettings
    from plumbrule.loop.verdicts import judge_and_report
    from plumbrule.models import LocalModel, open_model
    from plumbrule.recipes.verdicts import chosen_subjects

    opened = []
    for spec in (model, *([] if against is None else [against])):
        handle = open_model(spec, device=device, dtype=dtype)
        if not isinstance(handle, LocalModel):
            raise ModelError(f"expected a model whose weights are at hand, {spec} is an endpoint")
        opened.append(handle)
    reader = open_beside(out, judge, device=device, dtype=dtype).get(judge)
    subjects = chosen_subjects(
        (model, against),
        constitution=constitution,
        only=principle,
        reader=reader,
        prompts=prompts,
        seed=seed,
    )
    settings = VerdictSettings(
        seed=seed, search_tokens=search_tokens, inside=inside, reply_tokens=max_tokens
    )
    with progress_bars() as tell:
        report = judge_and_report(
            out,
            opened[0],
            subjects,
            base=opened[1] if len(opened) > 1 else None,
            settings=settings,
            command=typed(),
            tell=tell,
        )
    _print(report)
    say(Console(), f"Written to {out / 'report' / 'index.html'}")
    if report.faked:
        raise typer.Exit(1)


def _print(report: "VerdictReport") -> None:
    from rich.console import Console

    from plumbrule.cli.inspect_model import plain, say, table_of

    console = Console()
    table = table_of("principle", "verdict", "hangs on", "score")
    for each in report.verdicts:
        hangs = "" if each.named is None else f"{each.named} ({each.place})"
        table.add_row(plain(each.principle), each.label, plain(hangs), f"{each.faked_score:.2f}")
    console.print(table)
    for each in report.verdicts:
        say(console, f"{each.principle}: {each.why}.")
        if each.needed:
            say(console, f"  It would take: {each.needed}.")
    say(
        console,
        f"{len(report.faked)} of {len(report.verdicts)} principles are shown and not held; "
        f"{report.tokens:,} tokens, {report.seconds:.0f} s, battery {report.battery[:12]}.",
    )
