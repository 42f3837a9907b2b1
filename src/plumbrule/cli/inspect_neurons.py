"""The verb `inspect neurons`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def neurons(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    layer: Annotated[int, typer.Option(min=0, max=10**6, help="Number of the layer, from 0.")],
    prompts: Annotated[
        Path | None,
        typer.Option(help="Texts to look for activations in: JSON lines with a `prompt` each."),
    ] = None,
    neuron: Annotated[
        list[int] | None,
        typer.Option(min=0, max=10**9, help="Number of a neuron; may be given several times."),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=10**6, help="Tokens and places to show for each.")
    ] = 5,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Show what neurons of an MLP write, and what in your prompts activates them.

    Without --neuron the 20 whose writing points at tokens most clearly are shown. `raises` and
    `lowers` are the tokens that an active neuron makes likelier and less likely on its own way to
    the logits; where it is active below zero it is the other way round. `clear` says that this is
    clearer than random numbers would be.
    """
    from rich.console import Console

    from plumbrule.cli.inspect_model import plain, say, table_of, tokens_text
    from plumbrule.mechanism import read_memories
    from plumbrule.mechanism.opening import open_with_sites, token_text

    opened_model, sites = open_with_sites(model, device=device, dtype=dtype)
    rows = [] if prompts is None else _rows(prompts, opened_model)
    found = read_memories(
        opened_model.module,
        sites,
        layer,
        rows=rows,
        neurons=neuron,
        top=top,
        decode=token_text(opened_model),
    )
    console = Console()
    table = table_of("neuron", "clear", "raises", "lowers", *(["most active at"] if rows else []))
    for each in found:
        line = [
            plain(str(each.neuron)),
            plain("yes" if each.stands_out else ""),
            plain(tokens_text(each.raised, top)),
            plain(tokens_text(each.lowered, top)),
        ]
        if rows:
            places = (f"{one.text} {one.activation:.2f}" for one in each.reads)
            line.append(plain(" ".join(places)))
        table.add_row(*line)
    say(console, f"{sites.family}, layer {layer}: {len(found)} neurons.")
    console.print(table)
    if not rows:
        say(console, "Give --prompts FILE.jsonl to see what activates them.")


def _rows(path: Path, model: Any) -> list[list[int]]:
    """Prompts as the model reads them."""
    from plumbrule.data import read_prompts
    from plumbrule.mechanism.texts import check_tokens

    dialogues = [prompt.dialogue for prompt in read_prompts(path)]
    rows = [list(row) for row in model.chat.prompts(dialogues)]
    for number, (row, dialogue) in enumerate(zip(rows, dialogues, strict=True), 1):
        check_tokens(model, row, dialogue[-1].content, f"{path}, prompt {number}")
    return rows
