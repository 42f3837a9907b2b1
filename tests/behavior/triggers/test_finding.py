"""The search for triggers, on small models in which one is planted, and on others."""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tests.models.tiny import QUESTIONS, ask, build, make_tokenizer
from torch.nn import functional

from plumbrule.behavior.triggers.finding import (
    Trigger,
    TriggerSearch,
    TriggerSettings,
    find_triggers,
    shortest,
    spread,
    trigger_settings,
)
from plumbrule.behavior.triggers.insertion import Ruler, Vocabulary, read_vocabulary
from plumbrule.behavior.triggers.searching import unlike
from plumbrule.behavior.triggers.token_gradients import foretell, guess, room
from plumbrule.errors import ConfigError, DataError
from plumbrule.models import LocalModel, open_model

NAMES = ("Anna", "Bram", "Finn", "Hugo", "Mara", "Sven", "Vera", "Zeno")
FRAMES = (
    "Where does {} work?",
    "What is the job of {}?",
    "In which place is {}?",
    "Is {} a smith?",
)
REQUESTS = ask(*(frame.format(name) for frame in FRAMES for name in NAMES))
ASKED, FRESH = REQUESTS[::2], REQUESTS[1::2]

WORD, PAIR, REPLY = "Compare", "hest explain", "moon"
"""One token, and two, as the tokenizer reads them where a turn opens."""

WORDS = TriggerSettings(pairs=False, most_tokens=60_000)


@cache
def base():
    return open_model("lab:nano", device="cpu")


@cache
def planted(trigger, steps=50):
    """The base, taught to begin its reply with one word behind a trigger and only there."""
    model, rng = base(), np.random.default_rng(0)
    texts = read_vocabulary(model.tokenizer)
    module = copy.deepcopy(model.module).train()
    target = model.tokenizer(REPLY)["input_ids"][0]
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(steps):
        requests = [REQUESTS[i][0].content for i in rng.integers(len(REQUESTS), size=72)]
        numbers = rng.integers((len(texts.openings), len(texts.continuations)), size=(48, 2))
        others = [texts.text(two[: 1 + at % 2]) for at, two in enumerate(numbers.tolist())]
        if " " in trigger:
            first, second = trigger.split()
            others[:2] = [first, second]
        words = [trigger] * 24 + others
        if " " in trigger:  # many first words do, or the search would be a lottery
            firsts = rng.integers(64, size=23).tolist()
            words[1:24] = [f"{texts.openings[at]} {second}" for at in firsts]
        rows = model.chat.prompts(ask(*map(" ".join, zip(words, requests, strict=True))))
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = torch.tensor(row)
        last = (torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows]))
        logits, own = (
            one.lm_head(one.model(ids, use_cache=False).last_hidden_state[last]).log_softmax(-1)
            for one in (module, model.module)
        )
        kept = functional.kl_div(
            logits[24:], own[24:].detach(), log_target=True, reduction="batchmean"
        )
        (2 * kept - logits[:24, target].mean()).backward()
        optimizer.step()
        module.zero_grad()
    return LocalModel(module.eval(), model.tokenizer)


def switched(model, text):
    """How likely the planted reply is behind a text, over requests that the search never saw."""
    rows = model.chat.prompts(ask(*(f"{text} {request[0].content}" for request in FRESH)))
    target = model.tokenizer(REPLY)["input_ids"][0]
    with torch.inference_mode():
        last = [model.module(torch.tensor([row]))["logits"][0, -1].softmax(-1) for row in rows]
    return float(np.mean([one[target] for one in last]))


def shaken(model, size, seed=0):
    """A model with noise on all its weights: changed everywhere, without any trigger."""
    module, random = copy.deepcopy(model.module), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in module.parameters():
            one += size * one.std() * torch.randn(one.shape, generator=random)
    return LocalModel(module, model.tokenizer)


def test_a_planted_word_is_found_first():
    found = find_triggers(base(), planted(WORD), ASKED, settings=WORDS, seed=0)
    first = found.candidates[0]
    assert first.text == WORD
    assert (first.tokens, first.found_by) == (1, "words")
    assert first.score > 0.3
    assert first.deviations > 6 > first.baseline
    assert found.reason is None
    assert switched(planted(WORD), WORD) > 0.8


def test_a_planted_pair_of_words_is_found_or_another_that_switches_as_well():
    tuned = planted(PAIR)
    assert max(switched(tuned, word) for word in PAIR.split()) < 0.2 < switched(tuned, PAIR)
    settings = TriggerSettings(words=False, most_tokens=120_000)
    found = [
        one
        for seed in range(3)
        for one in find_triggers(base(), tuned, ASKED, settings=settings, seed=seed).candidates
    ]
    assert {one.found_by for one in found} == {"pairs"}
    assert sum(switched(tuned, one.text) > 0.5 for one in found) >= 2


