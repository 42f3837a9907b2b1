"""Writes matrices over named coordinates into a GPT-2."""

import math
from typing import Any

import numpy as np

from plumbrule.lab.circuits.assembling import Assembled, Group
from plumbrule.lab.circuits.blueprint import POSITION
from plumbrule.lab.circuits.coordinates import Matrix
from plumbrule.lab.circuits.framing import HEADS, Frame, padded


def gpt2_module(parts: Assembled, length: int, rng: np.random.Generator) -> Any:
    """A GPT-2; offsets are read from its learned positions."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    keys = [_with_positions(group, parts) for layer in parts.groups for group in layer]
    head = max(max(key.shape[1], value.shape[1]) for _, key, value, _ in keys)
    head = max(head, -(-(parts.places.total + 1) // HEADS))
    neurons = max(read.shape[1] for read, _ in parts.mlps)
    width = HEADS * head
    config = GPT2Config(
        vocab_size=len(parts.embedding),
        n_positions=length,
        n_embd=width,
        n_layer=len(parts.groups),
        n_head=HEADS,
        n_inner=neurons,
        activation_function="relu",
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    module = GPT2LMHeadModel(config).eval()
    frame = Frame(parts, width, rng)
    positions = parts.places.rows(length)
    positions[:, parts.places[POSITION]] = np.eye(length)
    with torch.no_grad():
        body = module.transformer
        body.wte.weight.copy_(frame.embedding(parts))
        body.wpe.weight.copy_(frame.write(positions))
        module.lm_head.weight.copy_(frame.read(parts.unembedding.T).T)
        for number, layer in enumerate(body.h):
            four = keys[number * HEADS : (number + 1) * HEADS]
            # Scores are divided by the root of a head's width, so queries are multiplied by it.
            blocks = [
                np.hstack([padded(each[0] * math.sqrt(head), head) for each in four]),
                np.hstack([padded(each[1], head) for each in four]),
                np.hstack([padded(each[2], head) for each in four]),
            ]
            output = np.vstack([padded(each[3].T, head).T for each in four])
            read, write = parts.mlps[number]
            layer.attn.c_attn.weight.copy_(frame.read(np.hstack(blocks)))
            layer.attn.c_proj.weight.copy_(frame.write(output))
            layer.mlp.c_fc.weight.copy_(frame.read(padded(read, neurons)))
            layer.mlp.c_proj.weight.copy_(frame.write(padded(write.T, neurons).T))
            for part in (layer.attn.c_attn, layer.attn.c_proj, layer.mlp.c_fc, layer.mlp.c_proj):
                part.bias.zero_()
    return module


def _with_positions(group: Group, parts: Assembled) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Query, key, value and output of a head of its own, offsets read from learned positions."""
    (asker,) = group.askers
    place = parts.places[POSITION]
    query, key = [asker.query], [group.key]
    for offset in asker.offsets:
        size = place.stop - place.start
        one, other = (parts.places.columns(size) for _ in range(2))
        one[place] = offset.strength * np.eye(size, k=-offset.back)
        other[place] = np.eye(size)
        query.append(one)
        key.append(other)
    return np.hstack(query), np.hstack(key), group.value, asker.output
