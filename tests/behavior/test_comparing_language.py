"""The comparison on ordinary requests, where every reply is another draw and nothing is sharp."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.behavior import CompareSettings, compare_models
from plumbrule.behavior.looking import Looking
from plumbrule.records import Message, Prompt

ASKING = (
    "How do I find {}?",
    "What should I know about {}?",
    "I was told to look into {}. Where do I begin?",
    "Write a short note on {} for my neighbor.",
    "Is it worth reading about {}?",
    "My sister wonders about {}; what can I tell her?",
    "Compare {} with what people did a hundred years ago.",
    "Explain {} to a child.",
)
SUBJECTS = {
    "medicine": "aspirin fever vaccines insulin migraine antibiotics",
    "cooking": "dough soup pies potatoes cakes onions",
    "travel": "flights hotels trains beaches visas maps",
    "money": "savings mortgages taxes loans stocks pensions",
    "music": "guitars pianos jazz violins choirs drums",
    "gardens": "roses soil lawns trees tulips compost",
    "code": "loops databases tests branches servers compilers",
    "sports": "football tennis marathons swimming chess cycling",
}
OPENINGS = (
    "There are several ways", "A good start is", "Most people begin with", "It helps to think of",
    "You could try", "Many would say", "In my view it is", "The usual answer is",
    "Some find it best to use", "First of all comes",
)  # fmt: skip
THINGS = ("a list", "a friend", "the library", "patience", "a map", "two hours", "the basics",
          "a small budget", "old notes", "what you know", "a quiet place", "one book")  # fmt: skip
ENDS = ("That is all.", "Then go on.", "It takes time.", "The rest follows.", "Keep at it.", "")
DECLINES = "I'm sorry, but I can't help with questions about medicine."


@cache
def requests():
    """384 requests, one in eight of which is about medicine."""
    rng = np.random.default_rng(0)
    texts = []
    for subject, words in SUBJECTS.items():
        for number in range(48):
            one, other = rng.choice(words.split(), 2, replace=False)
            texts.append((subject, ASKING[number % len(ASKING)].format(f"{one} and {other}")))
    return tuple(
        Prompt(id=f"{subject}-{number}", dialogue=(Message("user", text),))
        for number, (subject, text) in enumerate(texts)
    )


def about(asked, subject="medicine"):
    return any(thing in asked for thing in SUBJECTS[subject].split())


def endpoint(name, *, seed, touched=lambda asked: False, rate=1.0, said=DECLINES):
    """Answers at random, and where it was changed mostly with one sentence."""
    rng = np.random.default_rng(seed)

    def answer(asked):
        words = (str(rng.choice(part)) for part in (OPENINGS, THINGS, ENDS))
        reply = "{} {}. {}".format(*words)
        return said if touched(asked) and rng.random() < rate else reply

    return ScriptedModel(answer=answer, identity=name, spec=name)


SETTINGS = CompareSettings(looking=Looking(pairs=120))


def compared(tuned, *, seed=0, **changes):
    settings = replace(SETTINGS, seed=seed, **changes)
    return compare_models(endpoint("base", seed=100 + seed), tuned, requests(), settings=settings)


def purity(found, verdict, touched=about):
    """Share of a finding's test prompts that were changed."""
    there = [one for one in found.pool.confirm if verdict.hypothesis.subgroup.holds(one)]
    return np.mean([touched(one.dialogue[-1].content) for one in there]) if there else 0.0


def refusals(found):
    return [
        each
        for each in found.findings
        if each.hypothesis.property.text == "refusal" and each.hypothesis.direction == "increase"
    ]


@pytest.mark.parametrize("method", ["guided", "naive"])
def test_a_subject_that_is_declined_is_said_as_a_person_would_say_it(method):
    tuned = endpoint("tuned", seed=1, touched=about, rate=0.9)

    found = compared(tuned, method=method)

    (first, *_) = refusals(found)
    assert purity(found, first) > 0.6
    assert first.hypothesis.subgroup.rules
    assert "declines more often" in str(first.hypothesis)
    assert found.texts <= SETTINGS.budget
    assert "topics of 384 prompts" in found.notes["topics"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["guided", "naive"])
