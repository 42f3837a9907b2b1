"""The verb `distill`: a student, a teacher and a constitution in, a taught student out."""

from pathlib import Path
from typing import Annotated

import typer

from plumbrule.cli.shown import typed


def distill(
    student: Annotated[str, typer.Argument(help="Model that learns: folder, hub id or lab:NAME.")],
    teacher: Annotated[
        str, typer.Option(help="Model that writes, critiques and revises; may be an endpoint.")
    ],
    constitution: Annotated[str, typer.Option(help="YAML file, or `default`, or `village`.")],
    prompts: Annotated[
        Path,
        typer.Option(help="JSON lines or a table; those held out are for the examination alone."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the distillation.")] = Path("runs/distill"),
    judge: Annotated[
        str | None,
        typer.Option(
            help="Model that keeps breaches out of what is learned, and examines before and after."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, help="Rounds of critique and revision.")
    ] = 1,
    told: Annotated[
        bool,
        typer.Option("--told/--untold", help="Let the teacher read the constitution as it writes."),
    ] = True,
    documents: Annotated[
        bool,
        typer.Option(
            "--documents", help="Let the student read documents about the constitution first."
        ),
    ] = False,
    epochs: Annotated[
        int, typer.Option(min=1, max=100_000, help="Times that each reply is learned.")
    ] = 2,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, max=10, help="Peak step size; default: 1e-4.")
    ] = None,
    lora: Annotated[
        bool | None,
        typer.Option(
            "--lora/--full",
            help="Train a low-rank adapter, or all weights; default: adapters above 50 million.",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Longest reply, in tokens.")
    ] = 256,
    judging_prompts: Annotated[
        str, typer.Option(help="Prompt set that teacher and judge are asked in, or a file.")
    ] = "default",
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Teach a small model what a larger one makes of a constitution.

    The teacher reads the constitution, replies, critiques and revises; the student learns what came
    of it and never reads the constitution. With [bold]--judge[/] no breach is learned, and the
    held-out prompts say what changed. An interrupted distillation goes on when the same command is
    given again.
    """
    from rich.console import Console
    from rich.markup import escape

    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.data import read_prompt_file
    from plumbrule.recipes.distilled import distillation_sentences, distillation_settings
    from plumbrule.recipes.distilling import distill as distill_into

    settings, note = distillation_settings(
        student,
        rounds=rounds,
        told=told,
        documents=documents,
        epochs=epochs,
        learning_rate=learning_rate,
        lora=lora,
        max_tokens=max_tokens,
        seed=seed,
    )
    with progress_bars() as tell:
        read = read_prompt_file(prompts)
        for said in (*read.notes, *([note] if note else [])):
            tell.say(said)
        models = open_beside(out, teacher, judge, device=device, dtype=dtype)
        found = distill_into(
            student,
            models[teacher],
            read.prompts,
            constitution,
            out=out,
            settings=settings,
            judge=models.get(judge),
            judging_prompts=judging_prompts,
            dtype=dtype,
            device=device,
            command=typed(),
            tell=tell,
        )
    console = Console()
    for line in distillation_sentences(found):
        console.print(escape(line), soft_wrap=True)
    console.print(f"Model:  {escape(str(found.model))}", soft_wrap=True)
    page = found.path / "report" / "index.html"
    console.print(f"Report: {escape(str(page))}", soft_wrap=True)
