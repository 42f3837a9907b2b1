"""The verb `inspect circuit`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plumbrule.records import strict

if TYPE_CHECKING:
    from plumbrule.mechanism import Circuit, Pair

SHOWN = 20
"""Edges in the printed table."""


@strict
@dataclass(frozen=True, kw_only=True)
class PairLine:
    """One line of a file of pairs."""

    clean: str
    corrupted: str
    right: str
    wrong: str


def circuit(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    pairs: Annotated[
        Path,
        typer.Option(help="JSON lines, each with clean, corrupted, right and wrong."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for circuit.json and circuit.svg.")],
    fdr: Annotated[
        float, typer.Option(help="Largest expected share of false edges among those claimed.")
    ] = 0.05,
    loss: Annotated[float, typer.Option(help="Faithfulness that pruning may cost.")] = 0.05,
    candidates: Annotated[int, typer.Option(help="Most edges to patch exactly.")] = 1024,
    chat: Annotated[
        bool, typer.Option(help="Read prompts as a user's messages, through the chat template.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the halves to search and to decide on.")] = 0,
    device: Annotated[str, typer.Option(help="Where the model runs.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Number format of the weights.")] = "auto",
) -> None:
    """Find the edges between heads and MLPs that carry an answer.

    Half of the pairs is searched, and every edge is decided on the other half by patching it, with
    at most the share given of false edges to be expected. `right` and `wrong` are single tokens;
    `clean` and `corrupted` have as many tokens as each other.
    """
    from plumbrule.cli.inspect_model import opened
    from plumbrule.mechanism import draw_circuit, edges_of, find_circuit
    from plumbrule.records import to_json
    from plumbrule.store import file_sha256, write_atomic

    handle, sites = opened(model, device=device, dtype=dtype)
    asked = read_pairs(pairs, _reader(handle, chat), handle.tokenizer)
    graph = edges_of(handle.module, sites)
    found = find_circuit(
        handle.module,
        sites,
        asked,
        seed=seed,
        fdr=fdr,
        loss=loss,
        candidates=candidates,
        graph=graph,
    )
    drawn = {edge: found.claim(edge).share for edge in found.standing}
    record = {
        "model": model,
        "identity": handle.identity,
        "pairs_sha256": file_sha256(pairs),
        "seed": seed,
        "circuit": to_json(found),
        "areas": [
            {"order": curve.order, "cpr": curve.cpr, "cmd": curve.cmd} for curve in found.curves
        ],
    }
    write_atomic(out / "circuit.json", json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    write_atomic(out / "circuit.svg", draw_circuit(graph, drawn, title=f"Circuit of {model}"))
    _print(found, out)


def _reader(opened: Any, chat: bool) -> Callable[[str], list[int]]:
    """How a prompt's text becomes tokens."""
    from plumbrule.records import Message

    def as_message(text: str) -> list[int]:
        tokens: list[int] = opened.chat.prompts([(Message("user", text),)])[0]
        return tokens

    def as_text(text: str) -> list[int]:
        tokens: list[int] = opened.tokenizer(text)["input_ids"]
        end = opened.tokenizer.eos_token_id
        # Some tokenizers close every text, which would be read as the prompt's last token.
        return tokens[:-1] if len(tokens) > 1 and tokens[-1] == end else tokens

    return as_message if chat else as_text


def read_pairs(
    path: Path, read: Callable[[str], Sequence[int]], tokenizer: Any
) -> tuple["Pair", ...]:
    """Read a file of pairs.

    Args:
        path: JSON lines.
        read: Makes tokens of a prompt.
        tokenizer: Makes tokens of an answer.

    Raises:
        DataError: A line does not hold a pair; its number is given.
    """
    from plumbrule.errors import DataError
    from plumbrule.mechanism import Pair
    from plumbrule.records import read_jsonl

    if not path.is_file():
        raise DataError(f"expected a file of pairs, there is no {path}")
    found = []
    for number, line in enumerate(read_jsonl(PairLine, path), 1):
        where = f"{path}, line {number}"
        clean, corrupted = (tuple(read(text)) for text in (line.clean, line.corrupted))
        if len(clean) != len(corrupted) or not clean:
            raise DataError(
                f"{where}: expected two prompts of as many tokens, so that each has its "
                f"counterpart; got {len(clean)} and {len(corrupted)}"
            )
        right, wrong = (
            _single(tokenizer, text, f"{where}: {name}")
            for name, text in (("right", line.right), ("wrong", line.wrong))
        )
        if right == wrong:
            raise DataError(f"{where}: right and wrong are the same token, {line.right!r}")
        found.append(Pair(clean=clean, corrupted=corrupted, right=right, wrong=wrong))
    return tuple(found)


def _single(tokenizer: Any, text: str, where: str) -> int:
    from plumbrule.errors import DataError

    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(tokens) != 1:
        pieces = tokenizer.convert_ids_to_tokens(tokens)
        raise DataError(
            f"{where} must be a single token, {text!r} is {len(tokens)}: {pieces}. Mind the space "
            "before a word, which belongs to its token in most tokenizers"
        )
    return int(tokens[0])


def _print(found: "Circuit", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    standing = [each for each in found.claims if each.stands]
    console.print(
        f"{found.family}: {len(standing)} of {found.scanned} edges stand, {len(found.claims)} "
        f"patched on {found.held_out} held-out pairs; at most {found.guarantee.level:.0%} of them "
        "false, in expectation."
    )
    table = Table("edge", "share", "matters in", "kept", box=None, pad_edge=False)
    for each in standing[:SHOWN]:
        table.add_row(
            str(each.edge),
            f"{each.share:+.1%}",
            f"{each.matters.value:.0%} of pairs",
            "yes" if each.edge in found.edges else "",
        )
    if standing:
        console.print(table)
    if len(standing) > SHOWN:
        console.print(f"and {len(standing) - SHOWN} more in circuit.json")
    if found.faithfulness is None:
        console.print(f"No faithfulness: {found.reason}", markup=False)
    else:
        console.print(
            f"Faithfulness {found.faithfulness:.3f} with {len(found.edges)} edges kept, "
            f"{found.faithfulness_of_claims:.3f} with all that stand."
        )
    for name, reason in found.notes:
        console.print(f"{name}: {reason}", markup=False)
    console.print(f"Written to {out}", markup=False)
