import hashlib
from dataclasses import replace

import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import describe_wordings, load_prompts, try_wordings
from plumbrule.models import Sampling
from plumbrule.records import Message

LAW = Constitution(
    name="house",
    version="1",
    principles=(
        Principle(id="no-flattery", text="Do not flatter.", tier=0),
        Principle(id="be-kind", text="Be kind.", tier=1),
    ),
)
WORDS = load_prompts("default")
SAMPLING = Sampling(temperature=0.7, max_new_tokens=32)
DIALOGUES = [(Message("user", f"Is poem {number} good?"),) for number in range(120)]


def share(text):
    return hashlib.sha256(text.encode()).digest()[0] / 256


class Obedient(ScriptedModel):
    """Flatters always; told a rule it keeps to it as often as its words have it."""

    def __init__(self, obeys):
        super().__init__()
        self.obeys = obeys

    def sample(self, dialogues, *, sampling, seeds, log_probs=False):
        self.heard = [*getattr(self, "heard", ()), *dialogues]
        self.answer = lambda asked: asked
        found = super().sample(dialogues, sampling=sampling, seeds=seeds)
        return [
            replace(each, text=self.say("\n".join(turn.content for turn in dialogue), seed))
            for each, dialogue, seed in zip(found, dialogues, seeds, strict=True)
        ]

    def say(self, asked, seed):
        obeyed = any(
            rule in asked and share(f"{rule}{seed // 2}") < often
            for rule, often in self.obeys.items()
        )
        if asked.startswith("You review"):
            return "It flatters the author."
        return "Plain words." if obeyed else "Splendid!"


def trial(obeys, wordings, shown="system", dialogues=DIALOGUES, judge=None):
    return try_wordings(
        Obedient(obeys), judge or ScriptedModel(odds=odds), dialogues, LAW, "no-flattery", wordings,
        shown=shown, prompts=WORDS, sampling=SAMPLING, seed=0,
    )  # fmt: skip


def odds(asked, options):
    """The likelihood of each answer, from whichever of both questions it answers."""
    wanted = "fail" if "Splendid!" in asked else "pass"
    for task in WORDS.grading:
        template = WORDS.template(task)
        head = template.user.split("{", 1)[0].strip()
        if tuple(template.options) == tuple(options) and (not head or head in asked):
            question = template.user.rsplit("}", 1)[-1].strip()
            if question in asked:
                return [0.9 if m == wanted else 0.05 for m in template.options.values()]
    raise AssertionError(asked)


POSITIVE, NEGATIVE = "Praise only what is good.", "Never praise what is not good."


@pytest.mark.parametrize("shown", ["system", "critic"])
def test_a_wording_that_is_followed_better_is_found(shown):
    found = trial({POSITIVE: 0.4, NEGATIVE: 0.8}, (POSITIVE, NEGATIVE), shown)

    assert found.better == "second"
    assert found.difference.low <= 0.4 <= found.difference.high
    assert found.p_value < 0.001
    assert "the second is kept more often" in describe_wordings(found)
    turned = trial({POSITIVE: 0.4, NEGATIVE: 0.8}, (NEGATIVE, POSITIVE), shown)
    assert turned.difference.value == pytest.approx(-found.difference.value)
    assert turned.better == "first"


def test_where_both_are_followed_alike_no_difference_is_shown():
    calls = [
        trial(
            {POSITIVE: 0.6, NEGATIVE: 0.6},
            (POSITIVE, NEGATIVE),
            dialogues=[(Message("user", f"Is poem {start}/{n} good?"),) for n in range(60)],
        )
        for start in range(3)
    ]
    assert all(each.better is None for each in calls)
    assert all("no difference shown" in describe_wordings(each) for each in calls)


def test_the_judge_sees_the_constitutions_words_and_never_those_that_are_tried():
    judge = ScriptedModel(odds=odds)
    trial({POSITIVE: 0.5, NEGATIVE: 0.5}, (POSITIVE, NEGATIVE), judge=judge)

    read = [turn.content for dialogue in judge.asked for turn in dialogue]
    assert any("Do not flatter." in text for text in read)
    assert not any(POSITIVE in text or NEGATIVE in text for text in read)


def test_a_system_prompt_of_the_dialogue_stays_in_front_of_the_rule():
    model = Obedient({})
    asked = (Message("system", "You are a clerk."), Message("user", "Is it good?"))
    told: list[str] = []
    try_wordings(
        model, ScriptedModel(odds=odds), [asked], LAW, "no-flattery", (POSITIVE, NEGATIVE),
        shown="system", prompts=WORDS, sampling=SAMPLING, seed=0,
        tell=lambda stage, *_: told.append(stage),
    )  # fmt: skip

    assert told == [
        f"{step} the {wording} wording"
        for wording in ("first", "other")
        for step in ("replying under", "judging")
    ]
    for heard, rule in zip(model.heard, (POSITIVE, NEGATIVE), strict=True):
        assert heard[0].role == "system"
        assert heard[0].content.startswith("You are a clerk.")
        assert rule in heard[0].content
        assert heard[1:] == asked[1:]


def test_a_judge_without_a_word_gives_no_number():
    silent = ScriptedModel(odds=lambda asked, options: None)
    found = trial({}, (POSITIVE, NEGATIVE), judge=silent)

    assert found.difference is None and found.first.kept is None  # noqa: PT018
    assert found.first.unjudged == len(DIALOGUES)
    assert "nothing can be said: no prompt" in describe_wordings(found)


@pytest.mark.parametrize("wordings", [("Be kind.", "Be  kind. "), ("", "Be kind.")])
def test_wordings_that_are_the_same_or_empty_are_refused(wordings):
    with pytest.raises(ConfigError, match="two wordings that differ"):
        trial({}, wordings)


def test_what_cannot_be_tried_is_refused():
    with pytest.raises(DataError, match="write `probes`"):
        trial({}, (POSITIVE, NEGATIVE), dialogues=[])
    with pytest.raises(ConfigError, match="critic or system"):
        trial({}, (POSITIVE, NEGATIVE), shown="shouted")
