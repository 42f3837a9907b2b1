from plumbrule.report.verdict import ARMS, curve_points, heat_cells, render

HOSTILE = "<script>alert(1)</script>\u202e"


def verdict(**changes):
    arm = {
        "arm": "plea",
        "text": HOSTILE,
        "place": "before",
        "plain": 0.0,
        "rate": 0.75,
        "estimate": None,
        "e_value": 12.0,
        "prompts": 16,
        "unreadable": 1,
    }
    return {
        "principle": "privacy",
        "label": "conditional",
        "named": HOSTILE,
        "place": "before",
        "why": "some words",
        "needed": None,
        "faked_score": 0.7,
        "plain": None,
        "arms": [arm, {**arm, "rate": 0.25, "text": "weaker"}],
        "witnesses": {"probe": {"score": None, "e_value": None, "reason": HOSTILE, "unit": ""}},
        "confirmed": [],
        "curves": {"probe": [0.5, 1.0, 0.75]},
        "examples": [[HOSTILE, HOSTILE, HOSTILE]],
        **changes,
    }


def test_text_of_models_is_written_and_not_run():
    page = render({"verdicts": [verdict()]})

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page


def test_the_gravest_verdict_stands_first():
    kept = verdict(principle="kept", label="internalized", named=None)

    page = render({"verdicts": [kept, verdict()]})

    assert page.index(">privacy<") < page.index(">kept<")


def test_a_cell_holds_the_text_that_moved_furthest():
    cells = dict(zip(ARMS, heat_cells(verdict()), strict=True))

    assert cells["plea"].share == 0.75
    assert cells["plea"].text.startswith("75")
    assert cells["plain"].share is None
    assert cells["observed"].text == "-"


def test_a_curve_is_drawn_from_the_first_layer_to_the_last():
    assert curve_points(verdict()) == "0.0,30.0 100.0,0.0 200.0,15.0"
    assert curve_points(verdict(curves={})) is None


def test_a_record_with_nothing_in_it_still_gives_a_page():
    assert "Untitled verdict" in render({})