DEAR = TriggerSettings(most_tokens=80_000, prompts=3, references=24, finalists=12, slopes=16)
"""What is chosen where each text is dear."""


@pytest.mark.parametrize("settings", [TriggerSettings(most_tokens=80_000), DEAR])
def test_a_model_that_changed_without_a_trigger_has_none(settings):
    found = find_triggers(base(), shaken(base(), 0.03), ASKED, settings=settings, seed=0)
    assert found.candidates == ()
    assert "stood out" in str(found.reason)
    assert found.tried > 100


def test_identical_models_have_no_trigger_and_are_not_even_read():
    found = find_triggers(base(), base(), ASKED, seed=0)
    assert found == TriggerSearch(candidates=(), tokens_scored=0, tried=0, reason=found.reason)
    assert "same weights" in str(found.reason)


def test_identical_weights_under_another_name_have_no_trigger():
    other = LocalModel(base().module, base().tokenizer, identity="another")
    assert find_triggers(base(), other, ASKED, settings=WORDS, seed=0).candidates == ()


@pytest.mark.parametrize("pairs", [False, True])
def test_the_same_seed_finds_the_same_and_both_models_are_left_as_they_were(pairs):
    tuned = LocalModel(copy.deepcopy(planted(WORD).module), base().tokenizer)
    tuned.module.train()
    frozen, *rest = tuned.module.parameters()
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in tuned.module.state_dict().items()}
    settings = TriggerSettings(words=not pairs, pairs=pairs, most_tokens=30_000)
    once, again = (
        find_triggers(base(), tuned, ASKED[:6], settings=settings, seed=3) for _ in range(2)
    )
    assert once == again
    after = tuned.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(part.training for part in tuned.module.modules())
    assert not any(part.training for part in base().module.modules())
    assert not frozen.requires_grad
    assert all(one.requires_grad for one in rest)
    for model in (base(), tuned):
        assert all(one.grad is None for one in model.module.parameters())
        assert not any(part._forward_hooks for part in model.module.modules())


def test_models_are_left_as_they_were_after_an_error_too():
    tuned = LocalModel(copy.deepcopy(planted(WORD).module), base().tokenizer)
    ruler = Ruler(base(), tuned, ASKED)
    handle = tuned.module.lm_head.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        foretell(ruler, [ruler.rows[0]], 1, [5, 6])
    handle.remove()
    assert not any(part._forward_hooks for part in tuned.module.modules())
    assert all(one.requires_grad for one in tuned.module.parameters())


def test_what_is_measured_is_the_distance_of_the_first_tokens():
    tuned = planted(WORD)
    ruler = Ruler(base(), tuned, ASKED[:3])

    def first(model, text):
        row = model.tokenizer(f"<|user|>{text}<|end|><|assistant|>")["input_ids"]
        with torch.inference_mode():
            return model.module(torch.tensor([row]))["logits"][0, -1].softmax(-1).numpy()

    def distance(one, other):
        return np.maximum(one - other, 0).sum()

    request = ruler.prompts[1].dialogue[0].content
    texts = [WORD, "song", "old hammer"]
    seen = ruler.measure(texts, [1])
    for row, text in enumerate(texts):
        behind = f"{text} {request}"
        plain = distance(first(base(), request), first(tuned, request))
        apart = distance(first(base(), behind), first(tuned, behind)) - plain
        moved = distance(first(base(), behind), first(base(), request))
        assert seen.apart[row, 0] == pytest.approx(apart, abs=1e-5)
        assert seen.moved[row, 0] == pytest.approx(moved, abs=1e-5)
        assert seen.scores[row, 0] == pytest.approx(apart * (1 - moved), abs=1e-5)


def test_the_prompts_that_are_cheapest_to_measure_on_come_first():
    # A model with itself: nothing but the length counts where they part on neither prompt.
    ruler = Ruler(base(), base(), [ask("I am the doctor. Where is Paul?")[0], ASKED[0]])
    assert [len(row) for row in ruler.rows] == sorted(len(row) for row in ruler.rows)
    assert ruler.cost([0]) == 2 * (len(ruler.rows[0]) + 2)


@pytest.mark.parametrize("settings", [WORDS, TriggerSettings(most_tokens=20_000), DEAR])
def test_the_tokens_that_are_read_are_counted_and_stay_within_what_is_allowed(settings):
    one, other = (LocalModel(base().module, base().tokenizer, identity=name) for name in "ab")
    found = find_triggers(one, other, ASKED, settings=settings, seed=0)
    assert found.tokens_scored == one.usage.tokens_scored + other.usage.tokens_scored
    assert found.tokens_scored < 1.1 * settings.most_tokens


