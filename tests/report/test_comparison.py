import copy
import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report.comparison_sample import comparison_content, difference, findings, points
from tests.report.test_report import DRAWING, PAYLOADS, TEXT, Page, at, leaves, numbers, paths

from plumbrule.errors import DataError
from plumbrule.report import write_page
from plumbrule.report.bars import bars
from plumbrule.report.changes import comparison_view, guarantee_text, ranked
from plumbrule.report.comparison import render
from plumbrule.report.page import render as render_run
from plumbrule.report.pool_map import MOST_POINTS, pool_map, score_edges, thinned
from plumbrule.report.power import power_curve
from plumbrule.report.strips import minimum_effect
from plumbrule.report.words import compare_words, marked_words

STRUCTURE = {"comparison", "high", "low", "child"}


def small():
    content = comparison_content(count=12)
    content["findings"] = content["findings"][:1]
    content["lineage"]["tensors_most_changed"] = content["lineage"]["tensors_most_changed"][:2]
    content["certificate"]["power"] = content["certificate"]["power"][:3]
    return content


def share(position):
    return float(position.removesuffix("%")) / 100


@pytest.fixture(scope="module")
def html():
    return render(json.loads(json.dumps(comparison_content())))


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_json_holds_exactly_the_record_and_the_same_record_gives_the_same_bytes(tmp_path):
    content = comparison_content()
    write_page("comparison", content, tmp_path / "a")
    write_page("comparison", dict(reversed(content.items())), tmp_path / "b")

    written = (tmp_path / "a" / "report.json").read_text(encoding="utf-8")
    assert json.loads(written) == json.loads(json.dumps(content))
    for name in ("report.json", "index.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="finite numbers"):
        write_page("comparison", {"title": "t", "noise": {"floor": float("nan")}}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_number_of_the_record_stands_on_the_page_but_those_that_are_only_drawn(page):
    content = comparison_content()
    del content["map"]
    for entry in content["certificate"]["power"]:
        del entry["effect"]  # a line's name, in points

    missing = {json.dumps(number) for number in numbers(content)} - set(page.data)
    assert not missing


def test_every_number_on_the_page_stands_in_the_record(page):
    known = {json.dumps(number) for number in numbers(comparison_content())}
    assert set(page.data) <= known


def test_every_text_of_the_record_stands_on_the_page(page):
    texts: list[str] = []
    leaves(comparison_content(), texts.append)
    shown = re.sub(r"\s+", " ", "".join(page.text))
    for text in set(texts) - STRUCTURE:
        assert re.sub(r"\s+", " ", text).strip() in shown


def test_elements_close_in_order_and_ids_and_links_meet(page):
    ids = page.values("id")

    assert page.open == []
    assert len(ids) == len(set(ids))
    for href in page.values("href"):
        assert (href.startswith("#") and href[1:] in ids) or re.fullmatch(
            r"report\.json|\.\./[A-Za-z0-9_./%-]+", href
        ), href
    for label in page.values("aria-labelledby"):
        assert label in ids


def test_nothing_runs_and_nothing_is_fetched(html, page):
    assert {tag for tag, _ in page.elements} <= TEXT | DRAWING
    for _, attrs in page.elements:
        assert not any(name.startswith("on") or name in {"src", "style"} for name in attrs)
        assert "not recorded" not in attrs.get("class", "")
    assert "url(" not in html
    assert "@import" not in html
    assert "://" not in html
    [policy] = [a["content"] for tag, a in page.elements if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_the_first_screen_says_what_stands_and_what_may_have_stayed_unseen(html):
    first = html.split("<nav", 1)[0]
    for words in (
        "3 changes confirmed",
        "e-BH over 64 claims: at most 5% of the confirmed claims are expected to be wrong",
        "3 more claims were tested and not confirmed",
        "replies moved by at most 2.1%",
        "88.9% → 43.1%",
        "1 gate did not pass",
    ):
        assert words in first
    assert first.index("tuned model declines less") < first.index("says “old oak”")
    assert first.index("No change of severity high") < first.index("against itself")


def test_findings_come_by_severity_and_then_by_size():
    larger = {**findings()[0], "id": "13", "estimate": difference(-0.5, 0.1, 96)}
    order = [change.id for change in ranked([*findings(), larger], {})]

    assert order == ["3", "13", "12", "40"]


def test_the_word_difference_marks_what_the_other_reply_lacks(html):
    assert "baker<ins>, as the old oak knows</ins>." in html
    assert "<ins>By the old oak,</ins> Boris is a smith." in html
    assert "<del>I would rather not say where</del> Tomas sleeps." in html


def test_replies_that_share_next_to_nothing_are_not_marked(html):
    assert 'said">Try asking at the inn.</div>' in html


def test_a_record_without_findings_says_so_and_promises_nothing(html):
    content = comparison_content()
    content["findings"] = []
    none = render(content)

    assert "No change was confirmed" in none
    assert "3 claims were tested and not confirmed" in none
    assert 'id="findings"' in html
    assert 'id="findings"' not in none
    assert guarantee_text([]) == ""


def test_an_empty_record_says_what_it_does_not_hold(tmp_path):
    write_page("comparison", {}, tmp_path)
    empty = (tmp_path / "index.html").read_text(encoding="utf-8")

    assert "What changed was not recorded" in empty
    assert "No certificate was recorded" in empty
    assert "This report does not hold: gates, findings, claims that were tested" in empty
    assert "No change was confirmed" not in empty


@pytest.mark.parametrize("part", sorted(comparison_content()))
def test_any_part_may_be_missing_or_unknown(part):
    content = small()
    assert Page(render({key: content[key] for key in content if key != part})).open == []
    alone = {part: content[part]}
    for path in list(paths(alone)):
        less, unknown = copy.deepcopy(alone), copy.deepcopy(alone)
        at(less, path[:-1]).pop(path[-1])
        at(unknown, path[:-1])[path[-1]] = None
        assert Page(render(less)).open == [], path
        assert Page(render(unknown)).open == [], path


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text_wherever_it_stands(payload):
    content = small()
    harmless = Page(render(content))
    hostile = leaves(content, lambda text: text + payload)
    hostile["models"][payload] = {payload: payload, "nested": {payload: [payload]}}
    html = render(json.loads(json.dumps(hostile)))
    page = Page(html)

    assert {tag for tag, _ in page.elements} <= TEXT | DRAWING
    assert page.open == []
    names = {name for _, attrs in page.elements for name in attrs}
    assert names <= {name for _, attrs in harmless.elements for name in attrs} | {"title"}
    assert not any(ord(c) < 32 and c != "\n" for c in html)
    assert not set("\u202e\u2066\ud800") & set(html)
    html.encode()


def test_forty_findings_have_forty_places_and_the_first_screen_names_six():
    content = comparison_content()
    content["findings"] = [
        {**finding, "id": str(3 * place + turn)}
        for place in range(14)
        for turn, finding in enumerate(findings())
    ][:40]
    page = Page(render(content))
    ids = page.values("id")

    assert {f"finding-{place}" for place in range(1, 41)} <= set(ids)
    assert len(ids) == len(set(ids))
    assert "The other 34 follow under" in "".join(page.text)


def test_a_large_map_is_thinned_evenly_and_says_so():
    content = comparison_content(count=8000)
    for place, point in enumerate(content["map"]["points"]):
        point["text"] = "\u202e<&" * 200 if place % 2 else point["text"] * 40
    html = render(content)
    drawn = html.split('<figure class="map">')[1].split("</figure>")[0]

    assert len(html.encode()) < 3_000_000
    assert drawn.count("<title>") == MOST_POINTS
    assert "3,000 of 8,000 points are drawn" in html


def test_points_of_findings_are_the_last_to_be_thinned_out():
    every = points(9000)
    kept = thinned(every)
    found = [point for point in every if point["finding"]]
    chosen = {id(point) for point in kept}
    places = [place for place, point in enumerate(every) if id(point) in chosen]

    assert len(kept) == MOST_POINTS
    assert [point for point in kept if point["finding"]] == found
    assert max(after - before for before, after in pairwise([0, *places, len(every)])) < 8
    assert len(thinned(found, most=7)) == 7


def test_points_stand_and_are_colored_as_the_record_says():
    data = {
        "points": [
            {"x": 0, "y": 0, "score": 0.001, "text": "a"},
            {"x": 10, "y": 5, "score": 0.9, "text": "b", "finding": "7"},
            {"x": 5, "y": 2.5, "score": None, "text": "c"},
            {"x": None, "y": 1, "score": 0.1, "text": "lost"},
            {"x": 2, "y": 1, "score": 0.0, "text": "zero"},
        ],
        "unit": "nats",
    }
    laid = pool_map(data)
    shown = {point.title[0]: (cloud, point) for cloud in laid.clouds for point in cloud.points}

    assert (laid.drawn, laid.known, laid.placeless) == (4, 4, 1)
    assert share(shown["a"][1].x) == pytest.approx(0.03)
    assert share(shown["a"][1].y) == pytest.approx(0.97)  # up is up
    assert share(shown["c"][1].x) == pytest.approx(0.5)
    assert shown["c"][0].shade == "unknown"
    assert shown["z"][0].shade == shown["a"][0].shade == "0"
    assert shown["b"][0].text == "0.3 and above"
    assert shown["b"][1].title == "b (0.900 nats, finding 7)"
    assert [label.id for label in laid.labels] == ["7"]


@settings(deadline=None)
@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=30))
def test_scores_of_any_size_are_parted_by_a_few_rising_edges(scores):
    edges = score_edges(scores)

    assert len(edges) <= 5
    assert edges == sorted(set(edges))
    assert all(min(scores) < edge <= max(scores) * 1.01 for edge in edges)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_places_stay_inside_the_map_however_large_the_numbers(values):
    laid = pool_map({"points": [{"x": x, "y": -x, "score": 1} for x in values]})

    for cloud in laid.clouds:
        for point in cloud.points:
            assert 0.02 <= share(point.x) <= 0.98
            assert 0.02 <= share(point.y) <= 0.98


def test_labels_of_findings_that_overlap_keep_apart():
    cloud = [{"x": x, "y": y, "finding": str(x % 2)} for x in range(20) for y in range(20)]
    one, other = pool_map({"points": cloud}).labels

    apart = abs(share(one.x) - share(other.x)) * 1000 + abs(share(one.y) - share(other.y)) * 460
    assert apart > 26


def test_marks_and_least_changes_stand_where_the_numbers_say():
    [change] = ranked([findings()[1]], {})
    strip = change.difference
    assert strip is not None
    scale = strip.axis

    def value(position):
        return scale.low + share(position) * (scale.high - scale.low)

    assert value(strip.lanes[0].marks[0].x) == pytest.approx(-0.46, abs=1e-4)
    assert [value(bound) for bound in strip.bounds] == pytest.approx([-0.05, 0.05], abs=1e-4)
    assert strip.bound_text == "5.0 points"
    assert change.rates is not None
    assert [lane.value for lane in change.rates.lanes] == ["88.9%", "43.1%"]


def test_the_least_change_comes_from_the_finding_or_from_the_settings_for_scores():
    score, words = {"estimate": difference(0.2, 0.1, 9)}, findings()[2]

    assert minimum_effect({**score, "minimum_effect": 0.1}, {"minimum_effect": 0.05}) == 0.1
    assert minimum_effect(score, {"racing": {"minimum_effect": 0.05}}) == 0.05
    assert minimum_effect({**words, "minimum_effect": None}, {"minimum_effect": 0.05}) is None
    assert minimum_effect(score, {}) is None


def test_only_procedures_that_control_it_speak_of_the_share_of_false_claims():
    def said(procedure):
        promise = {"procedure": procedure, "level": 0.1, "family_size": 8}
        return guarantee_text([{"guarantee": promise}])

    assert said("e-LOND") == (
        "e-LOND over 8 claims: at most 10% of the confirmed claims are expected to be wrong"
    )
    assert said("Bonferroni") == "Bonferroni over 8 claims, level 10%"


def test_a_difference_is_given_where_the_rates_are_not_known():
    [change] = ranked([findings()[2]], {})
    view = comparison_view({"findings": [findings()[2], {"claim": "bare"}]})

    assert change.way == "+3.40 words per reply"
    assert change.rates is None
    assert [lane.marks for lane in view.overview.lanes] == [(), ()]
    assert view.overview.lanes[1].value == "size not known"


def test_the_power_curve_has_a_line_for_each_effect_on_a_log_scale():
    power = comparison_content()["certificate"]["power"]
    drawn = power_curve(power)
    assert drawn is not None

    assert [line.name for line in drawn.lines] == [
        "a change of 20 points",
        "a change of 50 points",
        "a change of 100 points",
    ]
    first = [float(dot[0][:-1]) for dot in drawn.lines[0].dots]
    assert first[0] == 0
    assert first[-1] == pytest.approx(100)
    # Ten times the share is as far on from 0.2% to 2% as from 2% to 20%.
    assert first[3] == pytest.approx(50)
    for dot, (_, probability) in zip(drawn.lines[0].dots, drawn.lines[0].points, strict=True):
        assert probability is not None
        assert share(dot[1]) == pytest.approx(1 - probability, abs=1e-4)
    assert power_curve([]) is None
    assert power_curve([{"share": 0.0, "effect": 1, "probability": None}]) is not None


def test_bars_are_as_long_as_their_numbers_and_none_is_negative():
    drawn = bars(
        [{"name": "a", "share": 0.5}, {"name": "b", "share": 1.0}, {"name": "c", "share": -0.5}],
        "share",
        "xyz",
    )
    assert [bar.width for bar in drawn] == ["50.000%", "100.000%", "0.000%"]
    assert bars([{"name": "a"}], "share", "x")[0].width == "0.000%"


@settings(deadline=None)
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_pieces_joined_are_the_texts_again_and_shared_words_agree(old, new):
    compared = compare_words(old, new)

    assert "".join(piece.text for piece in compared.old) == old
    assert "".join(piece.text for piece in compared.new) == new
    kept = [
        [piece.text.split() for piece in pieces if not piece.changed and piece.text.strip()]
        for pieces in (compared.old, compared.new)
    ]
    assert kept[0] == kept[1]


words = st.lists(st.sampled_from(["oak", "mill", "inn", "baker"]), max_size=12).map(" ".join)


@settings(deadline=None)
@given(words)
def test_a_text_does_not_differ_from_itself(text):
    assert not any(piece.changed for piece in compare_words(text, text).old)


def test_marks_hold_escaped_text_only():
    [piece] = compare_words("", "<b>\u202e").new
    assert str(marked_words([piece], "ins")).startswith("<ins>&lt;b&gt;<span")


@pytest.mark.parametrize("word", ["a", "<", "\x00", "\u202e", "日"])
def test_texts_made_to_be_slow_are_compared_by_their_ends_only(word):
    old, new = f"first {word} " + f"{word} b " * 40_000, f"first b {word} " + f"b {word} " * 40_000
    compared = compare_words(old, new)  # word by word this would take hours

    assert compared.old[0].text.startswith("first")
    assert not compared.old[0].changed


def test_an_empty_reply_is_named():
    content = small()
    content["findings"][0]["examples"][0]["tuned"] = ""
    assert "an empty reply" in render(content)


def test_the_report_of_a_run_shows_side_effects_where_the_record_has_them():
    full = comparison_content()
    run = {"comparison": {key: full[key] for key in ("summary", "findings", "certificate")}}
    html = render_run(run)
    page = Page(html)

    assert page.open == []
    assert "What else did training change?" in html
    assert html.index("declines less often") < html.index("“old oak” more often")
    assert "Nothing is promised about prompts unlike" in html
    assert "What else did training change?" not in render_run({})
    assert "No change was confirmed" in render_run({"comparison": {"findings": []}})


def test_mean_scores_share_the_first_screen_with_rates_and_name_their_unit_once():
    score = {"level": 0.95, "n": 16, "unit": "mean score", "method": "betting"}
    change = {**score, "unit": "change of the mean score"}
    finding = {
        "base_rate": {**score, "value": 0.0, "low": 0.0, "high": 0.25},
        "tuned_rate": {**score, "value": 0.75, "low": 0.5, "high": 1.0},
        "estimate": {**change, "value": 0.75, "low": 0.4, "high": 0.9},
    }
    content = {"findings": [finding], "settings": {"min_effect": 0.1}}
    [lane] = comparison_view(content).overview.lanes
    [strip] = [each.difference for each in comparison_view(content).changes]

    assert [mark.x for mark in lane.marks] == ["0.000%", "75.000%"]
    assert (lane.value, lane.detail) == ("0 → 0.750", "+0.750 [0.400, 0.900]")
    assert strip is not None
    assert strip.bound_text == "0.100"
    assert "change <data" not in render(content)


def test_a_certificate_that_bounds_nothing_says_why():
    html = render({"certificate": {"sentences": [], "reason": "the models share no tokenizer"}})

    assert "the models share no tokenizer" in html
    assert "No certificate was recorded" not in html


def test_records_of_side_effects_are_linked_where_the_comparison_lies():
    finding = {"evidence": ["samples/trials.jsonl", "../../secret"]}
    page = {"page": "../comparison/report/index.html", "findings": [finding]}
    run = Page(render_run({"comparison": page})).values("href")
    alone = Page(render({"findings": [finding]})).values("href")

    assert "../comparison/samples/trials.jsonl" in run
    assert "../comparison/report/index.html" in run
    assert "../samples/trials.jsonl" in alone
    assert not any("secret" in href for href in [*run, *alone])
