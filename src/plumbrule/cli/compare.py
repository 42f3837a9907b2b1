"""The verb `compare`: two models in, what changed between them out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from plumbrule.cli.shown import print_outcome, typed


def compare(
    base: Annotated[
        str | None, typer.Argument(help="Model before: hub id, folder, lab:NAME or endpoint.")
    ] = None,
    tuned: Annotated[
        str | None, typer.Argument(help="Model after: the same, or a PEFT adapter's folder.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompts the model is used with, as JSON lines; the claims are about them."
        ),
    ] = None,
    constitution: Annotated[
        str | None, typer.Option(help="Take a constitution's probes and twins as prompts too.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Model that proposes hypotheses and judges them blindly.")
    ] = None,
    fdr: Annotated[float, typer.Option(help="Largest expected share of false findings.")] = 0.05,
    min_effect: Annotated[
        float, typer.Option(help="Least move of a rate, 0 to 1, that is worth a finding.")
    ] = 0.05,
    budget: Annotated[
        int, typer.Option(help="Most texts to generate with both models together.")
    ] = 2000,
    method: Annotated[
        str,
        typer.Option(
            help="`guided`; `naive`: look at prompts drawn by chance alone; `exhaustive`: "
            "generate, cluster and test everything."
        ),
    ] = "guided",
    embedder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a sentence encoder that says what prompts are about; without it the "
            "base model's own states do."
        ),
    ] = None,
    localize: Annotated[
        bool | None,
        typer.Option(
            help="Search the layers that carry each finding; without either option only for "
            "models of at most 20 million parameters, because it takes minutes a finding."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the comparison.")] = Path("runs/compare"),
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="Longest reply, in tokens.")] = 64,
    thinking_tokens: Annotated[
        int | None,
        typer.Option(help="Tokens for an endpoint that thinks first; default: found out."),
    ] = None,
    reasoning_effort: Annotated[
        str | None, typer.Option(help="How hard such an endpoint is to think, e.g. `low`.")
    ] = None,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
    memory: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            help="Most memory to take, in GB; default: what is free. Where it does not hold both "
            "models, they take turns.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it will take, and start nothing.")
    ] = False,
    verify: Annotated[
        Path | None,
        typer.Option(help="Make every decision in this folder again from its samples, no models."),
    ] = None,
) -> None:
    """Find what changed between two models, with an error guarantee on every claim.

    [bold]plumbrule compare BASE TUNED --prompts FILE.jsonl --out DIR[/]. With two lab models the
    village's own prompts are used. An interrupted comparison goes on when the same command is
    given again; [bold]--plan[/] says beforehand what it takes. Exit code 0 where no change is
    confirmed, 1 where one is.
    """
    if verify is not None:
        _verify(verify)
        return
    from plumbrule.behavior import CompareSettings
    from plumbrule.errors import ConfigError
    from plumbrule.folders import paid_answers
    from plumbrule.loop.comparing import compare_and_report
    from plumbrule.loop.sizes import open_pair
    from plumbrule.models import EndpointSettings, open_model
    from plumbrule.recipes.choosing import comparison_prompts

    if base is None or tuned is None:
        raise ConfigError(
            "expected two models: plumbrule compare BASE TUNED --prompts FILE.jsonl; or "
            "--verify DIR to check a finished comparison"
        )
    settings = _settings(
        CompareSettings,
        fdr=fdr,
        min_effect=min_effect,
        budget=budget,
        method=method,
        localize=localize,
        seed=seed,
        sampling={"max_new_tokens": max_tokens},
    )
    from plumbrule.cli.progress import progress_bars

    with progress_bars(log=None if plan else out / "progress.log") as tell:
        tell("loading", 0, 2)
        cache = None if plan else paid_answers(out)
        asking = EndpointSettings(
            thinking_tokens=thinking_tokens, reasoning_effort=reasoning_effort
        )
        before, after, short = open_pair(
            base,
            tuned,
            most_bytes=None if memory is None else round(memory * 1e9),
            dtype=dtype,
            device=device,
            cache=cache,
            endpoint=asking,
        )
        judging = None if judge is None else open_model(judge, cache=cache, endpoint=asking)
        asked, notes = comparison_prompts(prompts, constitution, (base, tuned))
        for note in [*notes, *([short] if short else [])]:
            tell.say(note)
        tell("loading", 2, 2)
        if plan:
            from plumbrule.loop.comparison_plan import plan_comparison

            found = plan_comparison(before, after, asked, settings=settings, judge=judging)
            typer.echo("\n".join(found.lines()))
            return
        _, content = compare_and_report(
            out,
            before,
            after,
            asked,
            settings=settings,
            command=typed(),
            judge=judging,
            encoder=embedder,
            tell=tell,
        )
    print_outcome(content, out / "report")
    if content["findings"]:
        raise typer.Exit(1)


def _settings(kind: Any, **values: Any) -> Any:
    """Settings from the command line, refused in its words."""
    from pydantic import TypeAdapter, ValidationError

    from plumbrule.errors import ConfigError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        # Our own messages name what they are about; pydantic's need the option before them.
        problems = "; ".join(
            each["msg"].removeprefix("Value error, ")
            if each["type"] == "value_error"
            else f"--{str(each['loc'][-1]).replace('_', '-')}: {each['msg']}, got {each['input']}"
            for each in error.errors()
        )
        raise ConfigError(f"an option is out of range: {problems}") from error


def _verify(folder: Path) -> None:
    from rich.console import Console
    from rich.markup import escape

    from plumbrule.behavior import verify_comparison

    console = Console()
    checks = verify_comparison(folder)
    for check in checks:
        mark = "[green]holds[/]" if check.holds else "[red]does not hold[/]"
        console.print(f"{mark}  {escape(check.name)}: {escape(check.detail)}")
    if not all(check.holds for check in checks):
        raise typer.Exit(1)
