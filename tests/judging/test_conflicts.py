import json
from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from tests.fakes import ScriptedModel
from typer.testing import CliRunner

from plumbrule.cli.constitution import app
from plumbrule.constitution import (
    Constitution,
    CritiqueExample,
    Principle,
    dump_constitution,
)
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import (
    Scope,
    compare_known,
    describe_conflicts,
    known_pairs,
    load_prompts,
    preferred,
    survey_conflicts,
)
from plumbrule.records import Message, Preference, from_json, to_json, to_jsonl

TIERS = {"safe": 0, "lawful": 0, "honest": 1, "kind": 1, "useful": 2}
LAW = Constitution(
    name="law",
    version="1",
    principles=tuple(
        Principle(id=name, text=f"Be {name}.", tier=tier) for name, tier in TIERS.items()
    ),
)


def judged(item="a", **by_principle):
    return Preference(
        id=item,
        dialogue=(Message("user", "Help."),),
        first="One.",
        second="Two.",
        probability=None,
        by_principle=by_principle,
        order_disagreement={},
        constitution_sha256=LAW.sha256,
        source="ai",
        labeler="m",
        method="log-probs",
    )


def only(survey):
    (found,) = survey.conflicts
    return found


@pytest.mark.parametrize(
    ("said", "outside", "resolution", "outcome"),
    [
        ({"safe": 0.9, "useful": 0.1}, {}, "tier", "first"),
        ({"safe": 0.9, "useful": 0.1}, {"safe": "it is a game"}, "condition", "second"),
        ({"safe": 0.9, "useful": 0.1}, {"useful": "it is harmful"}, "condition", "first"),
        ({"safe": 0.95, "lawful": 0.2}, {}, "weight", "first"),
        ({"safe": 0.8, "lawful": 0.2}, {}, "unresolved", "none"),
        ({"safe": 0.8, "lawful": 0.2, "useful": 0.55}, {}, "unresolved", "none"),
        ({"honest": 0.9, "useful": 0.2, "safe": 0.55}, {}, "tier", "first"),
    ],
)
def test_a_planted_conflict_is_found_with_its_resolution(said, outside, resolution, outcome):
    scopes = {"a": Scope(prompt_id="a", outside=outside)}

    found = only(survey_conflicts([judged(**said)], LAW, scopes=scopes))

    assert (found.resolution, found.outcome) == (resolution, outcome)
    assert preferred(said, LAW, outside=outside) == outcome


def test_a_tier_that_stays_within_the_margin_leaves_it_to_the_next():
    survey = survey_conflicts([judged(safe=0.8, lawful=0.2, useful=0.9)], LAW)

    assert {each.principles: each.resolution for each in survey.conflicts} == {
        ("safe", "lawful"): "margin",
        ("useful", "lawful"): "margin",
    }
    assert "within the margin" in survey.conflicts[0].reason
    assert survey.outcomes == {"first": 1, "second": 0, "none": 0}


@pytest.mark.parametrize(
    "said",
    [
        {"safe": 0.9, "useful": 0.8},
        {"safe": 0.9, "useful": 0.45},
        {"safe": 0.9},
        {},
    ],
)
def test_where_nobody_pulls_apart_nothing_is_found(said):
    survey = survey_conflicts([judged(**said)], LAW)

    assert (survey.conflicts, survey.rates, survey.unresolved) == ((), (), 0)


def exactly(said, outside):
    """The rule once more, in fractions and by multiplication."""
    for tier in sorted(set(TIERS.values())):
        own = [
            min(max(Fraction(said[name]), Fraction("0.02")), Fraction("0.98"))
            for name in TIERS
            if TIERS[name] == tier and name in said and name not in outside
        ]
        for_first = for_second = Fraction(1)
        for each in own:
            for_first, for_second = for_first * each, for_second * (1 - each)
        share = for_first / (for_first + for_second)
        if own and abs(share - Fraction(1, 2)) >= Fraction("0.1"):
            return "first" if share > Fraction(1, 2) else "second"
    return "none"


def test_a_thousand_planted_conflicts_end_as_exact_arithmetic_says():
    rng = Random(0)
    ends = set()
    for _ in range(1000):
        said = {
            name: str(rng.choice([0, 0.02, 0.1, 0.4, 0.45, 0.5, 0.6, 0.8, 0.98, 1]))
            for name in TIERS
            if rng.random() < 0.8
        }
        outside = {name: "" for name in TIERS if rng.random() < 0.2}
        right = exactly(said, outside)
        ends.add(right)

        given = {name: float(value) for name, value in said.items()}
        assert preferred(given, LAW, outside=outside) == right, (said, outside)
    assert ends == {"first", "second", "none"}


