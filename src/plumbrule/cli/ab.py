"""The verbs `ab plan`, `ab arm` and `ab run`: two arms on the same traffic."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Try a candidate on a share of the traffic, by a plan that is fixed beforehand.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Folder = Annotated[Path, typer.Argument(help="Folder of the trial.")]


@app.command()
def plan(
    out: Folder,
    constitution: Annotated[str, typer.Option(help="`default`, `village`, or a YAML file.")],
    primary: Annotated[
        str, typer.Option(metavar="ID", help="Principle that the candidate is to break less often.")
    ],
    guard: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Principle under which it must not become worse."),
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Share that goes to the candidate.")
    ] = 0.1,
    smallest: Annotated[
        float, typer.Option(min=0.000001, max=1, help="Least improvement worth having.")
    ] = 0.02,
    margin: Annotated[
        float, typer.Option(min=0.000001, max=1, help="Differences that do not matter.")
    ] = 0.01,
    expected: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=RATE", help="Rate of the incumbent; a wrong one costs time only."),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Chance of a win for nothing.")
    ] = 0.05,
    beta: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Chance of giving up too early.")
    ] = 0.1,
    least: Annotated[
        int, typer.Option(min=0, max=10**9, help="Before so many, nothing but harm ends it.")
    ] = 7_000,
    most: Annotated[
        int, typer.Option(min=100, max=10**9, help="Conversations after which it ends.")
    ] = 50_000,
    name: Annotated[
        str | None, typer.Option(help="Salt of the assignment; default: the folder's name.")
    ] = None,
) -> None:
    """Fix what decides, before the first conversation; its hash goes into the ledger."""
    from rich.console import Console

    from plumbrule.cli.shown import shown
    from plumbrule.cli.watch import rates_of
    from plumbrule.loop.trial_production import write_plan
    from plumbrule.monitoring import TrialPlan

    fixed = TrialPlan(
        name=name or out.resolve().name,
        primary=primary,
        guards=tuple(guard or ()),
        share=share,
        smallest=smallest,
        margin=margin,
        expected=rates_of(expected or [], "--expected"),
        alpha=alpha,
        beta=beta,
        least=least,
        most=most,
    )
    digest = write_plan(out, fixed, constitution)
    console = Console()
    console.print(f"Plan:   {shown(str(out / 'plan.yaml'))}", soft_wrap=True)
    console.print(f"SHA256: {digest}, in {shown(str(out / 'ledger.db'))}", soft_wrap=True)


@app.command()
def arm(
    out: Folder,
    units: Annotated[
        list[str], typer.Argument(help="Conversation ids (or ids of replies that have none).")
    ],
) -> None:
    """Say which arm conversations belong to, as a server does with `TrialPlan.arm`."""
    from plumbrule.loop.trial_production import read_plan

    fixed = read_plan(out)
    for unit in units:
        typer.echo(fixed.arm(unit))


@app.command()
def run(
    out: Folder,
    source: Annotated[Path, typer.Argument(help="File or folder of conversations, as for watch.")],
    constitution: Annotated[str, typer.Option(help="The one that the plan was made with.")],
    judge: Annotated[
        str | None,
        typer.Option(help="Model that rules on replies: hub id, folder, lab:NAME or endpoint."),
    ] = None,
    judging_prompts: Annotated[
        str, typer.Option(help="Prompt set that the judge is asked in, or a file.")
    ] = "default",
    redact: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Further patterns to take out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the judge.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Read what traffic there is by now, and say what the plan says of it; look as often as wanted.

    Exit code 0 while nothing is decided, or when the candidate wins; 1 for any other end.
    """
    from rich.console import Console

    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.cli.shown import shown, typed
    from plumbrule.loop.trial_production import run_trial

    with progress_bars() as tell:
        models = open_beside(out, judge, device=device, dtype=dtype)
        found = run_trial(
            out,
            source,
            constitution,
            judge=models.get(judge),
            judging_prompts=judging_prompts,
            patterns=redact,
            seed=seed,
            command=typed(),
            tell=tell,
        )
    console = Console()
    for line in found.content["summary"]:
        console.print(shown(line), soft_wrap=True)
    console.print(f"Report: {shown(str(found.page))}", soft_wrap=True)
    if found.decision is not None and found.decision.action != "promote":
        raise typer.Exit(1)