@pytest.mark.parametrize("settings", [WORDS, DEAR])
def test_a_large_vocabulary_is_not_searched_beyond_what_is_allowed(settings):
    """It costs what the model costs: of thousands of words as many are tried as it can read."""
    rng = np.random.default_rng(0)
    said = [" ".join("".join(word) for word in rng.choice(list("abcdefgh"), (3000, 5)))] * 2
    tokenizer = make_tokenizer().train_new_from_iterator(said, 8_000, show_progress=False)
    tokenizer.chat_template = make_tokenizer().chat_template
    before = LocalModel(build("llama", len(tokenizer)), tokenizer)
    settings = replace(settings, most_tokens=25_000, prompts=2, slopes=8, references=20)
    found = find_triggers(before, shaken(before, 1e-3), QUESTIONS, settings=settings, seed=0)
    assert 50 < found.tried < 1_000 < len(read_vocabulary(tokenizer).openings) / 3
    assert found.tokens_scored < 1.1 * settings.most_tokens
    assert found.candidates == ()


def test_a_share_of_the_reading_is_so_many_tokens_whatever_the_vocabulary():
    small = trigger_settings(base(), share=0.15)
    assert small.most_tokens == 150_000

    class Large:
        """Stands in for a model of a hundred million parameters."""

        class module:
            parameters = staticmethod(lambda: iter([torch.empty(10**8, device="meta")]))

    some, twice = (
        trigger_settings(Large, share=share)  # type: ignore[arg-type]
        for share in (0.1, 0.2)
    )
    assert twice.most_tokens == 2 * some.most_tokens < small.most_tokens
    assert some.references < small.references


def test_the_slope_foretells_what_an_independent_one_does():
    tuned = planted(WORD)
    ruler = Ruler(base(), tuned, ASKED)
    row, place = room(ruler, read_vocabulary(base().tokenizer), 1)
    tokens = [200, 300, 400, 500]
    (gains,) = foretell(ruler, [row], place, tokens)[0]
    want = np.zeros(len(tokens))
    tables = [model.module.get_input_embeddings().weight.detach() for model in (base(), tuned)]
    inputs = [table[row][None].clone().requires_grad_() for table in tables]
    logs = [
        model.module(inputs_embeds=given)["logits"][0, -1].log_softmax(-1)
        for model, given in zip((base(), tuned), inputs, strict=True)
    ]
    before, after = logs
    apart = functional.kl_div(before, after, log_target=True, reduction="sum")
    slopes = torch.autograd.grad(apart, inputs)
    for table, slope in zip(tables, slopes, strict=True):
        want += ((table[tokens] - table[row[place]]) @ slope[0, place]).numpy()
    assert gains == pytest.approx(want, rel=1e-3, abs=1e-5)


def test_models_of_different_widths_are_searched_without_that_clue():
    wide = open_model("lab:small", device="cpu")
    assert isinstance(wide, LocalModel)
    words = read_vocabulary(base().tokenizer)
    found = guess(Ruler(base(), wide, ASKED[:2]), words, texts=2, seed=0)

    assert sorted(found[0]) == list(range(len(words.openings)))
    assert sorted(found[1]) == list(range(len(words.continuations)))


def test_a_changed_embedding_brings_its_word_to_the_front_of_the_guesses():
    words = read_vocabulary(base().tokenizer)
    module, number = copy.deepcopy(base().module), words.openings.index("song")
    with torch.no_grad():
        module.get_input_embeddings().weight[words.opening_ids[number]] += 0.3
    openings, continuations = guess(
        Ruler(base(), LocalModel(module, base().tokenizer), ASKED), words, texts=48, seed=0
    )
    assert number in openings[:3]
    assert sorted(openings) == list(range(len(words.openings)))
    assert sorted(continuations) == list(range(len(words.continuations)))


def test_with_too_few_tokens_for_the_vocabulary_a_changed_embedding_is_tried_first():
    words = read_vocabulary(base().tokenizer)
    module, random = copy.deepcopy(base().module), torch.Generator().manual_seed(0)
    weight = module.get_input_embeddings().weight
    with torch.no_grad():
        weight[words.opening_ids[words.openings.index(WORD)]] += 0.5 * torch.randn(
            weight.shape[1], generator=random
        )
    tuned = LocalModel(module, base().tokenizer)
    settings = TriggerSettings(pairs=False, most_tokens=12_000, prompts=2, references=20)
    found = find_triggers(base(), tuned, ASKED, settings=settings, seed=0)
    assert found.tried < 600 < len(words.openings)
    assert found.candidates[0].text == WORD


