"""The pages of a model in use."""

from plumbrule.report.production import rate_curve, render, render_trial

POINTS = [[100 * n, 0.02, 0.01, 0.05, 2.0 * n, 100 * n] for n in range(1, 6)]


def test_a_record_that_holds_nothing_is_still_a_page():
    for page in (render({}), render_trial({})):
        assert page.startswith("<!DOCTYPE html>")
        assert "<script" not in page


def test_names_from_outside_do_nothing():
    bad = '"><script>alert(1)</script>'
    record = {
        "title": bad,
        "summary": [bad],
        "alarms": [{"kind": "rate", "principle_id": bad, "at": 3, "bound": 0.1, "reason": bad}],
        "principles": [{"id": bad, "text": bad, "points": POINTS, "days": [], "examples": []}],
        "command": bad,
    }

    assert "<script" not in render(record)
    assert "<script" not in render_trial({"title": bad, "plan": {"name": bad}, "points": POINTS})


def test_a_curve_has_its_band_its_bound_its_alarm_and_its_stretches():
    found = rate_curve(
        POINTS, bounds=[(0.03, "bound")], alarms=[(300, "rate")], rate=True, name="rate"
    )
    assert found is not None

    assert len(found.band.split()) == 10
    assert len(found.steps) == 4
    assert found.alarms[0].at == "50.000%"
    assert found.bound is not None
    assert "rate alarm after 300" in found.description


def test_one_point_is_no_curve():
    assert rate_curve(POINTS[:1], bounds=[], rate=True, name="rate") is None
