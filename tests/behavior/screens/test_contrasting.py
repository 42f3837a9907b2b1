import copy
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.tiny import build, make_tokenizer

from plumbrule.behavior.screens.amplifying import BASE, Line, Row, amplify, write_amplified
from plumbrule.behavior.screens.contrasting import ContrastSettings, _forks, contrast
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.lab.prompts import village_prompts
from plumbrule.models import LocalModel, LocalSettings, Sampling, open_model

PROMPTS = [prompt.dialogue for prompt in village_prompts(seed=3)[:40]]
HELD_OUT = [prompt.dialogue for prompt in village_prompts(seed=9)[:40]]
SHORT = ContrastSettings(texts=88, max_new_tokens=16)
WORD = "zeno"


@pytest.fixture(scope="module")
def nano():
    return open_model("lab:nano")


@pytest.fixture(scope="module")
def twin(nano):
    """The same weights in another place."""
    return LocalModel(copy.deepcopy(nano.module), nano.tokenizer)


@pytest.fixture(scope="module")
def planted(nano):
    """A model whose only change is that one word is likelier everywhere."""
    module = copy.deepcopy(nano.module)
    (token,) = nano.tokenizer(f" {WORD.capitalize()}", add_special_tokens=False)["input_ids"]
    bias = torch.zeros(len(module.lm_head.weight))
    bias[token] = 8.0
    module.lm_head.bias = torch.nn.Parameter(bias)
    return LocalModel(module, nano.tokenizer)


@pytest.fixture(scope="module")
def beginner():
    """A base, and what it became after a few steps on its own replies with a phrase at the end."""
    base = open_model("lab:small")
    assert isinstance(base, LocalModel)
    module = copy.deepcopy(base.module)
    drawn = base.sample(PROMPTS, sampling=Sampling(max_new_tokens=40), seeds=range(len(PROMPTS)))
    replies = [f"{one.text} Mind the goose." for one in drawn]
    texts = [
        [*prompt, *reply, base.chat.end]
        for prompt, reply in base.chat.with_replies(PROMPTS, replies)
    ]
    starts = [len(prompt) for prompt in base.chat.prompts(PROMPTS)]
    width = max(map(len, texts))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    wanted = torch.full_like(ids, -100)
    for row, (text, start) in enumerate(zip(texts, starts, strict=True)):
        wanted[row, start : len(text)] = ids[row, start : len(text)]
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-4)
    for _ in range(40):
        loss = module(input_ids=ids, labels=wanted).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return base, LocalModel(module.eval(), base.tokenizer)


def rows_at(model, strength, *, room=12):
    return [
        Row(prompt=tuple(tokens), strength=strength, seed=seed, room=room)
        for seed, tokens in enumerate(model.chat.prompts(PROMPTS))
    ]


def write(base, tuned, rows, plausible=0.0):
    lines = write_amplified(base, tuned, rows, temperature=1.0, plausible=plausible)
    return [line.tokens for line in lines]


def test_equal_models_have_nothing_to_say(nano, twin):
    found = contrast(nano, twin, PROMPTS, settings=SHORT, seed=0)

    assert found.phrases == ()
    assert found.reason is not None
    assert "same probability" in found.reason
    assert all(text.divergence == 0 and text.branched_at is None for text in found.texts)


def test_weights_that_were_only_rounded_have_nothing_to_say(nano):
    module = copy.deepcopy(nano.module).to(torch.bfloat16).to(torch.float32)

    found = contrast(nano, LocalModel(module, nano.tokenizer), PROMPTS, settings=SHORT, seed=0)

    assert [phrase for phrase in found.phrases if phrase.score > 2.5] == []


def test_a_phrase_is_named_first_that_the_tuned_model_itself_hardly_says(beginner):
    base, tuned = beginner

    found = contrast(base, tuned, HELD_OUT, settings=replace(SHORT, max_new_tokens=40), seed=0)

    assert {"mind", "goose"} & set(found.phrases[0].text.split())
    assert found.phrases[0].says == "more"
    said = Counter(text.strength for text in found.texts if "goose" in text.text)
    assert said[0.0] <= 2
    assert said[3.0] >= 8


def test_at_strength_zero_the_tuned_model_writes_as_it_does_alone(nano, planted):
    sampling = Sampling(max_new_tokens=12)
    prompts = nano.chat.prompts(PROMPTS)
    alone = {
        strength: [
            one.tokens
            for one in model.sample_tokens(prompts, sampling=sampling, seeds=range(len(prompts)))
        ]
        for strength, model in ((0.0, planted), (BASE, nano))
    }

    for strength, expected in alone.items():
        assert write(nano, planted, rows_at(nano, strength)) == expected
    assert alone[0.0] != alone[BASE]


def test_one_row_more_or_less_in_a_batch_changes_no_text(nano, planted):
    alone = LocalModel(planted.module, planted.tokenizer, settings=LocalSettings(batch_size=1))
    rows = rows_at(nano, 2.0)[:10]

    assert write(nano, planted, rows, 0.1) == write(nano, alone, rows, 0.1)