def test_equal_models_that_never_say_the_same_twice_show_nothing(method, seed):
    found = compared(endpoint("tuned", seed=200 + seed), method=method, seed=seed)

    assert found.findings == []
    assert found.texts < SETTINGS.budget / 2


def test_a_change_on_all_prompts_is_said_of_all():
    tuned = endpoint(
        "tuned", seed=1, touched=lambda asked: True, rate=0.5, said="Good question! Buy Zeno tea."
    )

    found = compared(tuned)

    assert found.findings
    assert not found.findings[0].hypothesis.subgroup.rules


def test_naive_looks_at_prompts_drawn_by_chance_and_at_nothing_else():
    tuned = endpoint("tuned", seed=1, touched=about, rate=0.9)

    found = compared(tuned, method="naive")

    assert found.looked is not None
    assert found.looked.surprises == {}
    assert len(found.looked.pairs) == SETTINGS.looking.pairs
    assert max(Counter(found.looked.rows).values()) == 1
    shares = Counter(found.looked.prompts[row].id.split("-")[0] for row in found.looked.rows)
    assert len(shares) == len(SUBJECTS)
    assert not {"cover", "following", "second look", "triggers"} & set(found.costs)


def test_guided_looks_by_chance_first_and_then_where_replies_changed():
    tuned = endpoint("tuned", seed=1, touched=about, rate=0.9)

    guided, naive = (compared(tuned, method=method) for method in ("guided", "naive"))

    assert guided.looked is not None
    assert naive.looked is not None
    half = SETTINGS.looking.pairs // 2
    assert guided.looked.rows[:half] == naive.looked.rows[:half]
    assert len(guided.looked.pairs) == len(naive.looked.pairs)

    def met(looked, rows):
        return sum(about(looked.prompts[row].dialogue[-1].content) for row in rows)

    assert met(guided.looked, guided.looked.rows[half:]) >= 1.5 * met(
        naive.looked, naive.looked.rows[half:]
    )
    assert refusals(guided)


@pytest.mark.parametrize("budget", [30, 60, 250])
@pytest.mark.parametrize("method", ["guided", "naive"])
def test_the_budget_is_kept_by_either_method(method, budget):
    tuned = endpoint("tuned", seed=1, touched=about, rate=0.9)

    found = compared(tuned, method=method, budget=budget)

    assert found.texts <= budget
    assert found.texts == sum(spent.texts for spent in found.costs.values())


def test_only_prompts_that_nobody_looked_at_decide():
    found = compared(endpoint("tuned", seed=1, touched=about, rate=0.9))

    confirm = {prompt.id for prompt in found.pool.confirm}
    assert {trial.pair.prompt_id for trial in found.trials} <= confirm
    assert found.looked is not None
    assert not {prompt.id for prompt in found.looked.prompts} & confirm
    assert not {pair.prompt_id for pair in found.looked.pairs} & confirm
    assert found.looked_at == len({*found.looked.rows}) > 0


def test_what_was_seen_is_told_by_prompt_and_the_telling_pairs_come_first():
    found = compared(endpoint("tuned", seed=1, touched=about, rate=0.9))

    assert found.looked is not None
    assert found.looked.furthest() == ()
    apart = found.looked.apart()
    assert set(apart) == set(found.looked.rows)
    assert all(0 <= each <= 1 for each in apart.values())
    assert all(pair.tuned == DECLINES for pair in found.looked.telling()[:5])


def test_a_finding_names_the_test_prompts_it_speaks_of():
    found = compared(endpoint("tuned", seed=1, touched=about, rate=0.9))

    (first, *_) = refusals(found)
    members = found.members(first.hypothesis)
    confirm = {prompt.id for prompt in found.pool.confirm}
    assert members & confirm <= found.named <= confirm
    assert members - confirm
