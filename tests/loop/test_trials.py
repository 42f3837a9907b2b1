"""A critic is examined before it teaches."""

from dataclasses import replace

import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, CritiqueExample, Principle
from plumbrule.errors import ModelError
from plumbrule.judging import grade, load_prompts
from plumbrule.loop import RunConfig
from plumbrule.loop.steps import Jury
from plumbrule.loop.trials import say_trial, trial_rows, try_jury
from plumbrule.loop.workspace import open_workspace
from plumbrule.records import Exchange, Message, Prompt

CONFIG = RunConfig(model="m", constitution="c", prompts="p")
PROMPTS = [Prompt(id="p", dialogue=(Message("user", "Hello?"),))]
WORDS = load_prompts("default")


def law(examples=4):
    return Constitution(
        name="two",
        version="1",
        principles=tuple(
            Principle(
                id=name,
                text=f"Keep {name}.",
                tier=0,
                critique_examples=tuple(
                    CritiqueExample(
                        request=f"{name} {n}?",
                        reply=f"BROKEN {name} {n}",
                        critique="Bad.",
                        revision=f"KEPT {name} {n}",
                    )
                    for n in range(examples)
                ),
            )
            for name in ("kind", "brief")
        ),
    )


def sees(*names):
    """A critic that tells broken from kept under some principles, and says no to all the rest."""

    def odds(asked, options):
        broken = any(f"BROKEN {name}" in asked for name in names)
        against = 0.4 if broken else 0.1
        # `Yes` is "it breaks" in one question and "it follows" in the other.
        yes = against if "break this" in asked else 1 - against
        return [yes if option == "Yes" else 1 - yes for option in options]

    return ScriptedModel(odds=odds, spec="tiny")


def tried(folder, critic, config=CONFIG, constitution=None):
    jury = Jury(constitution=constitution or law(), prompts=WORDS, critic=critic, judge=critic)
    with open_workspace(folder / "run", config, named={}) as run:
        return try_jury(run, jury, PROMPTS)


def test_only_the_principles_that_the_critic_can_tell_are_taught(tmp_path):
    jury = tried(tmp_path, sees("kind"))

    assert [each.id for each in jury.critic_standing.judged(jury.constitution)] == ["kind"]
    assert jury.judge_standing == jury.critic_standing
    assert jury.untaught == {"brief"}


def test_the_report_says_what_is_not_taught_and_what_would_help(tmp_path):
    jury = tried(tmp_path, sees("kind"))

    said = " ".join(say_trial("critic", jury.critic_standing, jury.constitution))

    assert "better than chance under 1 of 2 principles (kind)" in said
    assert "brief" in said
    assert "more worked examples" in said
    assert "Neither taught nor graded by the critic" in said
    of_the_judge = " ".join(say_trial("judge", jury.critic_standing, jury.constitution))
    assert "Not graded by the judge" in of_the_judge  # which teaches nothing anyway
    assert [row["works"] for row in trial_rows("critic", jury.critic_standing)] == [True, False]


def test_a_critic_that_knows_nothing_does_not_teach(tmp_path):
    with pytest.raises(ModelError, match="tiny does no better than chance under each of the 2"):
        tried(tmp_path, sees())


def test_what_is_wrong_with_it_and_what_would_help_is_said(tmp_path):
    able = replace(sees("kind", "brief"), spec="large", identity="large")
    dull = sees()
    jury = Jury(constitution=law(), prompts=WORDS, critic=dull, judge=able)

    with (
        pytest.raises(ModelError) as refused,
        open_workspace(tmp_path / "run", CONFIG, named={}) as run,
    ):
        try_jury(run, jury, PROMPTS)

    said = str(refused.value)
    assert "The critic says no issue: it calls 0% of 8 broken replies broken" in said
    assert "Recommended: another critic, because it tells 16 of 16 known replies rightly" in said
    # What was known already is enough: a run that is refused asks nothing that no plan told of.
    replies = sum(each.known_replies for each in jury.constitution.principles)
    assert len(able.asked) <= len(WORDS.grading) * (replies + 3 * 2)
    assert len(dull.asked) == len(able.asked)


def test_where_few_could_be_tested_the_others_are_taught(tmp_path):
    many = law()
    more = tuple(Principle(id=f"new-{number}", text="Be new.", tier=0) for number in range(3))

    jury = tried(tmp_path, sees(), constitution=replace(many, principles=(*many.principles, *more)))

    assert jury.untaught == {"kind", "brief"}
    judged = jury.critic_standing.judged(jury.constitution)
    assert {each.id for each in judged} == {each.id for each in more}


def test_whoever_insists_may_let_it_teach(tmp_path):
    jury = tried(tmp_path, sees(), replace(CONFIG, teach_anyway=True))

    assert len(jury.critic_standing.judged(jury.constitution)) == 2
    said = " ".join(say_trial("critic", jury.critic_standing, jury.constitution))
    assert "Taught all the same, because --teach-anyway was given" in said
    assert "Not examined" not in said


def test_a_judge_that_knows_nothing_grades_nothing_even_so(tmp_path):
    critic = sees()
    jury = tried(tmp_path, critic, replace(CONFIG, teach_anyway=True))
    asked = len(critic.asked)
    reply = Exchange(
        id="p", dialogue=PROMPTS[0].dialogue, response="BROKEN kind", model="m", seed=0
    )

    given = grade(
        jury.judge,
        [reply],
        jury.constitution,
        prompts=WORDS,
        seeds=[0],
        standing=jury.judge_standing,
    )

    assert given == []
    assert len(critic.asked) == asked


def test_a_critic_that_leans_to_a_word_is_not_taken_for_able(tmp_path):
    """It says yes after a broken reply, whatever is asked: both questions together show it."""

    def odds(asked, options):
        yes = 0.9 if "BROKEN" in asked else 0.2
        return [yes if option == "Yes" else 1 - yes for option in options]

    with pytest.raises(ModelError, match="no better than chance"):
        tried(tmp_path, ScriptedModel(odds=odds))


def test_a_constitution_without_examples_tests_nobody(tmp_path):
    critic = sees()

    jury = tried(tmp_path, critic, constitution=law(examples=0))

    assert jury.critic_standing.trial is None
    assert not critic.asked


def test_too_few_examples_let_everybody_teach_and_say_so(tmp_path):
    jury = tried(tmp_path, sees(), constitution=law(examples=2))

    assert len(jury.critic_standing.judged(jury.constitution)) == 2
    said = " ".join(say_trial("critic", jury.critic_standing, jury.constitution))
    assert "Not examined" in said


def test_a_trial_is_not_done_twice(tmp_path):
    critic = sees("kind")
    tried(tmp_path, critic)
    asked = len(critic.asked)

    tried(tmp_path, critic)

    assert len(critic.asked) == asked
