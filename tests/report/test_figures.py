import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report.sample import sample_content, wilson

from plumbrule.report.axes import round_axis, tight_axis
from plumbrule.report.curves import costs, curve
from plumbrule.report.figures import axis, changes, detailed
from plumbrule.report.subjects import from_headlines, from_measures, from_principles


def share(position):
    return float(position.removesuffix("%")) / 100


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_an_axis_covers_its_range_with_a_few_round_numbers(a, b):
    low, high = min(a, b), max(a, b)
    scale = round_axis(low, high, rate=False)

    slack = 1e-6 * (scale.high - scale.low)
    assert scale.low - slack <= low <= high <= scale.high + slack
    assert 2 <= len(scale.ticks) <= 9
    assert share(scale.ticks[0].at) == 0
    assert share(scale.ticks[-1].at) == pytest.approx(1)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (5e-324, 5e-324), (2.0, 2.0 + 1e-15), (-3.0, -3.0)])
def test_ends_that_are_the_same_still_give_an_axis(ends):
    for scale in (round_axis(*ends, rate=False), tight_axis(*ends)):
        assert scale.low < scale.high
        assert 0 <= share(scale.at(ends[0])) <= 1


def test_a_tight_axis_ends_with_the_data():
    scale = tight_axis(3.0, 397.0)
    assert (scale.low, scale.high) == (3.0, 397.0)
    assert [tick.text for tick in scale.ticks] == ["100", "200", "300"]


def test_marks_stand_where_the_numbers_say():
    content = {
        "principles": [
            {"id": "p", "tier": 0, "before": {"violation_rate": {"judge": wilson(50, 100)}}}
        ]
    }
    subjects = from_principles(content)
    scale = axis(subjects)
    [row] = detailed(subjects, scale, title="", headline="judge").rows
    [mark] = row.lanes[0].marks
    rate = wilson(50, 100)

    assert scale.low + share(mark.x) * (scale.high - scale.low) == pytest.approx(0.5, abs=1e-5)
    left = scale.low + share(mark.low) * (scale.high - scale.low)
    assert left == pytest.approx(rate["low"], abs=1e-5)
    assert share(mark.width) * (scale.high - scale.low) == pytest.approx(
        rate["high"] - rate["low"], abs=1e-5
    )


def test_all_tiers_share_one_axis_that_begins_at_zero():
    scale = axis(from_principles(sample_content()))
    assert scale.low == 0
    assert scale.high == pytest.approx(1)


def test_what_is_not_known_has_no_mark_and_says_why():
    content = {
        "headline_source": "oracle",
        "helpfulness": {
            "before": None,
            "final": wilson(9, 10),
            "reasons": {"before": "the oracle read no reply"},
        },
    }
    subjects = from_headlines(content)
    [row] = changes(subjects, axis(subjects), title="", source="oracle").rows
    [lane] = row.lanes

    assert [mark.look for mark in lane.marks] == ["final"]
    assert lane.value == "not known → 90.0%"
    assert lane.detail == "9 of 10; the oracle read no reply"
    assert "before not known: the oracle read no reply" in lane.description


def test_a_look_that_was_not_taken_is_not_left_out_in_silence():
    subjects = from_headlines({"evasiveness": {"before": wilson(9, 10)}})
    [row] = changes(subjects, axis(subjects), title="", source="judge").rows

    assert row.lanes[0].value == "90.0% → not examined"


def test_where_the_headline_source_is_silent_the_other_one_speaks_by_name():
    look = {"violation_rate": {"judge": wilson(5, 10), "oracle": None}, "reason": "unreadable"}
    subjects = from_principles({"principles": [{"id": "p", "before": look}]})
    [row] = detailed(subjects, axis(subjects), title="", headline="oracle").rows

    assert row.lanes[0].value == "50.0% (judge)"
    assert "oracle not known: unreadable" in row.lanes[0].description


def test_two_sources_of_one_measure_become_one_subject():
    subjects = from_measures(sample_content())
    assert [list(subject.looks["final"].estimates) for subject in subjects] == [
        ["judge", "oracle"],
        ["judge", "oracle"],
        ["oracle"],
    ]


def test_a_line_breaks_where_a_value_is_not_known():
    points = [[0, 1.0], [1, 2.0], [2, None], [3, 4.0]]
    drawn = curve({"name": "loss", "x": "step", "y": "nats", "series": [{"points": points}]})

    assert len(drawn.lines[0].paths) == 1
    assert len(drawn.lines[0].dots) == 1
    assert drawn.lines[0].dots[0][0] == "100.000%"


def test_a_curve_without_values_has_no_lines():
    assert curve({"series": []}).lines == ()
    assert curve({"series": [{"name": "a", "points": [[0, None]]}]}).lines == ()


def test_a_cost_not_recorded_is_not_free():
    stages = [{"name": "a", "seconds": 10, "dollars": 0}, {"name": "b", "dollars": 0}]
    [time] = costs(stages)

    assert [(bar.width, bar.text) for bar in time.bars] == [
        ("100.000%", "10 s"),
        (None, "not recorded"),
    ]
