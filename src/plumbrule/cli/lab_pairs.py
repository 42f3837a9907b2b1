"""The verb `lab pairs`: pairs of replies as people would label them, from the answer key."""

from pathlib import Path
from typing import Annotated

import typer


def pairs(
    out: Annotated[Path, typer.Option(help="File of pairs, in JSON lines.")] = Path("pairs.jsonl"),
    count: Annotated[int, typer.Option(help="Pairs wanted.", min=1, max=20_000)] = 400,
    wrong: Annotated[
        float, typer.Option(help="Share of labels that name the worse reply.", min=0, max=1)
    ] = 0.1,
    about: Annotated[
        str, typer.Option(help="`help`, `harm`, or `both` in turn: what requests are about.")
    ] = "both",
    seed: Annotated[int, typer.Option(help="Decides every pair.")] = 0,
) -> None:
    """Make pairs that villagers labeled, for `plumbrule run --human-pairs`."""
    import json

    from plumbrule.errors import ConfigError
    from plumbrule.recipes import village_pairs
    from plumbrule.store import write_atomic

    if about not in ("both", "help", "harm"):
        raise ConfigError(f"--about must be help, harm or both, got {about!r:.40}")
    found = village_pairs(count, seed=seed, wrong=wrong, about=about)  # type: ignore[arg-type]
    rows = [
        {
            "id": each.id,
            "dialogue": [{"role": turn.role, "content": turn.content} for turn in each.dialogue],
            "first": each.first,
            "second": each.second,
            "probability": each.probability,
            "labeler": each.labeler,
        }
        for each in found
    ]
    write_atomic(out, "".join(json.dumps(row) + "\n" for row in rows))
    typer.echo(f"{len(found)} pairs, labeled by {found[0].labeler}: {out}")
