"""The verb `inspect heads`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plumbrule.mechanism import HeadMatch


def heads(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    against: Annotated[
        str | None,
        typer.Option(help="Another model of any family: which heads recur in it? Nothing else."),
    ] = None,
    sequences: Annotated[
        int, typer.Option(min=2, max=10**6, help="Random sequences that every head reads.")
    ] = 64,
    length: Annotated[
        int, typer.Option(min=3, max=10**6, help="Tokens of a sequence, which then comes again.")
    ] = 20,
    level: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest expected share of false claims, in each table."),
    ] = 0.05,
    show_all: Annotated[
        bool, typer.Option("--all", help="List every head, not only those confirmed.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random tokens.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Find heads with a known role, and heads that copy what they look at.

    Random tokens are read twice. A head that looks at the token before is `previous`, at the same
    token the time before `duplicate`, at what came after it then `induction`. A head copies where
    its output raises the token that it looks at. Positive share is the same question asked of its
    weights alone, from -1 to 1: 1 where it raises whatever it reads.

    With --against, each head's partner in another model is the one that looks at the same places on
    half of the sequences; it recurs if that holds on the other half, by more than for the best head
    of the other architecture with random weights.
    """
    from rich.console import Console

    from plumbrule.cli.inspect_model import say, table_of
    from plumbrule.mechanism import find_copying, find_heads, match_heads
    from plumbrule.mechanism.opening import open_with_sites
    from plumbrule.mechanism.texts import check_length

    opened_model, sites = open_with_sites(model, device=device, dtype=dtype)
    check_length(opened_model, 2 * length, f"--length {length}, read twice,")
    module = opened_model.module
    if against is not None:
        other, other_sites = open_with_sites(against, device=device, dtype=dtype)
        check_length(other, 2 * length, f"--length {length}, read twice,")
        found = match_heads(
            (module, sites),
            (other.module, other_sites),
            seed=seed,
            sequences=sequences,
            length=length,
            level=level,
        )
        _print_matches(found, f"{sites.family} in {other_sites.family}", show_all=show_all)
        return
    roles = find_heads(module, sites, seed=seed, sequences=sequences, length=length, level=level)
    copying = find_copying(
        module, sites, seed=seed, sequences=sequences, length=length, level=level
    )
    console = Console()
    claimed = sum(each.confirmed for each in roles), sum(each.confirmed for each in copying)
    say(
        console,
        f"{sites.family}: {claimed[0]} roles and {claimed[1]} copying heads confirmed, of "
        f"{len(roles)} and {len(copying)} tested.",
    )
    table = table_of("head", "role", "attention", "advantage", "confirmed")
    for role in roles:
        if role.confirmed or show_all:
            table.add_row(
                f"{role.layer}.heads.{role.head}",
                role.role,
                f"{role.attention:.2f}",
                _interval(role.advantage),
                "yes" if role.confirmed else "",
            )
    if table.row_count:
        console.print(table)
    table = table_of("head", "copies: raised over", "positive share", "confirmed")
    for copy in copying:
        if copy.confirmed or show_all:
            table.add_row(
                f"{copy.layer}.heads.{copy.head}",
                _interval(copy.advantage),
                "unknown" if copy.positive_share is None else f"{copy.positive_share:.2f}",
                "yes" if copy.confirmed else "",
            )
    if table.row_count:
        console.print(table)
    for reason in dict.fromkeys(each.reason for each in copying if each.reason):
        say(console, f"no positive share: {reason}")


def _print_matches(found: "Sequence[HeadMatch]", where: str, *, show_all: bool) -> None:
    from rich.console import Console

    from plumbrule.cli.inspect_model import say, table_of

    console = Console()
    sure = sum(each.confirmed for each in found)
    say(console, f"{where}: {sure} of {len(found)} heads recur.")
    table = table_of("head", "recurs as", "overlap", "random weights", "advantage", "confirmed")
    for each in found:
        if each.confirmed or show_all:
            table.add_row(
                f"{each.layer}.heads.{each.head}",
                f"{each.match_layer}.heads.{each.match_head}",
                f"{each.overlap:.2f}",
                f"{each.untrained_overlap:.2f}",
                _interval(each.advantage),
                "yes" if each.confirmed else "",
            )
    if table.row_count:
        console.print(table)


def _interval(estimate: object) -> str:
    from plumbrule.records import Estimate

    assert isinstance(estimate, Estimate)
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