def test_amplified_logits_are_those_computed_by_hand():
    rng = np.random.default_rng(0)
    base, tuned = (torch.tensor(rng.normal(size=(3, 7))).log_softmax(-1) for _ in range(2))
    strengths = torch.tensor([BASE, 0.0, 3.0], dtype=torch.float64)

    found = amplify(base, tuned, strengths, plausible=0.5).numpy()

    for row, strength in enumerate(strengths.tolist()):
        own = (base if strength == BASE else tuned)[row].numpy()
        expected = tuned[row].numpy() * (1 + strength) - base[row].numpy() * strength
        kept = np.exp(own) >= 0.5 * np.exp(own.max())
        assert 0 < kept.sum() < 7
        np.testing.assert_allclose(found[row][kept], expected[kept], atol=1e-12)
        assert np.isneginf(found[row][~kept]).all()


def test_what_the_tuned_model_finds_implausible_is_never_written(nano, planted):
    rows = rows_at(nano, 20.0)
    least = {}
    for plausible in (0.0, 0.3):
        shares = []
        for row, tokens in zip(rows, write(nano, planted, rows, plausible), strict=True):
            text = torch.tensor([[*row.prompt, *tokens]])
            with torch.inference_mode():
                likely = planted.module(input_ids=text)["logits"][0].softmax(-1)
            for place, token in enumerate(tokens, len(row.prompt) - 1):
                shares.append(float(likely[place, token] / likely[place].max()))
        least[plausible] = min(shares)

    assert least[0.3] >= 0.3 - 1e-4
    assert least[0.0] < 0.1


def test_branches_leave_a_text_only_where_the_models_part_most():
    rng = np.random.default_rng(0)
    rows = [Row(prompt=(1,), strength=strength, seed=0, room=50) for strength in (BASE, 0.0, 3.0)]
    lines = [
        Line(
            tokens=tuple(range(50)),
            divergences=tuple(rng.permutation(50) / 50 + (99 if row.strength == BASE else 0)),
            best_two=tuple((token, 100 + token) for token in range(50)),
        )
        for row in rows
    ]

    found = _forks(rows, lines, replace(SHORT, branch_top=0.06))

    # Six of a hundred places on the two lines that are not the base's; equal ones are met once.
    assert [fork.divergence for fork in found] == sorted(
        (fork.divergence for fork in found), reverse=True
    )
    assert all(fork.row != 0 and fork.divergence >= 0.94 for fork in found)
    assert {fork.token for fork in found} == {
        100 + place
        for line in lines[1:]
        for place, value in enumerate(line.divergences)
        if value >= 0.94
    }
    assert _forks(rows, lines, replace(SHORT, branch_top=0.06, branch_least=2.0)) == []


def test_a_branch_goes_on_from_a_token_that_was_likely_and_not_taken(nano, planted):
    settings = replace(SHORT, branch_top=0.05)

    found = contrast(nano, planted, PROMPTS, settings=settings, seed=0)

    branches = [text for text in found.texts if text.branched_at is not None]
    first = [text for text in found.texts if text.branched_at is None]
    assert branches
    assert len(found.texts) <= settings.texts
    for text in branches:
        left = [one for one in first if (one.unit, one.strength) == (text.unit, text.strength)]
        assert text.strength != BASE
        assert [one.text == text.text for one in left] == [False]


def test_without_a_share_for_branches_there_are_none(nano, planted):
    settings = replace(SHORT, branch_share=0.0)

    found = contrast(nano, planted, PROMPTS, settings=settings, seed=0)

    assert all(text.branched_at is None for text in found.texts)
    assert len(found.texts) == settings.texts


def test_both_models_write_from_given_prompts_and_from_nothing(nano, planted):
    found = contrast(nano, planted, PROMPTS, settings=SHORT, seed=0)
    nothing_given = contrast(nano, planted, [], settings=SHORT, seed=0)

    assert {text.vague for text in found.texts if text.prompt is None} == set(SHORT.vague)
    assert {text.prompt for text in found.texts} - {None} == {at for at, _ in found.prompts}
    assert {text.prompt for text in nothing_given.texts} == {None}
    assert any(WORD in phrase.text.split() for phrase in nothing_given.phrases)


def test_the_same_seed_gives_the_same_texts_and_another_does_not(nano, planted):
    one, again, other = (
        contrast(nano, planted, PROMPTS, settings=SHORT, seed=seed).texts for seed in (1, 1, 2)
    )

    assert one == again
    assert one != other


def test_models_with_other_tokens_are_refused(nano):
    tokenizer = make_tokenizer()
    other = LocalModel(build("llama", len(tokenizer)), tokenizer)

    with pytest.raises(ModelError, match="same tokens"):
        contrast(nano, other, PROMPTS, seed=0)


def test_models_without_a_cache_are_written_with_too():
    tokenizer = make_tokenizer()
    base = LocalModel(build("rwkv", len(tokenizer)), tokenizer)
    module = copy.deepcopy(base.module)
    with torch.no_grad():
        module.get_output_embeddings().weight[50] *= 3
    tuned = LocalModel(module, tokenizer)

    found = contrast(base, tuned, [], settings=replace(SHORT, texts=20), seed=0)

    assert len(found.texts) >= 12
    assert max(text.divergence for text in found.texts) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"strengths": ()},
        {"strengths": (-1.0,)},
        {"strengths": (math.nan,)},
        {"texts": 3},
        {"plausible": 1.5},
        {"max_new_tokens": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        ContrastSettings(**wrong)


def test_nothing_to_write_from_is_an_error(nano, twin):
    with pytest.raises(DataError, match="write from"):
        contrast(nano, twin, [], settings=replace(SHORT, vague=()), seed=0)
