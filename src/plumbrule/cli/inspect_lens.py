"""The verb `inspect lens`."""

from typing import Annotated

import typer


def lens(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    text: Annotated[str, typer.Argument(help="What the model reads, such as a question.")],
    top: Annotated[int, typer.Option(min=1, max=10**6, help="Tokens to show at each depth.")] = 5,
    raw: Annotated[
        bool, typer.Option("--raw", help="Take the text as it is, without the chat template.")
    ] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Show what the model would say next if its later layers added nothing.

    One row a depth, from the embeddings to the model's own answer at the last row, each with the
    likeliest next tokens and their probabilities in percent. Early rows are a rough guide: the
    model was never trained to be read there.
    """
    import numpy as np
    import torch
    from rich.console import Console

    from plumbrule.cli.inspect_model import plain, table_of
    from plumbrule.mechanism import logit_lens
    from plumbrule.mechanism.opening import open_with_sites, token_text
    from plumbrule.mechanism.texts import check_tokens, text_tokens
    from plumbrule.records import Message

    opened_model, sites = open_with_sites(model, device=device, dtype=dtype)
    if raw:
        tokens = text_tokens(opened_model, text)
    else:
        tokens = opened_model.chat.prompts([(Message("user", text),)])[0]
    check_tokens(opened_model, tokens, text, "the text")
    ids = torch.tensor([list(tokens)], device=next(opened_model.module.parameters()).device)
    depths = logit_lens(opened_model.module, sites, ids)[:, 0]
    decode = token_text(opened_model)
    table = table_of("depth", "next token, percent")
    for depth, row in enumerate(depths):
        name = "embed" if depth == 0 else f"{depth - 1}.out"
        best = np.argsort(-row, kind="stable")[:top]
        said = "  ".join(f"{decode(int(each))} {100 * np.exp(row[each]):.1f}" for each in best)
        table.add_row(name, plain(said))
    Console().print(table)
