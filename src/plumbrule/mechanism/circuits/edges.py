"""Find every edge of a model's computation, and check that they are all there is.

Nothing is looked up by the family's name: which numbers are whose query, key or value is seen from
what they change. The whole is then held against the model: with every edge corrupted but those into
`final` and the embeddings', the model must say what it says of the corrupted prompt.

Axes: B rows, T tokens, D width, W writers, R readers.
"""

from typing import Any

from plumbrule.errors import ModelError
from plumbrule.mechanism.circuits.attention_decomposition import (
    ResidualReader,
    ResidualWriter,
    decompose_layer,
)
from plumbrule.mechanism.circuits.edge_patching import patched_edges, writes
from plumbrule.mechanism.circuits.graph import Graph
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.tracing import trace
from plumbrule.models.modules import evaluation_mode

AGREES = 1e-3
"""Largest error of a model with patched edges, in its logits, as a share of how far the two
prompts' logits are apart; more in half precision."""


def edges_of(module: Any, sites: Sites) -> Graph:
    """Find every writer, reader and edge of a model, and check that they are all there is.

    Args:
        module: The model; left as it was.
        sites: Its sites.

    Returns:
        The graph. Where attention cannot be split by heads, it writes as one `3.attn` and reads
        as one `3.attn.in`, and `notes` says why.

    Raises:
        ModelError: A layer's parts do not add up to what it adds, nothing is known to read the
            stream, or with patched edges it is another model; the layer or the error is named.

    Source:
        The graph of Elhage et al. (2021) and Wang et al. (2022), with one reader for each head's
        query and each key-value head's key and value; finding it by what parts do is ours.
    """
    seen = trace(module)
    writers = [ResidualWriter(name="embed", place=-1, sites=("embed",))]
    readers: list[ResidualReader] = []
    notes: list[tuple[str, str]] = []
    for number in range(len(sites.layers)):
        layer = decompose_layer(module, sites, seen, number)
        writers += layer.writers
        readers += layer.readers
        notes += layer.notes
    count = len(sites.layers)
    readers.append(
        ResidualReader(name="final", place=2 * count, kind="stream", parts=(sites.layers[-1].path,))
    )
    graph = Graph(
        family=sites.family,
        layers=count,
        width=sites.width,
        writers=tuple(writers),
        readers=tuple(readers),
        notes=tuple(notes),
    )
    check_graph(module, sites, graph, seen.ids)
    return graph


def check_graph(module: Any, sites: Sites, graph: Graph, ids: Any) -> None:
    """Hold the graph against the model itself.

    The first row of tokens is run with every edge corrupted by the second row, but `embed`'s alone
    into `final` and all others' into `final` left whole. Each part then reads the second row, so
    that every writer must write what it writes there, by itself, and with the second row's
    embeddings the logits must be the second row's.

    Raises:
        ModelError: They are not.
    """
    import torch

    ids = ids[:2]
    table = torch.tensor(graph.allowed)
    table[1:, -1] = False
    with evaluation_mode(module), torch.no_grad():
        plain = module(input_ids=ids, use_cache=False)["logits"].double()
        there = writes(module, sites, graph, ids[1:])
        with patched_edges(module, sites, graph, table[None], there):
            other = module(input_ids=ids[:1], use_cache=False)["logits"].double()
    apart = float((plain[1] - plain[0]).abs().max())
    error = float((other[0] - plain[1]).abs().max())
    least = max(AGREES, 64 * torch.finfo(next(module.parameters()).dtype).eps)
    if not error <= least * apart:
        raise ModelError(
            f"{graph.family}: with every reader given another prompt's stream the logits are "
            f"{error:.2g} from that prompt's, where the prompts are {apart:.2g} apart; something "
            "reads the stream that is not known, so that edges cannot be told"
        )
