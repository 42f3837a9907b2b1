"""What a change reads of prompts, planted so that the answer is known."""

import copy

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.models.tiny import KINDS, build, make_tokenizer

from plumbrule.behavior.weights.changes import compare_weights
from plumbrule.behavior.weights.reading_in import combine, reading_in
from plumbrule.behavior.weights.spectra import Directions
from plumbrule.errors import DataError
from plumbrule.models import LocalModel, LocalSettings

# The adapter library still asks the model library by a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

TOKENIZER = make_tokenizer()
WORD = TOKENIZER.encode("window")[0]


def handle(module, **settings):
    return LocalModel(module, TOKENIZER, identity="test", settings=LocalSettings(**settings))


def prompts(count=60, seed=0, lengths=(4, 12)):
    """Random tokens; every third prompt holds the word."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        tokens = rng.integers(20, len(TOKENIZER), size=rng.integers(*lengths)).tolist()
        tokens = [token for token in tokens if token != WORD] or [20]
        if index % 3 == 0:
            tokens[rng.integers(len(tokens))] = WORD
        made.append(tokens)
    return made


def inputs_of(model, name, tokens):
    """What one module is given for one prompt alone."""
    kept = []
    hook = model.module.get_submodule(name).register_forward_pre_hook(
        lambda _module, given: kept.append(given[0])
    )
    with torch.no_grad():
        model.module(input_ids=torch.tensor([tokens]), use_cache=False)
    hook.remove()
    return kept[0][0]


def changed(module, name, amount):
    other = copy.deepcopy(module)
    with torch.no_grad():
        other.get_parameter(name).add_(amount)
    return other


def area(scores, truth):
    """Share of (affected, other) pairs in which the affected one is ahead."""
    ahead = scores[truth][:, None] - scores[~truth][None]
    return float((ahead > 0).mean() + 0.5 * (ahead == 0).mean())


@pytest.mark.parametrize(
    ("kind", "weight", "flip"),
    [
        ("llama", "model.layers.1.mlp.down_proj", False),
        ("gpt2", "transformer.h.1.mlp.c_fc", True),
        ("gpt2", "transformer.h.0.attn.c_proj", True),
        ("gpt_neox", "gpt_neox.layers.1.attention.dense", False),
    ],
)
def test_a_token_is_read_as_strongly_as_the_product_itself_says(kind, weight, flip):
    base = handle(build(kind, len(TOKENIZER)))
    shape = base.module.get_parameter(weight + ".weight").shape
    torch.manual_seed(0)
    change = torch.randn(shape[0], 2) @ torch.randn(2, shape[1])
    tuned = handle(changed(base.module, weight + ".weight", change))
    some = prompts(7)

    found = reading_in(base, compare_weights(base, tuned), some)

    for tokens, strengths in zip(some, found.tokens, strict=True):
        x = inputs_of(base, weight, tokens)
        product = x @ change if flip else x @ change.T
        random = change.norm() * x.norm(dim=-1) / x.shape[-1] ** 0.5
        # 1e-3: the change was read back from 32-bit sums with larger weights.
        assert np.allclose(strengths, (product.norm(dim=-1) / random).numpy(), rtol=1e-3)
        assert len(strengths) == len(tokens)


def test_a_change_made_for_one_word_ranks_the_prompts_that_hold_it():
    base = handle(build("llama", len(TOKENIZER)))
    name = "model.layers.0.self_attn.v_proj"
    x = inputs_of(base, name, [WORD])[-1]
    torch.manual_seed(1)
    rows = base.module.get_parameter(name + ".weight").shape[0]
    model = get_peft_model(
        copy.deepcopy(base.module), LoraConfig(r=1, lora_alpha=1, target_modules=["v_proj"])
    )
    with torch.no_grad():
        for part, value in model.named_parameters():
            if "layers.0" in part and "lora_A" in part:
                value.copy_(x[None] / x.norm())
            elif "layers.0" in part and "lora_B" in part:
                value.copy_(torch.randn(rows, 1))
    tuned = handle(model.merge_and_unload())
    some = prompts(90)
    truth = np.array([WORD in tokens for tokens in some])

    found = reading_in(base, compare_weights(base, tuned), some)

    assert found.modules == (name,)
    assert area(found.scores, truth) > 0.95
    strongest = [
        tokens[int(each.argmax())] for tokens, each in zip(some, found.tokens, strict=True)
    ]
    assert all(one == WORD for one, has in zip(strongest, truth, strict=True) if has)


def test_a_change_in_random_directions_ranks_no_prompt_ahead():
    base = handle(build("llama", len(TOKENIZER)))
    some = prompts(90)
    truth = np.array([WORD in tokens for tokens in some])
    areas, typical = [], []
    for seed in range(12):
        torch.manual_seed(seed)
        tuned = changed(base.module, "model.layers.0.self_attn.v_proj.weight", torch.randn(16, 32))
        found = reading_in(base, compare_weights(base, handle(tuned)), some)
        areas.append(area(found.scores, truth))
        typical.append(np.concatenate(found.tokens).mean())

    # The standard error of one area is about 0.065 here; the seeds share prompts and model.
    assert np.mean(areas) == pytest.approx(0.5, abs=0.1)
    # The unit: what a random change of the same size reads.
    assert np.mean(typical) == pytest.approx(1, abs=0.1)


def test_padding_and_neighbors_do_not_matter():
    base = handle(build("llama", len(TOKENIZER)))
    tuned = handle(changed(base.module, "model.layers.1.mlp.up_proj.weight", torch.randn(48, 32)))
    changes, some = compare_weights(base, tuned), prompts(20, lengths=(1, 30))

    together = reading_in(base, changes, some)
    alone = reading_in(handle(base.module, batch_size=1), changes, some)
    first = reading_in(base, changes, some[:1])

    assert np.allclose(together.reads, alone.reads, rtol=1e-4)
    assert np.allclose(together.scores, alone.scores, atol=1e-3)
    assert np.allclose(together.tokens[0], first.tokens[0], rtol=1e-4)


def test_a_changed_embedding_row_is_read_where_its_token_stands():
    base = handle(build("llama", len(TOKENIZER)))
    amount = torch.zeros(len(TOKENIZER), 32)
    amount[WORD] = 1.0
    tuned = handle(changed(base.module, "model.embed_tokens.weight", amount))
    some = prompts(30)

    found = reading_in(base, compare_weights(base, tuned), some)

    truth = np.array([WORD in tokens for tokens in some])
    assert area(found.scores, truth) == 1
    for tokens, strengths in zip(some, found.tokens, strict=True):
        assert [token == WORD for token in tokens] == [bool(value) for value in strengths]


def test_a_tied_embedding_is_read_at_both_of_its_places():
    base = handle(build("llama", len(TOKENIZER), tie_word_embeddings=True))
    tuned = handle(
        changed(base.module, "model.embed_tokens.weight", torch.randn(len(TOKENIZER), 32))
    )

    found = reading_in(base, compare_weights(base, tuned), prompts(6))

    assert found.modules == ("model.embed_tokens", "lm_head")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_listened_to_and_left_as_it_was(kind):
    base = handle(build(kind, len(TOKENIZER)))
    tuned = copy.deepcopy(base.module)
    with torch.no_grad():
        for value in tuned.parameters():
            if value.ndim == 2:
                value += 0.1 * torch.randn_like(value)
    base.module.train()
    before = {name: value.clone() for name, value in base.module.state_dict().items()}

    found = reading_in(base, compare_weights(base, handle(tuned)), prompts(8))

    layers = {name for name in found.modules if ".0." in name}
    assert layers
    assert found.reads.shape == (8, len(found.modules), 3)
    assert np.isfinite(found.scores).all()
    assert all(part.training for part in base.module.modules())
    assert not any(part._forward_pre_hooks for part in base.module.modules())
    for name, value in base.module.state_dict().items():
        assert torch.equal(value, before[name])


def test_hooks_are_taken_back_after_an_error():
    base = handle(build("llama", len(TOKENIZER)))
    tuned = handle(changed(base.module, "model.layers.1.mlp.up_proj.weight", torch.randn(48, 32)))
    changes = compare_weights(base, tuned)

    with pytest.raises(IndexError):
        reading_in(base, changes, [[len(TOKENIZER) + 50]])

    assert not any(part._forward_pre_hooks for part in base.module.modules())
    assert not any(part._forward_hooks for part in base.module.modules())


def test_what_cannot_be_listened_to_is_said_and_nothing_at_all_is_an_error():
    base = handle(build("llama", len(TOKENIZER)))
    norm = changed(base.module, "model.norm.weight", 0.5)
    both = handle(changed(norm, "model.layers.1.mlp.up_proj.weight", torch.randn(48, 32)))

    found = reading_in(base, compare_weights(base, both), prompts(3))

    assert found.unread == {"model.norm.weight": "it is no matrix"}
    with pytest.raises(DataError, match="no matrix"):
        reading_in(base, compare_weights(base, handle(norm)), prompts(3))
    with pytest.raises(DataError, match="no change"):
        reading_in(base, compare_weights(base, base), prompts(3))
    with pytest.raises(DataError, match="one token or more"):
        reading_in(base, compare_weights(base, both), [[5], []])


def test_prompts_that_are_read_alike_score_alike():
    reads = np.full((5, 3, 3), 0.7, dtype=np.float32)

    assert (combine(reads) == 0).all()
    assert (combine(reads[:1]) == 0).all()

    reads[2, 1, :] = 5.0
    scores = combine(reads)
    assert scores.argmax() == 2
    assert scores.mean() == pytest.approx(0, abs=1e-12)


def test_projections_are_means_over_the_last_tokens():
    base = handle(build("llama", len(TOKENIZER)))
    name = "model.layers.1.mlp.up_proj"
    tuned = handle(changed(base.module, name + ".weight", torch.randn(48, 1) @ torch.randn(1, 32)))
    changes, some = compare_weights(base, tuned), prompts(9)
    directions: Directions = changes.directions[name + ".weight"]

    found = reading_in(base, changes, some)

    last = torch.stack([inputs_of(base, name, tokens)[-1] for tokens in some])
    truth = (last @ directions.right).mean(0).numpy()
    assert np.allclose(found.projections[name + ".weight"][:1], truth[:1], rtol=1e-4)
