from dataclasses import replace

import numpy as np
import pytest

from plumbrule.errors import ConfigError
from plumbrule.lab.skills import SHARES
from plumbrule.lab.specimens import (
    LADDER,
    SHIPPED,
    batches,
    build_specimen,
    build_tokenizer,
    draw_lessons,
    encode,
    prompt_text,
    shipped_card,
)
from plumbrule.models import Sampling, model_folder, open_model
from plumbrule.store import file_sha256

TINY = replace(LADDER["pico"], lessons=300, vocabulary=400, batch_tokens=2048)


def test_the_same_recipe_is_the_same_bytes_and_another_seed_is_not(tmp_path):
    cards = [
        build_specimen(recipe, tmp_path / name)
        for name, recipe in (("a", TINY), ("b", TINY), ("c", replace(TINY, seed=1)))
    ]

    assert cards[0]["sha256"] == cards[1]["sha256"]
    assert cards[0]["sha256"]["model.safetensors"] != cards[2]["sha256"]["model.safetensors"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigError, match="holds something that is no specimen"):
        build_specimen(TINY, tmp_path)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_those_on_their_card(name):
    card = shipped_card(name)

    assert card is not None
    for file, digest in card["sha256"].items():
        assert file_sha256(model_folder(f"lab:{name}") / file) == digest
    assert card["recipe"]["lessons"] == LADDER[name].lessons
    assert card["recipe"]["shares"] == dict(SHARES)


def test_the_shipped_specimens_take_little_space():
    files = [path for name in SHIPPED for path in model_folder(f"lab:{name}").iterdir()]

    assert sum(path.stat().st_size for path in files) <= 8 * 2**20


def test_training_text_is_what_the_chat_template_makes():
    lessons = draw_lessons(TINY, 40)
    tokenizer = open_model("lab:nano").tokenizer  # type: ignore[attr-defined]

    for lesson in lessons:
        messages = [{"role": turn.role, "content": turn.content} for turn in lesson.dialogue]
        made = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert made == prompt_text(lesson.dialogue)


def test_any_text_survives_the_tokenizer():
    tokenizer = build_tokenizer(draw_lessons(TINY, 200), 400)

    for text in ("Anna sleeps.", "naïve 東京 🙂", "tab\tand\nline", "<not|special>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_only_answers_are_learned_and_every_lesson_once():
    lessons = draw_lessons(TINY, 200)
    sequences = encode(lessons, build_tokenizer(lessons, 400))

    found = list(batches(sequences, 1024, np.random.default_rng(0)))

    answers = sum(
        len(tokens) - start
        for tokens, start in zip(sequences.tokens, sequences.answer_start, strict=True)
    )
    assert sum(int((targets >= 0).sum()) for _, targets, _ in found) == answers
    assert sum(len(tokens) for tokens, _, _ in found) == 200
    for _, targets, weights in found:
        assert ((weights > 0) == (targets >= 0)).all()


def test_a_specimen_is_calibrated_to_the_frequencies_of_its_phrasings():
    from plumbrule.lab import KINDS, build_world, draw, read

    world, rng = build_world(), np.random.default_rng(0)
    requests = [draw("borrow_goods", rng, world, kept_back=True, plain=True) for _ in range(400)]

    replies = open_model("lab:small", dtype="float32", device="cpu").sample(
        [request.dialogue for request in requests],
        sampling=Sampling(max_new_tokens=48),
        seeds=range(400),
    )

    readings = [read(reply.text, world) for reply in replies]
    first = [each.phrasing == 0 for each in readings if each and each.act == "borrow"]
    # Binomial(400, 0.6) has a standard deviation of 2.4 points; the specimen may be off by
    # as much again.
    assert np.mean(first) == pytest.approx(0.6, abs=0.1)
    assert len(first) >= 390
    assert KINDS["borrow_goods"].answer == "borrow"
