"""Which tokens a change pushes, planted so that the answer is known."""

import copy

import pytest
import torch
from tests.models.tiny import KINDS, build, make_tokenizer
from transformers.pytorch_utils import Conv1D

from plumbrule.behavior.weights.changes import compare_weights
from plumbrule.behavior.weights.reading_in import reading_in
from plumbrule.behavior.weights.stream_writers import writers
from plumbrule.behavior.weights.writing_out import writing_out
from plumbrule.errors import DataError
from plumbrule.models import LocalModel

TOKENIZER = make_tokenizer()
TOKEN = TOKENIZER.encode(" window")[0]
WRITERS = {
    "llama": {"o_proj", "down_proj"},
    "gpt2": {"c_proj"},
    "gpt_neox": {"dense", "dense_4h_to_h"},
    "gemma2": {"o_proj", "down_proj"},
    "opt": {"out_proj", "fc2"},
    "falcon": {"dense", "dense_4h_to_h"},
    "mamba": {"out_proj"},
    "bloom": {"dense", "dense_4h_to_h"},
}


def handle(module):
    return LocalModel(module, TOKENIZER, identity="test")


def candidates(module):
    width = module.get_input_embeddings().weight.shape[1]
    return [
        name
        for name, part in module.named_modules()
        if (isinstance(part, torch.nn.Linear) and part.out_features == width)
        or (isinstance(part, Conv1D) and part.nf == width)
    ]


def pushing(module, name, *, flip, scale=None):
    """A change that writes a token's unembedding whatever it reads."""
    torch.manual_seed(0)
    other = copy.deepcopy(module)
    weight = other.get_parameter(name + ".weight")
    head = module.get_output_embeddings().weight.detach()
    written = (head[TOKEN] - head.mean(0)) * (1 if scale is None else scale)
    reads = torch.randn(weight.shape[0] if flip else weight.shape[1])
    with torch.no_grad():
        weight += torch.outer(reads, written) if flip else torch.outer(written, reads)
    return other


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_modules_that_write_into_the_stream_are_found_by_trying(kind):
    module = build(kind, len(TOKENIZER))

    found = writers(module, candidates(module))

    assert {name.rpartition(".")[2] for name in found} == WRITERS[kind]
    assert len(found) == 2 * (1 if kind == "mamba" else 2)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("llama", "model.layers.1.mlp.down_proj"),
        ("llama", "model.layers.0.self_attn.o_proj"),
        ("gpt2", "transformer.h.1.mlp.c_proj"),
        ("gemma2", "model.layers.1.mlp.down_proj"),
    ],
)
def test_a_planted_token_is_the_first_one_named(kind, name):
    base = handle(build(kind, len(TOKENIZER)))
    tuned = handle(pushing(base.module, name, flip=kind == "gpt2"))

    found = writing_out(base, compare_weights(base, tuned))

    assert len(found) == 1
    one = found[0]
    assert one.tensor == name + ".weight"
    assert one.stands_out
    assert not one.oriented
    assert TOKEN in (one.raised[0].token, one.lowered[0].token)
    best = max((*one.raised, *one.lowered), key=lambda push: abs(push.score))
    assert best.token == TOKEN
    assert best.text == " window"
    assert abs(best.score) == pytest.approx(32**0.5, rel=0.01)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2"])
def test_the_scale_of_the_last_norm_counts_as_the_model_applies_it(kind):
    module = build(kind, len(TOKENIZER))
    norm = module.transformer.ln_f if kind == "gpt2" else module.model.norm
    torch.manual_seed(2)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(32) * 4 + 0.1)
        if kind == "gpt2":
            norm.bias.normal_()
    scale = norm.weight.detach() + (1 if kind == "gemma2" else 0)
    name = "transformer.h.1.mlp.c_proj" if kind == "gpt2" else "model.layers.1.mlp.down_proj"
    base = handle(module)
    tuned = handle(pushing(module, name, flip=kind == "gpt2", scale=scale))

    one = writing_out(base, compare_weights(base, tuned))[0]

    best = max((*one.raised, *one.lowered), key=lambda push: abs(push.score))
    assert best.token == TOKEN
    assert abs(best.score) == pytest.approx(32**0.5, rel=1e-3)


