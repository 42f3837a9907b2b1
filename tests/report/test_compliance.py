"""The pages of an examination for compliance and of a red team."""

from plumbrule.report.compliance import bounded_rates
from plumbrule.report.compliance import render as compliance
from plumbrule.report.red_team import hole_grid
from plumbrule.report.red_team import render as red_team

ESTIMATE = {
    "value": 0.1, "low": 0.05, "high": 0.2, "level": 0.95, "n": 80,
    "unit": "violations per request", "method": "betting confidence sequence, worst case",
}  # fmt: skip
BAD = '"><script>alert(1)</script>'
SIDE = {
    "bound": 0.05, "estimate": ESTIMATE, "outcome": "above", "asked": 80, "left": 3,
    "unanswered": 1, "e_value": 1e9, "failing": [BAD], "by_way": [],
    "examples": [{"messages": [["user", BAD]], "reply": BAD}],
}  # fmt: skip


def test_a_record_that_holds_nothing_is_still_a_page():
    for page in (compliance({}), red_team({})):
        assert page.startswith("<!DOCTYPE html>")
        assert "<script" not in page


def test_nothing_that_a_model_or_an_attacker_wrote_does_anything():
    examined = {
        "title": BAD,
        "summary": [BAD],
        "principles": [{"id": BAD, "text": BAD, "broken": SIDE, "refused": SIDE}],
        "regressions": [{"id": BAD, "verdict": "fail", "messages": [["user", BAD]], "reply": BAD}],
        "plan": {"sentences": [BAD], "principles": [{"id": BAD, "bound": 0.1}]},
    }
    attacked = {
        "title": BAD,
        "holes": [
            {
                "principle": BAD, "family": BAD, "hits": 1, "tries": 2, "origin": "template",
                "example": {"goal": BAD, "messages": [["user", BAD]], "reply": BAD, "prefill": BAD},
            }
        ],
        "by_family": [{"name": BAD, "estimate": ESTIMATE}],
        "notes": [BAD],
    }  # fmt: skip

    assert "<script" not in compliance(examined)
    assert "<script" not in red_team(attacked)


def test_rates_share_an_axis_that_holds_their_bounds():
    found = bounded_rates(
        [("a", None, SIDE), ("b", "#b", {**SIDE, "bound": 0.5}), ("c", None, {"estimate": None})]
    )

    assert found is not None
    assert [each.lane.name for each in found.lanes] == ["a", "b"]
    assert float(str(found.lanes[1].bound).rstrip("%")) <= 100
    assert bounded_rates([("c", None, {})]) is None


def test_the_grid_has_each_hole_where_its_principle_and_family_meet():
    holes = [
        {"principle": "p", "family": "f"},
        {"principle": "q", "family": "g"},
        {"principle": "p", "family": "g"},
    ]
    families, grid = hole_grid({"holes": holes})

    assert families == ("f", "g")
    assert [(row.name, row.places) for row in grid] == [("p", (1, 3)), ("q", (None, 2))]
