"""Topics are rules on prompts: found again, named, and true of new prompts."""

import numpy as np
import pytest

from plumbrule.behavior.topics import embed, find_topics
from plumbrule.errors import ModelError
from plumbrule.models import open_model
from plumbrule.records import Message, Prompt

SUBJECTS = {
    "boats": ["sail", "harbor", "anchor", "mast", "rudder", "deck", "tide"],
    "bread": ["flour", "oven", "yeast", "dough", "loaf", "crust", "baker"],
    "horses": ["saddle", "stable", "mare", "hoof", "bridle", "foal", "gallop"],
}


def prompts(each: int = 20) -> list[Prompt]:
    rng = np.random.default_rng(0)
    made = []
    for subject, words in SUBJECTS.items():
        for number in range(each):
            said = " ".join(rng.choice(words, 4, replace=False).tolist())
            made.append(
                Prompt(id=f"{subject}-{number}", dialogue=(Message("user", f"Tell me: {said}"),))
            )
    return made


def planted(each: int = 20, noise: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(1)
    centers = np.eye(3)[np.repeat(range(3), each)]
    vectors = np.concatenate([centers, np.zeros((3 * each, 13))], axis=1)
    vectors += rng.normal(0, noise, vectors.shape)
    found: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def test_three_subjects_are_found_and_named_by_their_words():
    found = find_topics(prompts(), planted(), embedded_by="planted", seed=0)
    sets = {frozenset(np.flatnonzero(column).tolist()) for column in found.members.T}
    for at, words in enumerate(SUBJECTS.values()):
        rows = frozenset(range(20 * at, 20 * at + 20))
        assert rows in sets
        topic = next(
            topic
            for topic, column in zip(found.topics, found.members.T, strict=True)
            if frozenset(np.flatnonzero(column).tolist()) == rows
        )
        assert set(topic.name.split(", ")) <= set(words)


def test_a_rule_holds_of_just_its_members_and_of_a_new_prompt():
    vectors = planted()
    found = find_topics(prompts(), vectors, embedded_by="planted", seed=0)
    for topic, column in zip(found.topics, found.members.T, strict=True):
        assert [topic.holds(vector) for vector in vectors] == column.tolist()
    new = np.zeros(16)
    new[1] = 1.0  # bread, as nobody has asked of it
    held = {topic.name for topic in found.topics if topic.holds(new)}
    assert held
    assert all(set(name.split(", ")) <= set(SUBJECTS["bread"]) for name in held)


def test_no_two_topics_have_one_name_or_the_same_members():
    found = find_topics(prompts(), planted(noise=0.4), embedded_by="planted", seed=0)
    assert len({topic.name for topic in found.topics}) == len(found.topics)
    assert len({column.tobytes() for column in found.members.T}) == len(found.topics)


def test_prompts_are_told_their_topics():
    found = find_topics(prompts(), planted(), embedded_by="planted", seed=0)
    told = found.told(prompts())
    for prompt, row in zip(told, found.members, strict=True):
        assert len(prompt.topics) == int(row.sum())


def test_a_handful_of_prompts_has_no_topics():
    few = prompts(1)
    found = find_topics(few, planted(1), embedded_by="planted", seed=0)
    assert found.topics == ()
    assert found.members.shape == (3, 0)


def test_the_base_itself_can_say_what_prompts_are_about():
    vectors, by = embed(prompts(6), open_model("lab:pico"))
    assert vectors.shape[0] == 18
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert "lab:pico" in by
    again, _ = embed(prompts(6), open_model("lab:pico"))
    assert np.allclose(vectors, again)


def test_an_embedder_that_is_none_is_refused_in_words(tmp_path):
    with pytest.raises(ModelError, match="sentence encoder"):
        embed(prompts(2), open_model("lab:pico"), encoder=tmp_path)
