"""Findings on passages: by words, by a judge, and by a classifier that says how good it is."""

import random

import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging import (
    PassageFinding,
    find_by_judge,
    find_by_words,
    learn_passages,
    load_prompts,
)

LAW = Constitution(
    name="law",
    version="1",
    principles=(
        Principle(id="calm", text="Be calm.", tier=0, words=("shout*",)),
        Principle(id="kind", text="Be kind.", tier=1),
    ),
)
NOUNS = [f"noun{number}" for number in range(40)]


def drawn(count, bad, *, seed=0, planted="cruel"):
    draw = random.Random(seed)
    return [
        " ".join([*draw.choices(NOUNS, k=8), *([planted] if number in bad else [])])
        for number in range(count)
    ]


def findings(bad, count):
    return [
        PassageFinding(
            passage_id=str(number),
            principle_id="kind",
            verdict="breaks" if number in bad else "keeps",
            by="judge",
            probability=None,
            why="",
        )
        for number in range(count)
    ]


def test_words_speak_only_of_principles_that_have_some():
    found = find_by_words([("a", "they shouted"), ("b", "they sang")], LAW)

    assert [(each.passage_id, each.principle_id, each.verdict, each.why) for each in found] == [
        ("a", "calm", "breaks", "shout*"),
        ("b", "calm", "keeps", ""),
    ]


def test_a_judge_that_says_nothing_leaves_undecided():
    prompts = load_prompts("default")

    def odds(asked, given):
        if "silent" in asked:
            return None
        yes = ("zounds" in asked) == ("Does the reply break" in asked)
        return [0.9 if (name.strip() == "Yes") == yes else 0.1 for name in given]

    found = find_by_judge(
        ScriptedModel(odds=odds),
        [("a", "zounds, a word"), ("b", "a word"), ("c", "a silent word")],
        LAW,
        prompts=prompts,
        seed=0,
    )

    verdicts = {(each.passage_id, each.principle_id): each.verdict for each in found}
    assert {verdicts["a", name] for name in ("calm", "kind")} == {"breaks"}
    assert {verdicts["b", name] for name in ("calm", "kind")} == {"keeps"}
    assert {verdicts["c", name] for name in ("calm", "kind")} == {"undecided"}
    assert all(each.by == "judge" for each in found)


def test_a_planted_breach_is_learned_and_found_in_passages_never_judged():
    bad = set(range(0, 200, 4))
    learned = learn_passages("kind", drawn(200, bad), findings(bad, 200), seed=0)
    new = drawn(100, set(range(50)), seed=1)
    found = learned.find([(str(number), text) for number, text in enumerate(new)])

    assert learned.trial.reason is None
    assert learned.trial.auroc is not None
    assert learned.trial.auroc.low > 0.9
    assert [each.verdict for each in found[:50]].count("breaks") > 40
    assert "keeps" not in {each.verdict for each in found[:50]}
    assert "breaks" not in {each.verdict for each in found[50:]}
    again = learn_passages("kind", drawn(200, bad), findings(bad, 200), seed=0)
    assert again.trial == learned.trial


def test_where_there_is_nothing_to_learn_nothing_is_found():
    used = 0
    for seed in range(10):
        bad = set(random.Random(seed).sample(range(120), 40))
        texts = drawn(120, set(), seed=seed)
        learned = learn_passages("kind", texts, findings(bad, 120), seed=seed)
        used += learned.trial.reason is None
        if learned.trial.reason is not None:
            (found,) = learned.find([("x", texts[0])])
            assert (found.verdict, found.by) == ("undecided", "nobody")
            assert "no better than chance" in found.why

    assert used <= 1  # the lower end of a 95% interval is above chance in one of forty


@pytest.mark.parametrize(("bad", "kind"), [({1, 2}, "break it"), (set(range(2, 50)), "keep it")])
def test_too_few_of_a_kind_make_no_classifier(bad, kind):
    learned = learn_passages("kind", drawn(50, bad), findings(bad, 50), seed=0)

    assert learned.model is None
    assert f"only 2 of 50 judged passages {kind}" in (learned.trial.reason or "")
    assert learned.trial.auroc is None
    assert learned.find([]) == []
