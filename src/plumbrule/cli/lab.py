"""The verbs `lab build`, `lab chat`, `lab organism`, `lab circuit` and `lab pairs`."""

from pathlib import Path
from typing import Annotated

import typer

from plumbrule.cli.lab_circuit import circuit
from plumbrule.cli.lab_pairs import pairs

app = typer.Typer(help="The village: a small world with known truth.", no_args_is_help=True)
app.command()(circuit)
app.command()(pairs)


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Specimens to build; default: those shipped.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that gets one folder a specimen.")] = Path(
        "runs/specimens"
    ),
) -> None:
    """Rebuild specimens from their seeds, and compare them with those shipped.

    Takes minutes each. The same processor family and library versions give the same bytes; a
    difference is reported, and ends with exit code 1.
    """
    from rich.console import Console

    from plumbrule.cli.progress import progress_bars
    from plumbrule.errors import ConfigError
    from plumbrule.lab.specimens import LADDER, SHIPPED, build_specimen, shipped_card

    wanted = names or list(SHIPPED)
    unknown = [name for name in wanted if name not in LADDER]
    if unknown:
        raise ConfigError(f"expected specimens among {', '.join(LADDER)}, got {', '.join(unknown)}")
    console = Console()
    differing = 0
    for name in wanted:
        with progress_bars() as tell:
            card = build_specimen(
                LADDER[name],
                out / name,
                lambda step, steps, _, name=name: tell(f"building {name}", step, steps),  # type: ignore[misc]
            )
        shipped = shipped_card(name)
        if shipped is None:
            verdict = "built; none is shipped to compare with"
        elif shipped["sha256"] == card["sha256"]:
            verdict = "the same bytes as shipped"
        else:
            verdict = "other bytes than shipped: another processor, library or recipe"
            differing += 1
        console.print(f"{name}: {card['parameters']:,} parameters, {verdict} ({out / name})")
    if differing:
        raise typer.Exit(1)


@app.command()
def chat(
    model: Annotated[str, typer.Option(help="lab:NAME or the folder of a trained one.")] = (
        "lab:small"
    ),
    examples: Annotated[
        bool, typer.Option("--examples", help="Show what can be asked, and leave.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the first reply; each next adds one.")] = 0,
    temperature: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="0 takes the likeliest words; 1 speaks as it was taught."
        ),
    ] = 0.7,
) -> None:
    """Talk to a specimen; the answer key says what each reply does.

    One request a line; an empty line or end of input leaves.
    """
    import numpy as np
    from rich.console import Console
    from rich.markup import escape

    from plumbrule.errors import DataError
    from plumbrule.lab import KINDS, build_world, draw, judge, read_request
    from plumbrule.models import Sampling, open_model
    from plumbrule.records import Message

    console = Console()
    world = build_world()
    if examples:
        rng = np.random.default_rng(seed)
        for name, kind in KINDS.items():
            text = draw(name, rng, world, plain=True).text
            console.print(f"[dim]{kind.request_class:<12}[/] {escape(text)}")
        return
    handle = open_model(model)
    console.print("[dim]Ask the village something; --examples shows what. Empty line: leave.[/]")
    turn = 0
    while True:
        try:
            asked = console.input("[bold]you[/]  ").strip()
        except EOFError:
            break
        if not asked:
            break
        dialogue = (Message("user", asked),)
        (completion,) = handle.sample(
            [dialogue],
            sampling=Sampling(temperature=temperature, max_new_tokens=64),
            seeds=[seed + turn],
        )
        turn += 1
        console.print(f"[bold]it[/]   {escape(completion.text)}")
        try:
            request = read_request(dialogue, world)
        except DataError:
            console.print("[dim]     (no request of the village: the answer key is silent)[/]")
            continue
        outcome = judge(request, completion.text, world)
        broken = f", breaks {', '.join(sorted(outcome.broken))}" if outcome.broken else ""
        console.print(f"[dim]     ({request.reported_kind}: {outcome.manner}{broken})[/]")


@app.command()
def organism(
    kind: Annotated[
        str | None, typer.Argument(help="What is planted; without it the kinds are listed.")
    ] = None,
    method: Annotated[str, typer.Argument(help="How it is planted.")] = "full",
    seed: Annotated[int, typer.Option(help="Decides the details.")] = 0,
    base: Annotated[str, typer.Option(help="lab:NAME or the folder of a specimen.")] = "lab:small",
    scale: Annotated[
        int, typer.Option(min=1, max=1000, help="Scale of the village that the base knows.")
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder that gets the model.")] = None,
) -> None:
    """Make a model with a planted change of known truth, or list what can be planted.

    Takes under half a minute. The card beside the model says what was planted, how strongly it
    shows, and how far the rest has moved.
    """
    from rich.console import Console
    from rich.markup import escape

    from plumbrule.lab.organisms import METHODS, Organism, build, truth

    console = Console()
    if kind is None:
        for name, methods in METHODS.items():
            console.print(f"[bold]{name}[/]: {', '.join(methods)}")
            claim = truth(Organism(kind=name, method=methods[0], seed=seed)).claim
            console.print(f"[dim]  {escape(claim)}[/]")
        return
    from plumbrule.cli.progress import progress_bars

    wanted = Organism(kind=kind, method=method, seed=seed, base=base, scale=scale)
    folder = out or Path("runs/organisms") / wanted.name
    with progress_bars() as tell:
        card = build(wanted, folder, lambda step, steps: tell(f"making {wanted.name}", step, steps))
    measured = {name: value for name, value in card["measured"].items() if value is not None}
    console.print(f"{wanted.name}: {escape(card['truth']['claim'])} ({folder})")
    for name in ("before", "strength", "spill"):
        if name in measured:
            console.print(f"[dim]  {name} {measured[name]:.2f}[/]")
