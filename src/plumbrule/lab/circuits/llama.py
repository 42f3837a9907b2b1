"""Writes matrices over named coordinates into a Llama with grouped-query attention.

There are no positions in the stream. Heads that look a fixed number of tokens back do so by rotary
embeddings: the first pairs of channels of each head turn fast, and are kept for that; the others
turn so slowly that what is matched there does not depend on the distance.
"""

import math
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.circuits.assembling import Assembled, Group
from plumbrule.lab.circuits.blueprint import ONE, Offset
from plumbrule.lab.circuits.coordinates import Matrix
from plumbrule.lab.circuits.framing import HEADS, Frame, padded

SHARED = 2
"""Query heads that share a key-value head."""

TURNS, RATIO = 6, 0.3
"""Pairs of channels kept from matching, and how much slower each turns than the one before it. The
first turns by one radian a token, the first that matches by 0.0007."""

POSITION_TURNS = 3
"""With how many of those pairs an offset is looked up."""


def llama_module(parts: Assembled, length: int, rng: np.random.Generator) -> Any:
    """A Llama in which `SHARED` query heads share each key and value."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    groups = [group for layer in parts.groups for group in layer]
    still = max(1, *(-(-group.key.shape[1] // 2) for group in groups))
    moved = max(group.value.shape[1] for group in groups)
    head = max(2 * (TURNS + still), moved + moved % 2)
    neurons = max(read.shape[1] for read, _ in parts.mlps)
    width = HEADS * -(-(parts.places.total + 1) // HEADS)
    config = LlamaConfig(
        vocab_size=len(parts.embedding),
        max_position_embeddings=length,
        hidden_size=width,
        head_dim=head,
        intermediate_size=neurons,
        num_hidden_layers=len(parts.groups),
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // SHARED,
        hidden_act="relu",
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": RATIO ** (-head / 2)},
        bos_token_id=None,
        eos_token_id=None,
    )
    module = LlamaForCausalLM(config).eval()
    frame = Frame(parts, width, rng)
    with torch.no_grad():
        module.model.embed_tokens.weight.copy_(frame.embedding(parts))
        module.lm_head.weight.copy_(frame.read(parts.unembedding.T).T)
        for number, layer in enumerate(module.model.layers):
            four = [_rotary(group, parts, head, length) for group in parts.groups[number]]
            read, write = parts.mlps[number]
            ones = parts.places.columns(neurons)
            ones[parts.places[ONE]] = 1.0
            for target, columns in (
                (layer.self_attn.q_proj, np.hstack([each[0] for each in four])),
                (layer.self_attn.k_proj, np.hstack([each[1] for each in four])),
                (layer.self_attn.v_proj, np.hstack([each[2] for each in four])),
                # Neurons are gates; what they let through is the constant.
                (layer.mlp.gate_proj, padded(read, neurons)),
                (layer.mlp.up_proj, ones),
            ):
                target.weight.copy_(frame.read(columns).T)
            output = np.vstack([each[3] for each in four])
            layer.self_attn.o_proj.weight.copy_(frame.write(output).T)
            layer.mlp.down_proj.weight.copy_(frame.write(padded(write.T, neurons).T).T)
    return module


def _rotary(
    group: Group, parts: Assembled, head: int, length: int
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Queries, key, value and outputs of a key-value head, offsets read from rotary channels."""
    one = parts.places[ONE]
    key = _in_still_channels(group.key, head)
    queries, outputs = [], []
    for asker in group.askers:
        query = _in_still_channels(asker.query, head)
        for offset in asker.offsets:
            size = offset.strength / _lead(offset, length)
            for pair in range(POSITION_TURNS):
                angle = -offset.back * RATIO**pair
                query[one, pair] = size * math.cos(angle)
                query[one, pair + head // 2] = size * math.sin(angle)
                key[one, pair] = 1.0
        queries.append(query * math.sqrt(head))
        outputs.append(padded(asker.output.T, head).T)
    return np.hstack(queries), key, padded(group.value, head), np.vstack(outputs)


def _in_still_channels(columns: Matrix, head: int) -> Matrix:
    """Put a query's or key's channels where rotary embeddings hardly turn them."""
    half = head // 2
    free = [*range(TURNS, half), *range(half + TURNS, head)]
    found = np.zeros((len(columns), head))
    found[:, free[: columns.shape[1]]] = columns
    return found


def _lead(offset: Offset, length: int) -> float:
    """How far the score of a look back is above that of any other position, per unit of size."""
    if offset.strength < 0:
        raise ConfigError(
            "rotary embeddings cannot keep sharply away from one position, got an offset of "
            f"strength {offset.strength:g}; build this task as gpt2"
        )
    away = np.array([back for back in range(length) if back != offset.back]) - offset.back
    scores = sum(np.cos(away * RATIO**pair) for pair in range(POSITION_TURNS))
    return float(POSITION_TURNS - np.max(scores))