def test_the_rate_counts_pairs_on_which_both_spoke():
    pairs = [judged(f"c{n}", safe=0.9, useful=0.1) for n in range(3)]
    pairs += [judged(f"a{n}", safe=0.9, useful=0.9) for n in range(5)]
    pairs += [judged(f"s{n}", safe=0.9) for n in range(7)]

    (rate,) = survey_conflicts(pairs, LAW).rates

    assert (rate.principles, rate.conflicts, rate.rate.n) == (("safe", "useful"), 3, 8)
    assert rate.resolved == {"tier": 3}
    assert rate.items == ("c0", "c1", "c2")


def test_unresolved_conflicts_come_first_in_the_table():
    pairs = [judged(f"t{n}", safe=0.9, useful=0.1) for n in range(3)]
    survey = survey_conflicts([*pairs, judged("u", honest=0.2, kind=0.8)], LAW)

    table = describe_conflicts(survey)

    assert table.index("honest and kind") < table.index("safe and useful")
    assert "4 pairs of replies: 4 conflicts, 1 unresolved" in table
    assert "and 1 more pairs of principles" in describe_conflicts(survey, most=1)


def test_a_survey_comes_back_from_disk_as_it_was():
    survey = survey_conflicts([judged(safe=0.9, useful=0.1)], LAW)

    assert from_json(type(survey), to_json(survey), origin="here") == survey


WORKED = replace(
    LAW,
    principles=tuple(
        replace(
            each,
            critique_examples=tuple(
                CritiqueExample(
                    request=f"Case {number} of {each.id}?",
                    reply=f"Wrong {number}.",
                    critique="It is wrong.",
                    revision=f"Right {number}.",
                )
                for number in range(3)
            ),
        )
        for each in LAW.principles
    ),
)


def surveyed(*, useful_likes_the_other):
    pairs = known_pairs(WORKED)

    def odds(asked, options):
        first = "A: Right" in asked
        if useful_likes_the_other and "Be useful." in asked:
            first = not first
        return [0.9 if (option == "A") == first else 0.1 for option in options]

    told: list[tuple[int, int]] = []
    preferences = compare_known(
        ScriptedModel(odds=odds),
        WORKED,
        prompts=load_prompts("village"),
        progress=lambda *each: told.append(each),
    )
    assert [each.id for each in preferences] == [each.id for each in pairs]
    assert told == [(0, 15), (4, 15), (8, 15), (12, 15), (15, 15)]
    return survey_conflicts(preferences, WORKED)


def test_a_constitutions_own_examples_show_its_conflicts():
    survey = surveyed(useful_likes_the_other=True)

    assert len(survey.conflicts) == 15 * 4
    assert {each.rate.value for each in survey.rates} == {1.0}
    assert all("useful" in each.principles for each in survey.rates)
    assert {each.resolution for each in survey.conflicts} == {"tier"}


def test_where_all_principles_agree_a_constitution_has_no_conflicts():
    survey = surveyed(useful_likes_the_other=False)

    assert (survey.items, survey.conflicts) == (15, ())


def command(*arguments):
    return CliRunner().invoke(app, ["conflicts", *map(str, arguments)])


def test_the_command_prints_a_table_of_judged_pairs(tmp_path):
    (tmp_path / "law.yaml").write_text(dump_constitution(LAW), encoding="utf-8")
    (tmp_path / "pairs.jsonl").write_text(to_jsonl([judged(safe=0.9, useful=0.1)]), "utf-8")

    said = command(tmp_path / "law.yaml", "--judged", tmp_path / "pairs.jsonl")
    told = command(tmp_path / "law.yaml", "--judged", tmp_path / "pairs.jsonl", "--json")

    assert "| safe and useful | 1 | 1 |" in said.output
    assert json.loads(told.output)["conflicts"][0]["resolution"] == "tier"


def test_the_command_must_know_who_prefers_what():
    assert isinstance(command("village").exception, ConfigError)
    assert isinstance(command("village", "--judged", "missing.jsonl").exception, ConfigError)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "got none"),
        ([judged(safe=0.9), judged(safe=0.9)], "twice"),
        ([replace(judged(safe=0.9), constitution_sha256="other")], "judge it again"),
        ([judged(safe=1.5)], "between 0 and 1"),
        ([judged(safe=float("nan"))], "between 0 and 1"),
        ([judged(sage=0.5)], "got 'sage'"),
    ],
)
def test_what_cannot_be_surveyed_is_refused(pairs, said):
    with pytest.raises(DataError, match=said):
        survey_conflicts(pairs, LAW)
