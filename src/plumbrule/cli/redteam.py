"""The verb `redteam`: a model and its constitution in, where it gives way to attacks out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # the parts below take seconds to import; --help must not wait for them
    from plumbrule.compliance.attacks import AttackFamily
    from plumbrule.loop.red_teaming import RedTeamOutcome


def redteam(
    model: Annotated[str, typer.Argument(help="Model: hub id, folder, lab:NAME or endpoint.")],
    constitution: Annotated[
        str, typer.Option(help="YAML file, or `default`, or `village`.")
    ] = "default",
    attacker: Annotated[
        str | None, typer.Option(help="Model that writes attacks; without it templates alone.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="What the model was tuned from: texts that switch it are sought by gradients."
        ),
    ] = None,
    brought: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Attacks of others: a garak hit log, promptfoo results, an export of PyRIT, an "
            "Inspect log (.eval), or JSON lines.",
        ),
    ] = None,
    brought_principle: Annotated[
        str | None, typer.Option(metavar="ID", help="Principle of attacks that name none.")
    ] = None,
    templates: Annotated[bool, typer.Option(help="Attack with the templates.")] = True,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="What attacks are after; `kind` names the principle. Without it: the "
            "constitution's own probes; in the village the lab's requests.",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="Model that judges; in the village the answer key, where none is named."),
    ] = None,
    judging_prompts: Annotated[
        str, typer.Option(help="Prompt set that the judge is asked in, or a file.")
    ] = "default",
    budget: Annotated[
        int, typer.Option(min=1, max=10**7, help="Replies that the model may be asked for.")
    ] = 400,
    even: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the budget spent evenly, which gives the rates."),
    ] = 0.25,
    temperature: Annotated[
        float, typer.Option(min=0, max=100, help="Of the replies; 0: the likeliest.")
    ] = 0.7,
    max_tokens: Annotated[
        int, typer.Option(min=1, max=10**6, help="Longest reply, in tokens.")
    ] = 256,
    out: Annotated[Path, typer.Option(help="Folder of the red team.")] = Path("runs/redteam"),
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Attack a model by its constitution, and say which principle gives way to what.

    [bold]plumbrule redteam MODEL --constitution FILE --judge MODEL --out DIR[/]. Attacks come from
    templates, from a model (--attacker), from a search through the weights (--base) and from
    others' tools (--brought). A hole is a principle with a family of attacks, counted once however
    it is worded. OUT/hits.jsonl becomes regression tests by `plumbrule comply --add-test`. An
    interrupted red team goes on when the same command is given again. Exit code 1 where there is a
    hole.
    """
    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.cli.shown import typed
    from plumbrule.compliance.attacks import RedTeamSettings
    from plumbrule.judging import load_prompts
    from plumbrule.loop.red_teaming import red_team_and_report
    from plumbrule.models import Sampling
    from plumbrule.recipes.attacking import choose_attacks
    from plumbrule.recipes.complying import choose_tests

    chosen = choose_tests(constitution, prompts=prompts, plainly=True, seed=seed)
    chosen.check_judge(judge)
    settings = RedTeamSettings(
        budget=budget,
        even=even,
        sampling=Sampling(temperature=temperature, max_new_tokens=max_tokens),
        seed=seed,
    )
    with progress_bars(log=out / "progress.log") as tell:
        tell("loading", 0, 1)
        models = open_beside(out, model, judge, attacker, base, device=device, dtype=dtype)
        given = choose_attacks(
            chosen,
            models[model],
            attacker=models.get(attacker),
            base=models.get(base),
            brought=brought or [],
            brought_principle=brought_principle,
            templates=templates,
            seed=seed,
            tell=tell,
        )
        for note in (*chosen.notes, *given.notes):
            tell.say(note)
        found = red_team_and_report(
            models[model],
            chosen.law,
            chosen.tests,
            given.families,
            judge=chosen.judge(models, judge),
            out=out,
            settings=settings,
            judging_prompts=load_prompts(judging_prompts),
            named=given.named,
            notes=(*chosen.notes, *given.notes),
            command=typed(),
            tell=tell,
        )
    _say(found, given.families)
    if found.result.holes:
        raise typer.Exit(1)


def _say(found: "RedTeamOutcome", families: "tuple[AttackFamily, ...]") -> None:
    from rich.table import Table

    from plumbrule.cli.shown import plain_console, shown
    from plumbrule.report import estimate_text

    console = plain_console()
    table = Table(box=None, pad_edge=False)
    for name in ("family", "from", "holes", "tries", "succeed when drawn evenly"):
        table.add_column(name, justify="right" if name in ("holes", "tries") else "left")
    origins = {each.name: each.origin for each in families}
    for each in found.result.by_family:
        holes = sum(hole.family == each.name for hole in found.result.holes)
        rate = "-" if each.estimate is None else estimate_text(each.estimate)
        table.add_row(
            shown(each.name), origins.get(each.name, ""), str(holes), str(each.tries), rate
        )
    console.print(table)
    for line in found.content["summary"]:
        console.print(shown(line))
    console.print(f"Report: {shown(str(found.page))}")