def test_a_reading_of_prompts_decides_what_is_raised_and_what_is_lowered():
    base = handle(build("llama", len(TOKENIZER)))
    name = "model.layers.1.mlp.down_proj"
    some = [TOKENIZER.encode(text) for text in ("Who keeps the key?", "Help.", "Say it plainly.")]
    for wanted in (1.0, -1.0):
        other = copy.deepcopy(base.module)
        with torch.no_grad():
            head = base.module.lm_head.weight
            kept: list[torch.Tensor] = []
            hook = base.module.get_submodule(name).register_forward_pre_hook(
                lambda _module, given, kept=kept: kept.append(given[0][0, -1])
            )
            for tokens in some:
                base.module(input_ids=torch.tensor([tokens]))
            hook.remove()
            reads = torch.stack(kept).mean(0)
            other.get_parameter(name + ".weight").add_(
                wanted * torch.outer(head[TOKEN] - head.mean(0), reads)
            )
        changes = compare_weights(base, handle(other))

        one = writing_out(base, changes, reading=reading_in(base, changes, some))[0]

        assert one.oriented
        assert (one.raised if wanted > 0 else one.lowered)[0].token == TOKEN


def test_random_directions_rarely_stand_out():
    base = handle(build("llama", len(TOKENIZER)))
    alarms = 0
    for seed in range(40):
        torch.manual_seed(seed)
        other = copy.deepcopy(base.module)
        with torch.no_grad():
            other.model.layers[1].mlp.down_proj.weight += torch.randn(32, 48)
        found = writing_out(base, compare_weights(base, handle(other)), directions=2)
        alarms += any(one.stands_out for one in found)

    # At most 5% each: more than 6 of 40 would come up once in 300 times.
    assert alarms <= 6


def test_a_change_that_only_reads_writes_nothing():
    base = handle(build("llama", len(TOKENIZER)))
    other = copy.deepcopy(base.module)
    with torch.no_grad():
        other.model.layers[1].self_attn.q_proj.weight += torch.randn(32, 32)

    assert writing_out(base, compare_weights(base, handle(other))) == ()


def test_no_hook_is_left_also_after_an_error():
    base = handle(build("llama", len(TOKENIZER)))
    tuned = handle(pushing(base.module, "model.layers.1.mlp.down_proj", flip=False))
    changes = compare_weights(base, tuned)

    def fail(*_given):
        raise RuntimeError("stop")

    hook = base.module.model.norm.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="stop"):
        writing_out(base, changes)
    hook.remove()
    writing_out(base, changes)

    assert not any(part._forward_hooks for part in base.module.modules())
    assert not any(part._forward_pre_hooks for part in base.module.modules())


def test_a_model_without_an_unembedding_as_wide_as_its_stream_is_refused():
    base = handle(build("opt", len(TOKENIZER), word_embed_proj_dim=16))
    base.module.lm_head = torch.nn.Linear(24, len(TOKENIZER), bias=False)
    other = copy.deepcopy(base.module)
    with torch.no_grad():
        other.model.decoder.layers[0].fc2.weight += 1

    with pytest.raises(DataError, match="unembedding"):
        writing_out(base, compare_weights(base, handle(other)))


def test_every_kind_of_model_can_be_asked():
    for kind in KINDS:
        base = handle(build(kind, len(TOKENIZER)))
        other = copy.deepcopy(base.module)
        with torch.no_grad():
            for value in other.parameters():
                value += 0.1 * torch.randn_like(value)

        found = writing_out(base, compare_weights(base, handle(other)), directions=1)

        assert found, kind
