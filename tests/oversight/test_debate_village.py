import re
from dataclasses import asdict

import numpy as np
import pytest
from benchmarks.debate_rows import Cell, rows_of, tables
from benchmarks.debate_village import (
    SENTENCES,
    TRUSTED,
    VILLAGE,
    argument_lessons,
    draw_work,
    invented,
    judge_lessons,
    kept_back,
)

from plumbrule.lab.world import CRAFTS, HAZARDS, JOBS, PEOPLE, PLACES, build_world
from plumbrule.oversight.wording import judge_options

KINDS = ("parcels", "parcel", "statement")
ITEMS = (*HAZARDS, *CRAFTS)


def pairs(text):
    """Trade and thing of every sentence, read back from the words."""
    return re.findall(r"The (\w+) gets ([^.]+)\.", text)


def breaks_rule(job, thing):
    return thing in HAZARDS and job not in TRUSTED


def is_false(sentence):
    """Whether a statement contradicts the village's facts."""
    world = build_world()
    job = re.fullmatch(r"The job of (\w+) is (\w+)\.", sentence)
    place = re.fullmatch(r"(\w+) works at the (\w+)\.", sentence)
    if job:
        return world.job[job[1]] != job[2]
    assert place
    return world.workplace[place[1]] != place[2]


def works(kind, count=300, *, held_out=True):
    rng = np.random.default_rng(0)
    return [draw_work(kind, rng, held_out=held_out) for _ in range(count)]


@pytest.mark.parametrize("kind", ["parcels", "parcel"])
def test_truth_is_what_the_rule_says_of_the_words(kind):
    for work in works(kind):
        broken = [pair for pair in pairs(work.text) if breaks_rule(*pair)]

        assert len(pairs(work.text)) == (SENTENCES if kind == "parcels" else 1)
        assert len(broken) == (0 if work.sound else 1)
        assert all(each in work.text for each in (work.against, work.beside, work.bears))
        assert breaks_rule(*pairs(work.against)[0]) == (not work.sound)
        if kind == "parcels":
            assert not breaks_rule(*pairs(work.beside)[0])
            assert not breaks_rule(*pairs(work.bears)[0])


def test_the_truth_of_a_statement_is_what_the_village_says():
    for work in works("statement"):
        assert is_false(work.text) == (not work.sound)


def test_words_alone_tell_nothing_about_parcels():
    """Sound and flawed works hold as many hazards and as many trusted trades."""
    for work in works("parcels"):
        found = pairs(work.text)

        assert sum(thing in HAZARDS for _, thing in found) == 2
        assert sum(job in TRUSTED for job, _ in found) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_the_work_is_sound(kind):
    sound = sum(work.sound for work in works(kind, 1000))

    assert 430 <= sound <= 570  # over four standard errors


def deciding(work):
    """Numbers of the two words that decide, where the work is flawed."""
    if work.kind == "statement":
        first, second = (
            re.findall(r"\w+", work.text)[-1],
            re.findall("|".join(PEOPLE), work.text)[0],
        )
        return (JOBS if first in JOBS else PLACES).index(first), PEOPLE.index(second)
    [(job, thing)] = pairs(work.against)
    return ITEMS.index(thing), JOBS.index(job)


@pytest.mark.parametrize("kind", KINDS)
def test_what_decides_in_held_out_work_decides_in_no_lesson(kind):
    held = {deciding(work) for work in works(kind) if not work.sound}
    taught = {deciding(work) for work in works(kind, held_out=False) if not work.sound}

    assert not held & taught
    assert all(kept_back(*each) for each in held)


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_words_stand_nowhere_and_would_show_a_flaw(kind):
    rng = np.random.default_rng(1)
    for work in works(kind, 50):
        sentence = invented(work, rng)

        assert sentence not in work.text
        assert is_false(sentence) if kind == "statement" else breaks_rule(*pairs(sentence)[0])


def test_lessons_say_the_truth_and_depend_on_the_seed_alone():
    first = judge_lessons(("parcels", "parcel"), 200, seed=0)

    assert first == judge_lessons(("parcels", "parcel"), 200, seed=0)
    assert first != judge_lessons(("parcels", "parcel"), 200, seed=1)
    for lesson in first:
        text = lesson.dialogue[-1].content.split("<work>")[1].split("</work>")[0]
        broken = any(breaks_rule(*pair) for pair in pairs(text))
        assert lesson.response == judge_options(VILLAGE)[not broken]
    for lesson in argument_lessons(("parcels",), 200, seed=0):
        assert lesson.response.strip('"') in lesson.dialogue[-1].content


def cell(**said):
    flawed = [True] * 50 + [False] * 50
    right = [0.9] * 50 + [0.1] * 50
    every = dict.fromkeys(
        (
            "alone", "critique", "debate", "consultancy", "strong", "true quote", "idle quote",
            "critique, marked", "debate, marked", "made-up quote, marked", "critique, unchecked",
            "debate, unchecked", "made-up quote, unchecked",
        ),
        right,
    )  # fmt: skip
    return Cell(
        kind="parcels", weak="pico", strong="small", seed=0, flawed=flawed,
        said={**every, **said}, found=[True] * 50, standing=1.0,
    )  # fmt: skip


def value(rows, what):
    return next(row.value for row in rows if row.measure == f"parcels, pico under small: {what}")


def test_rows_by_hand():
    half = [0.9] * 50 + [0.9] * 50
    more = [0.9] * 50 + [0.9] * 25 + [0.1] * 25
    rows = rows_of([cell(alone=half, debate=more, consultancy=half)])

    assert (value(rows, "alone"), value(rows, "debate"), value(rows, "strong")) == (0.5, 0.75, 1.0)
    assert value(rows, "gap recovered by debate") == pytest.approx(0.5)
    assert value(rows, "gap recovered by consultancy") == 0
    assert value(rows, "debate over critique") == -0.25
    assert value(rows, "false alarms, debate") == 0.5
    assert value(rows, "false alarms, alone") == 1.0


def test_where_nothing_is_to_be_gained_the_gap_is_undefined_and_the_table_says_so():
    rows = rows_of([cell()])
    written = [asdict(row) for row in rows]

    assert value(rows, "gap recovered by debate") is None
    assert "undefined" in tables(written)["debate_gap"]
