"""The verb `inspect sites`, and the other verbs of `inspect`."""

from typing import Annotated

import typer

from plumbrule.cli.inspect_circuit import circuit
from plumbrule.cli.inspect_heads import heads
from plumbrule.cli.inspect_lens import lens
from plumbrule.cli.inspect_neurons import neurons
from plumbrule.cli.inspect_verdict import verdict
from plumbrule.cli.inspect_weights import weights

app = typer.Typer(help="Look inside a model.", no_args_is_help=True)
app.command()(circuit)
app.command()(heads)
app.command()(lens)
app.command()(neurons)
app.command()(verdict)
app.command()(weights)


@app.command()
def sites(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    device: Annotated[str, typer.Option(help="Where the model runs.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Number format of the weights.")] = "auto",
) -> None:
    """List the places at which activations can be read and exchanged, and check them.

    Sites are named alike for every family: `3.in` and `3.out` are the residual stream before and
    after layer 3, `3.attn` and `3.mlp` what its two halves write, `3.heads` all heads side by side.
    A model whose parts cannot be found, or are not read rightly, is refused with the reason.
    """
    from rich.console import Console
    from rich.table import Table

    from plumbrule.mechanism.opening import open_with_sites

    found = open_with_sites(model, device=device, dtype=dtype)[1]
    console = Console()
    table = Table("site", "module", "read", box=None, pad_edge=False)
    for site in found.sites:
        where = "what it takes in" if site.side == "in" else "what it gives out"
        heads = f", {site.heads} heads" if site.heads else ""
        scale = f", times {site.scale:g}" if site.scale != 1.0 else ""
        table.add_row(site.name, site.path, where + heads + scale)
    console.print(
        f"{found.family}: {len(found.layers)} layers, width {found.width}. What is read equals "
        "the model's own hidden states, and putting it back changes nothing."
    )
    console.print(table)
    for name, reason in found.missing:
        console.print(f"no {name}: {reason}", highlight=False, markup=False)
