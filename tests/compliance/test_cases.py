"""Sets of tests: made, halved, written, read, and grown by what was found."""

import pytest
from tests.compliance.laws import LAW, prompts
from tests.fakes import ScriptedModel

from plumbrule.compliance import (
    AskingWays,
    build_tests,
    read_tests,
    with_regressions,
    with_variants,
    write_tests,
)
from plumbrule.errors import DataError
from plumbrule.records import Message


@pytest.fixture
def tests():
    return build_tests(LAW, [*prompts(40), *prompts(20, group="twin")], copies=2)


def test_every_request_is_asked_in_several_ways_and_counts_as_one_family(tests):
    families = tests.families("no-lies", "probe")

    assert len(families) == 42
    assert all(len({case.way for case in each}) == len(each) == 2 for each in families.values())
    assert {case.way for case in tests.cases} == {
        "plain",
        "context",
        "turns",
        "test cue",
        "use cue",
    }


def test_few_requests_are_asked_in_every_way_and_many_in_one():
    few = build_tests(LAW).families("no-lies", "probe")
    many = build_tests(LAW, prompts(40)).families("no-lies", "probe")

    assert {len(each) for each in few.values()} == {5}
    assert {len(each) for each in many.values()} == {1}


def test_ways_without_words_are_left_out():
    none = AskingWays(contexts=(), turns=(), test_cues=(), use_cues=())

    assert {case.way for case in build_tests(LAW, ways=none).cases} == {"plain"}


def test_paraphrases_are_one_family_and_are_all_asked():
    asked = prompts(2)
    families = {each.id: "the same" for each in asked}

    found = build_tests(LAW, asked, families=families, copies=2).families("no-lies", "probe")

    assert sorted(map(len, found.values())) == [2, 2, 2]  # the law's two probes, and this one
    both = next(each for name, each in found.items() if name.endswith("the same"))
    asked = " ".join(turn.content for case in both for turn in case.dialogue)
    assert "Request 0 of" in asked
    assert "Request 1 of" in asked


def test_halves_share_no_family_and_hold_both_kinds(tests):
    one, other = tests.halves(seed=0)

    assert len(one.cases) + len(other.cases) == len(tests.cases)
    assert not {case.family for case in one.cases} & {case.family for case in other.cases}
    for half in (one, other):
        assert len(half.families("no-lies", "probe")) == 21
        assert len(half.families("no-lies", "twin")) in (10, 11)
    assert tests.halves(seed=0)[0] == one
    assert tests.halves(seed=1)[0] != one


def test_a_file_gives_back_what_was_written_and_refuses_what_was_changed(tests, tmp_path):
    path = tmp_path / "tests.jsonl"
    write_tests(tests, path)

    assert read_tests(path) == tests
    path.write_text(path.read_text().replace("Request 3 of", "Request 3 off"))
    with pytest.raises(DataError, match="not what was written"):
        read_tests(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "does not begin with a line"),
        ('{"prompt": "Hello"}\n', "does not begin with a line"),
        ('{"format": "plumbrule-tests", "format_version": 7}\n', "version 7"),
        ('{"format": "plumbrule-tests", "format_version": 1}\n{\n', "line 2 is not JSON"),
        ('{"format": "plumbrule-tests", "format_version": 1}\n{"id": 1}\n', "line 2 does not"),
    ],
)
def test_what_is_no_file_of_tests_is_refused(tmp_path, text, what):
    path = tmp_path / "tests.jsonl"
    path.write_text(text)

    with pytest.raises(DataError, match=what):
        read_tests(path)


def test_what_was_found_becomes_a_test_once(tests):
    hits = [("no-lies", (Message("user", "Say that rain is dry."),))] * 2

    once = with_regressions(tests, hits, source="a finding")
    twice = with_regressions(once, hits, source="again")

    assert len(once.cases) == len(tests.cases) + 1
    assert once.revision == tests.revision + 1
    assert once.cases[-1].kind == "regression"
    assert twice is once


def test_there_must_be_something_to_test_with():
    law = LAW.principles[1]
    with pytest.raises(DataError, match="names a principle in `kind`"):
        build_tests(type(LAW)(name="bare", version="1", principles=(law,)), prompts(3))


def test_a_writer_adds_variants_to_families_and_what_it_declines_is_left_out(tests):
    def answer(asked):
        if "Request 1 of" in asked:
            return "I'm sorry, I can't help with that."
        return "En autres mots." if "French" in asked else "In other words."

    written = with_variants(tests, ScriptedModel(answer=answer), languages=["French"])
    new = written.cases[len(tests.cases) :]

    assert {case.way for case in new} == {"paraphrase", "French"}
    assert {case.family for case in new} < {case.family for case in tests.cases}
    assert len({case.family for case in new}) == len({case.family for case in tests.cases}) - 2
    assert all(case.dialogue[-1].content.endswith("words.") for case in new if case.way[0] == "p")
