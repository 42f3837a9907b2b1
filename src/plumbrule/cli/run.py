"""The verb `run`: constitution and model in, aligned model and report out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plumbrule.cli.shown import print_outcome, typed

if TYPE_CHECKING:  # torch and its like take seconds to import; --help must not wait for them
    from plumbrule.loop import RunPlan


def run(
    model: Annotated[
        str | None, typer.Option(help="Model to train: hub id, folder, PEFT adapter or lab:NAME.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help='JSON lines, such as {"prompt": …, "deserves_help": true}, or a table.'),
    ] = None,
    constitution: Annotated[
        str | None, typer.Option(help="YAML file, or `default`, or `village`.")
    ] = None,
    critic: Annotated[
        str | None, typer.Option(help="Who critiques and compares; default: the model itself.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Who grades the examination; default: the critic.")
    ] = None,
    held_out_judge: Annotated[
        str | None,
        typer.Option(help="Who grades first and last model beside the judge, and teaches nothing."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="What `plumbrule judge certify` wrote of the judge: the report corrects its rates "
            "by it.",
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="`constitutional`, `rlhf` or `hybrid`: whose labels to learn from; `quick` or "
            "`small`: sizes; or a YAML file with a run's fields, such as a config.yaml. Several: "
            "each over the one before."
        ),
    ] = None,
    human_pairs: Annotated[
        Path | None,
        typer.Option(
            help='Pairs that people labeled: {"prompt": …, "chosen": …, "rejected": …}, two '
            "conversations as in hh-rlhf, or first, second and probability."
        ),
    ] = None,
    demonstrations: Annotated[
        Path | None,
        typer.Option(help='Replies to imitate: {"prompt": …, "response": …} or conversations.'),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/village"),
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="Training against the reward model: `dpo`, `grpo`, `rloo`, `ppo`, or `none`."
        ),
    ] = None,
    watch: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10**5,
            help="Training prompts set aside to watch training against the reward by: it stops "
            "where replies collapse, or where the held-out judge sees them get worse.",
        ),
    ] = None,
    verdict: Annotated[
        bool,
        typer.Option(
            "--verdict", help="Find out at the end whether each principle is held or only shown."
        ),
    ] = False,
    lora: Annotated[
        bool | None,
        typer.Option(
            "--lora/--full",
            help="Train low-rank adapters, or all weights; default: adapters above 50 million.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it will take, and start nothing.")
    ] = False,
    teach_anyway: Annotated[
        bool,
        typer.Option("--teach-anyway", help="Let a critic teach that was seen not to work."),
    ] = False,
    thinking_tokens: Annotated[
        int | None,
        typer.Option(help="Tokens for an endpoint that thinks first; default: found out."),
    ] = None,
    reasoning_effort: Annotated[
        str | None, typer.Option(help="How hard such an endpoint is to think, e.g. `low`.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Who does the shards: `local:N`, N processes here, or a Ray cluster's address.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="`auto`, `cpu`, `cuda`.")] = None,
    dtype: Annotated[str | None, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = None,
) -> None:
    """Train a model on a constitution and show what changed.

    With no options it runs the village: a model of a third of a million parameters, a constitution
    of ten principles, an answer key, three minutes on two cores. An interrupted run goes on when
    the same command is given again.

    On your own model: [bold]plumbrule run --model DIR_OR_ID --prompts FILE.jsonl --constitution
    FILE.yaml --critic SPEC --judge SPEC --out DIR[/]. From people's labels in place of a critic's:
    [bold]--recipe rlhf --human-pairs FILE.jsonl[/]; from both: [bold]--recipe hybrid[/]. With
    [bold]--recipe small[/] it is set for a model of a hundred million parameters and about an hour
    on one core; [bold]--plan[/] says beforehand what it will take.
    """
    from contextlib import nullcontext

    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop import align, settle_adapters
    from plumbrule.loop import plan as plan_run
    from plumbrule.recipes.choosing import choose_run
    from plumbrule.scaling import ray_workers
    from plumbrule.store import one_after_another

    given: dict[str, Any] = {
        "model": model,
        "prompts": None if prompts is None else str(prompts),
        "constitution": constitution,
        "critic": critic,
        "judge": judge,
        "held_out_judge": held_out_judge,
        "certificate": None if certificate is None else str(certificate),
        "human_pairs": None if human_pairs is None else str(human_pairs),
        "demonstrations": None if demonstrations is None else str(demonstrations),
        "seed": seed,
        "method": method,
        "watched": watch,
        "thinking_tokens": thinking_tokens,
        "reasoning_effort": reasoning_effort,
        "device": device,
        "dtype": dtype,
        "adapters": lora,
        "teach_anyway": teach_anyway or None,
        "verdict": {} if verdict else None,
    }
    with progress_bars(log=None if plan else out / "progress.log") as tell:
        tell("loading", 0, 1)
        asked = choose_run(given, recipe or ())
        for note in asked.notes:
            tell.say(note)
        chosen = asked.recipe
        config, said = settle_adapters(chosen.config)
        if said:
            tell.say(said)
        if plan:
            found = plan_run(config, prompts=chosen.prompts, out=out)
            typer.echo("\n".join(found.lines()))
            return

        def planned(found: "RunPlan") -> None:
            for line in found.lines():
                tell.say(line)
            tell.expect({each.stage.name: each.seconds or 0.0 for each in found.stages})

        with nullcontext(one_after_another) if ray is None else ray_workers(ray) as fan:
            outcome = align(
                config,
                prompts=chosen.prompts,
                oracle=chosen.oracle,
                subjects=asked.subjects,
                out=out,
                command=typed(),
                tell=tell,
                # Where truth is known models are tiny, and a plan would take longer than a stage.
                planned=None if chosen.oracle else planned,
                fan=fan,
            )
    print_outcome(outcome.content, outcome.report, outcome.model)
    if not outcome.gates_passed:
        raise typer.Exit(1)