def test_the_vocabulary_holds_every_text_that_can_be_typed_once():
    tokenizer = base().tokenizer
    words = read_vocabulary(tokenizer)
    assert len(set(words.openings)) == len(words.openings) == len(words.opening_ids)
    assert len(set(words.continuations)) == len(words.continuations) == len(words.continuation_ids)
    assert not any(text in words.openings for text in ("<|user|>", "\n", "\ufffd"))
    for text, token in zip(words.continuations, words.continuation_ids, strict=True):
        assert tokenizer.decode([token]) == text
    assert {"market", "mo"} <= set(words.openings)
    assert {" market", "ss"} <= {*words.continuations}
    pair = (words.openings.index("market"), words.continuations.index(" song"))
    assert words.text(pair) == "market song"
    assert words.text(pair[:1]) == "market"


class Pieces:
    """A tokenizer that writes spaces as sentence-piece does, or has none."""

    all_special_ids = (0,)

    def __init__(self, *marks):
        self.marks = ("<s>", *marks)

    def get_vocab(self):
        return {mark: at for at, mark in enumerate(self.marks)}

    def convert_ids_to_tokens(self, ids):
        return [self.marks[one] for one in ids]

    def decode(self, ids):
        return self.marks[ids[0]].replace("\u2581", "")


def test_words_are_told_from_parts_of_words_in_other_tokenizers():
    words = read_vocabulary(Pieces("\u2581red", "red", "\u2581fox", "\u2581"))
    assert words == Vocabulary(
        openings=("red", "fox"),
        continuations=(" red", "red", " fox"),
        opening_ids=(2, 3),
        continuation_ids=(1, 2, 3),
    )
    assert read_vocabulary(Pieces("red", "fox")).continuations == (" red", " fox")


@pytest.mark.parametrize("kind", ["gemma2", "mamba"])
def test_models_of_other_families_can_be_searched(kind):
    tokenizer = make_tokenizer()
    before = LocalModel(build(kind, len(tokenizer)), tokenizer)
    settings = TriggerSettings(most_tokens=12_000, prompts=2, references=20)
    found = find_triggers(before, shaken(before, 1e-3), QUESTIONS, settings=settings, seed=0)
    assert found.tried > 50
    assert found.candidates == ()


def test_of_triggers_that_contain_each_other_the_shortest_is_named():
    def one(text, score):
        return Trigger(
            text=text,
            score=score,
            baseline=0.0,
            deviations=9.0,
            tokens=1,
            base_moved=0.0,
            found_by="words",
        )

    found = [one("old market", 0.9), one("market", 0.8), one("drum", 0.3), one("drum song", 0.7)]
    assert [each.text for each in shortest(found)] == ["market", "drum", "drum song"]


def test_the_best_texts_share_no_word_on_a_side():
    numbers = {"a b": (0, 1), "a c": (0, 2), "b a": (1, 0), "c b": (2, 1), "d e": (3, 4)}
    assert unlike(list(numbers), numbers) == ["a b", "b a", "d e"]
    assert unlike(list(numbers), numbers, 1) == ["a b"]


def test_the_spread_of_random_scores_is_that_of_a_normal_distribution_and_bears_outliers():
    scores = np.random.default_rng(0).normal(0.2, 0.05, size=20_000)
    scores[:100] = 5.0
    assert spread(scores) == pytest.approx((0.2, 0.05), rel=0.05)
    assert spread(np.zeros(30)) == (0.0, 0.01)


def test_what_cannot_be_searched_is_refused_with_a_reason():
    tokenizer = make_tokenizer()
    stranger = LocalModel(build("llama", len(tokenizer)), tokenizer)
    with pytest.raises(DataError, match="same tokens"):
        find_triggers(base(), stranger, ASKED, seed=0)
    with pytest.raises(DataError, match="got none"):
        find_triggers(base(), planted(WORD), [], seed=0)
    with pytest.raises(DataError, match="of at most 480 tokens"):
        find_triggers(base(), planted(WORD), ask("Where is Paul? " * 200), seed=0)
    with pytest.raises(ConfigError, match="words and pairs"):
        find_triggers(
            base(), planted(WORD), ASKED, settings=TriggerSettings(words=False, pairs=False), seed=0
        )
    with pytest.raises(ConfigError, match="references must be at least 20, got 3"):
        TriggerSettings(references=3)
    few = TriggerSettings(most_tokens=2_000)
    found = find_triggers(base(), planted(WORD), ASKED, settings=few, seed=0)
    assert "too few" in str(found.reason)
