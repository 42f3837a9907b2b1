"""The verb `inspect repair`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from plumbrule.mechanism import RepairPrompts, Violates
    from plumbrule.records import Prompt


def repair(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    shows: Annotated[Path, typer.Option(help="Prompts whose replies show the fault.")],
    keeps: Annotated[
        Path, typer.Option(help="Prompts that are to be answered as they are: ordinary ones.")
    ],
    fault: Annotated[
        str, typer.Option(help="Regular expression; a reply that holds it shows the fault.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the repair, the model and the receipt.")],
    says: Annotated[
        str, typer.Option(help="The fault in a sentence, for the receipt.")
    ] = "replies that match --fault",
    twins: Annotated[
        Path | None,
        typer.Option(help="Prompts most like those of --shows that are rightly answered."),
    ] = None,
    matched: Annotated[
        Path | None,
        typer.Option(help="The fault's surroundings with other content, only measured on."),
    ] = None,
    useful: Annotated[
        str | None,
        typer.Option(help="Regular expression; a reply that holds it is right, where measured."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Model that never had the fault, for the steps to relearn it."),
    ] = None,
    method: Annotated[str, typer.Option(help="`fitted` or `ablation`.")] = "fitted",
    fit: Annotated[
        int, typer.Option(min=4, max=10**5, help="Most prompts of each sort to fit to.")
    ] = 32,
    matrices: Annotated[
        int, typer.Option(min=1, max=10**4, help="Most matrices that are changed.")
    ] = 6,
    rank: Annotated[int, typer.Option(min=1, max=1024, help="Rank of each change.")] = 1,
    depth: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the lower layers to leave alone.")
    ] = 0.0,
    steps: Annotated[int, typer.Option(min=1, max=10**5, help="Steps of each round.")] = 16,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, max=10**5, help="Longest reply, in tokens.")
    ] = 48,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Repair a fault in a model's weights, without training it anew, and measure the repair.

    A part of each file is fitted to, the rest is measured on. Writes the repaired model as an
    ordinary checkpoint, what takes the repair back to the byte, and a receipt: what was removed,
    how far the model moved elsewhere, and whether the repair holds under rounding, further training
    and relearning. An interrupted repair goes on when the same command is given again.
    """
    from rich.console import Console

    from plumbrule.cli.inspect_model import say
    from plumbrule.cli.progress import progress_bars
    from plumbrule.errors import ConfigError
    from plumbrule.folders import held_folder
    from plumbrule.mechanism import ReceiptSettings, RepairSettings, receipt_text
    from plumbrule.mechanism import repair as repair_model
    from plumbrule.mechanism.opening import open_with_sites
    from plumbrule.models import Sampling

    if method not in ("fitted", "ablation"):
        raise ConfigError(f"--method must be fitted or ablation, got {method!r:.40}")
    violates = _grader(fault, "--fault")
    right = None if useful is None else _grader(useful, "--useful")
    prompts = _prompts(shows, keeps, twins, matched, fit)
    sampling = Sampling(max_new_tokens=max_new_tokens)
    settings = RepairSettings(
        matrices=matrices, rank=rank, depth=depth, steps=steps, sampling=sampling
    )
    handle, _ = open_with_sites(model, device=device, dtype=dtype)
    control = None
    if against is not None:
        control, _ = open_with_sites(against, device=device, dtype=dtype)
    ours = {"model": handle.identity, "fault": fault, "useful": useful, "method": method}
    with (
        held_folder(out, marker="repairing.json", ours=ours, configuration=""),
        progress_bars() as tell,
    ):
        found = repair_model(
            handle,
            prompts,
            violates,
            out,
            fixes=says,
            check=f"replies that match {fault!r}",
            method="fitted" if method == "fitted" else "ablation",
            settings=settings,
            measuring=ReceiptSettings(sampling=sampling),
            useful=right,
            control=control,
            seed=seed,
            tell=tell,
        )
    console = Console()
    say(console, receipt_text(found.receipt))
    say(console, f"\nRepaired model: {found.folder}")


def _grader(expression: str, option: str) -> "Violates":
    """What a regular expression says of a reply; an empty reply cannot be judged.

    Raises:
        ConfigError: It is none.
    """
    import re

    from plumbrule.errors import ConfigError

    try:
        pattern = re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(
            f"{option} must be a regular expression, got {expression!r:.60}: {error}"
        ) from error
    return lambda prompt, reply: bool(pattern.search(reply)) if reply.strip() else None


def _prompts(
    shows: Path, keeps: Path, twins: Path | None, matched: Path | None, fit: int
) -> "RepairPrompts":
    """The prompts of the files, cut into those to fit to and those to measure on."""
    from plumbrule.data import read_prompts
    from plumbrule.mechanism import RepairPrompts

    def cut(path: Path, option: str, most: int) -> "tuple[list[Prompt], list[Prompt]]":
        read = read_prompts(path, option)
        fitted = [each for each in read if not each.held_out][:most]
        chosen = {each.id for each in fitted}
        return fitted, [each for each in read if each.id not in chosen]

    shown, held_out = cut(shows, "--shows", fit)
    near, others = cut(twins, "--twins", fit // 2) if twins is not None else ([], [])
    kept, neutral = cut(keeps, "--keeps", fit - len(near))
    return RepairPrompts(
        shown=shown,
        kept=[*near, *kept],
        held_out=held_out,
        neutral=neutral,
        matched=[] if matched is None else read_prompts(matched, "--matched"),
        twins=others,
    )
