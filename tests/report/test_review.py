"""The page of a review shows every record, leads from quotes to their place, and escapes all."""

import base64
import hashlib
import json
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oversight.reviews import Says, cut, run
from tests.report.review_sample import (
    HIDDEN,
    PAPER,
    hostile_review,
    quoted,
    sample_review,
    wrong,
)
from tests.report.test_browser import (
    BROWSER,
    FRAME,
    MEASURE,
    attack,
    dom,
    listener,  # noqa: F401 (a fixture)
)
from tests.report.test_report import DRAWING, TEXT, Page

from plumbrule.errors import DataError
from plumbrule.oversight import Task, accept, overrule, review, send_back, verify_review
from plumbrule.oversight.papers import read_material, review_paper
from plumbrule.report import write_review_page
from plumbrule.report.passages import AROUND, WHOLE, places, source_view
from plumbrule.report.review_findings import RANKS

ALLOWED = TEXT | DRAWING | {"mark", "button", "script"}
HOSTILE = (
    "</title></style></details></svg></script><script>alert(1)</script><img src=x onerror=y>"
    '" onload="x" {{ 7 * 7 }} left\u202eright\u2066\x00\x1b[2J'
)
browser = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no headless Chromium is installed"),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("review") / "paper review"
    return folder, sample_review(folder)


def written(folder):
    page = write_review_page(folder)
    return Page(page.read_text(encoding="utf-8")), json.loads(
        (folder / "report" / "report.json").read_bytes()
    )


def words(page):
    return " ".join("".join(page.text).split())


def nodes(tree):
    return [tree, *[each for part in tree["parts"] for each in nodes(part)]]


def test_every_report_decision_and_gap_is_shown(sample):
    folder, done = sample
    page, content = written(folder)
    shown = words(page)
    reports = [report for node in done.root.walk() for report in node.reports]

    found = [each for node in nodes(content["tree"]) for each in node["reports"]]
    assert {each["id"] for each in found} == {each.id for each in reports}
    for report in reports:
        assert " ".join(report.rationale.split()) in shown
        for reason in report.not_checked:
            assert " ".join(reason.split()) in shown
    for node in done.root.walk():
        assert node.task.asks in shown
    for name in ("Ada Lovelace", "Grace Hopper", "a slip of the pen"):
        assert name in shown
    assert page.open == []


def test_the_top_says_what_a_person_signs(sample):
    folder, done = sample
    page, content = written(folder)
    top = words(page).partition("The tree")[0]

    assert "It fails" in top
    assert "paper/statistics is required and fails" in top
    assert "4 of 10 checks did not take place" in top
    assert "1 crashed, 1 declined, 1 ran out of time" in top
    assert "Nobody looked at purpose." in top
    assert "purpose nobody looked" in top
    assert "statistics looked at" in top
    assert f"plumbrule review --verify 'paper review' --expected-head {done.head}" in top
    assert [each["standing"] for each in content["decisions"]] == ["asked", "holds", "holds"]
    assert verify_review(folder, expected_head=content["head"]).sound


def test_a_paper_s_page_begins_with_what_was_found_surest_first(tmp_path):
    path = tmp_path / "paper.txt"
    path.write_text(
        "On naps\n\nResults\n\nOf 40 workers, 12 (35%) slept. "
        "Groups differed, t(38) = 2.20, p = .34.\n"
    )
    review_paper(read_material(path), folder=tmp_path / "out")
    page = write_review_page(tmp_path / "out")
    found = json.loads((page.parent / "report.json").read_text())["findings"]
    html = page.read_text(encoding="utf-8")

    assert (found[0]["rank"], found[0]["kind"]) == ("high", "p-value")
    assert {each["rank"] for each in found[1:]} == {"low"}
    assert {quote["place"] for each in found for quote in each["quotes"]} == {"Results"}
    assert html.index('id="findings"') < html.index('id="verdict"') < html.index('id="unchecked"')
    assert html.index("decision error") < html.index("percentage_of_count")


def test_what_a_person_overruled_is_found_last(sample):
    folder, _ = sample
    _, content = written(folder)
    found = content["findings"]
    ranks = [RANKS.index(each["rank"]) for each in found]

    assert ranks == sorted(ranks)


def test_costs_are_those_of_the_verdict(sample):
    folder, done = sample
    _, content = written(folder)
    parts = content["cost"]["by"]

    for name, value in vars(done.verdict.cost).items():
        assert content["cost"]["total"][name] == pytest.approx(value)
        assert content["tree"]["cost"][name] == pytest.approx(value)
        assert sum(part[name] for part in parts) == pytest.approx(value)
    assert {part["who"] for part in parts} >= {"tool", "model", "decisions"}


def test_contributions_and_outcomes_are_those_of_the_verdict(sample):
    folder, done = sample
    _, content = written(folder)
    states = {state.task_id: state for state in done.verdict.states}
    moved = {each.child: each for state in states.values() for each in state.contributions}

    for node in nodes(content["tree"]):
        assert node["outcome"] == states[node["id"]].outcome
        children = [*node["reports"], *node["parts"]]
        for child in children:
            expected = moved.get(child["id"])
            if expected is None:
                assert child["contribution"] is None
            else:
                assert child["contribution"]["without"] == expected.without
                assert child["contribution"]["decisive"] is expected.decisive


def test_what_was_answered_anew_stays_in_sight(sample):
    folder, _ = sample
    page, content = written(folder)
    node = next(each for each in nodes(content["tree"]) if each["id"] == "paper/overclaiming")

    assert [each["current"] for each in node["reports"]] == [False, False, True, True]
    assert words(page).count("answered anew") == 2


def test_every_link_leads_somewhere_and_every_quote_back(sample):
    folder, _ = sample
    page, content = written(folder)
    ids = page.values("id")

    assert len(set(ids)) == len(ids)
    links = [href[1:] for href in page.values("href") if href.startswith("#")]
    assert set(links) <= set(ids)
    for node in nodes(content["tree"]):
        for report in node["reports"]:
            for quote in report["evidence"]:
                assert quote["stands"]
                assert {quote["mark"], quote["anchor"]} <= set(links) & set(ids)


def test_quotes_stand_marked_in_the_text_where_they_were(sample):
    folder, _ = sample
    page, content = written(folder)
    paper, hidden, other = content["sources"]
    [piece] = paper["pieces"]

    assert paper["whole"]
    assert "".join(each["text"] for each in piece["segments"]) == PAPER
    assert "t(58) = 2.20, " in [each["text"] for each in piece["segments"] if each["depth"] == 1]
    assert "p = .010" in [each["text"] for each in piece["segments"] if each["depth"] == 2]
    assert hidden["hidden_words"]
    assert "".join(each["text"] for each in hidden["pieces"][0]["segments"]) == HIDDEN
    assert "A reader of the paper does not see these words" in words(page)
    assert (other["name"], other["quotes"]) == ("bibliography", 0)


def test_the_same_folder_gives_the_same_bytes(sample):
    folder, _ = sample
    first = [path.read_bytes() for path in sorted(write_review_page(folder).parent.iterdir())]
    again = [path.read_bytes() for path in sorted(write_review_page(folder).parent.iterdir())]

    assert first == again
    assert verify_review(folder).sound


def test_hostile_words_become_no_element(tmp_path):
    hostile_review(tmp_path / "review", HOSTILE)
    page, content = written(tmp_path / "review")
    html = (tmp_path / "review" / "report" / "index.html").read_text(encoding="utf-8")

    assert page.open == []
    assert {tag for tag, _ in page.elements} <= ALLOWED
    assert not {name for _, attrs in page.elements for name in attrs if name.startswith("on")}
    assert not re.search("[\u202e\u2066\x00\x1b]", html)
    assert "U+202E" in html
    assert "{{ 7 * 7 }}" in words(page)
    assert "Show all 100," in words(page)
    [quote] = content["tree"]["reports"][0]["evidence"]
    assert quote["text"] == HOSTILE
    assert quote["stands"]


def test_only_the_script_of_the_page_may_run(sample):
    folder, _ = sample
    write_review_page(folder)
    html = (folder / "report" / "index.html").read_text(encoding="utf-8")

    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "http" not in script


def test_a_text_of_five_hundred_pages_opens_around_its_quotes(tmp_path):
    long = "".join(f"Line {number} of a very long book.\n" for number in range(50_000))
    ends = [f"Line {number} of" for number in (3, 25_000, 25_001, 49_998)]
    tool = Says(otherwise=wrong("wrong", *[quoted(each, text=long) for each in ends]))
    review(
        Task(id="book", asks="Is it right?", specialists=("tool",)),
        {"paper": long},
        [tool],
        folder=tmp_path / "review",
    )
    page, content = written(tmp_path / "review")
    [book] = content["sources"]

    assert len(long) > 1_400_000
    assert (tmp_path / "review" / "report" / "index.html").stat().st_size < 100_000
    assert not book["whole"]
    assert f"Of {len(long):,} characters {book['shown']:,} are shown" in words(page)
    assert len(book["pieces"]) == 3
    for piece in book["pieces"]:
        shown = "".join(each["text"] for each in piece["segments"])
        assert shown == long[piece["start"] : piece["end"]]
    marked = [e["text"] for p in book["pieces"] for e in p["segments"] if e["depth"]]
    assert marked == ends


def test_an_unfinished_review_says_that_it_has_no_verdict(tmp_path):
    run(tmp_path / "review", Says(), Says(name="judge", kind="model"))
    shutil.rmtree(tmp_path / "review" / "verdicts")
    page, content = written(tmp_path / "review")

    assert content["outcome"] is None
    assert "No verdict yet" in words(page)
    assert "It passes" not in words(page)


def test_the_latest_verdict_is_shown_and_lapsed_decisions_as_lapsed(tmp_path):
    folder = tmp_path / "review"
    run(folder, Says(), Says(name="judge", kind="model"), decompose=cut)
    accept(folder, "root", person="Ada")
    overrule(folder, "root/sum", "fail", person="Bob", reason="It is 5.")
    done = send_back(folder, "root/rest", person="Cyd", question="Why?")
    _, content = written(folder)

    assert content["outcome"] == done.verdict.outcome
    assert content["because"] == list(done.verdict.because)
    assert [each["standing"] for each in content["decisions"]] == ["lapsed", "holds", "asked"]


def test_a_source_that_was_changed_is_noticed(tmp_path):
    folder = tmp_path / "review"
    sample_review(folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    source = folder / "sources" / f"{manifest['sources']['paper']}.txt"
    source.write_text(PAPER.replace("31 + 28 = 60", "31 + 29 = 60"), encoding="utf-8")
    page, _ = written(folder)

    assert words(page).count("is not found there") == 1
    source.unlink()
    page, _ = written(folder)
    assert "The text cannot be read from the folder." in words(page)


@pytest.mark.parametrize("broken", ["not json", "[]", '{"id": "x", "task_id": "root"}'])
def test_broken_files_are_refused_in_words(tmp_path, broken):
    folder = tmp_path / "review"
    run(folder, Says(), Says(name="judge", kind="model"))
    next((folder / "reports").iterdir()).write_text(broken, encoding="utf-8")

    with pytest.raises(DataError, match="plumbrule review --verify"):
        write_review_page(folder)


def test_a_folder_without_a_review_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected the folder of a review"):
        write_review_page(tmp_path)


@given(
    st.integers(1, 3 * WHOLE),
    st.lists(st.tuples(st.integers(0, 3 * WHOLE), st.integers(1, 500)), max_size=12),
)
def test_pieces_are_the_text_and_marks_begin_once(length, spots):
    text = ("0123456789" * (length // 10 + 1))[:length]
    quotes = [
        {"source": "a", "start": start, "end": min(length, start + size)}
        for start, size in spots
        if start < length
    ]
    marks = list(places(quotes).values())
    view = source_view("a", text, "", marks, {})

    begun = []
    for piece in view["pieces"]:
        shown = "".join(each["text"] for each in piece["segments"])
        assert shown == text[piece["start"] : piece["end"]]
        at = piece["start"]
        for segment in piece["segments"]:
            over = sum(m.start <= at and at + len(segment["text"]) <= m.end for m in marks)
            assert segment["depth"] == min(over, 3)
            begun += [each["anchor"] for each in segment["begins"]]
            at += len(segment["text"])
    assert sorted(begun) == sorted(mark.anchor for mark in marks)
    if length <= WHOLE and marks:
        assert view["whole"]
    assert view["shown"] <= max(WHOLE, len(marks) * (2 * AROUND + 500), 2_000)


class TestInABrowser:
    """What only shows when the page is opened."""

    pytestmark = browser

    def test_nothing_is_fetched_and_nothing_of_others_runs(self, tmp_path, listener):  # noqa: F811
        address, asked = listener
        text = attack(address) + "<script>document.title = 'run'</script>"
        hostile_review(tmp_path / "review", text)
        shown = dom(write_review_page(tmp_path / "review"), tmp_path)
        page = Page(shown)

        assert [path for path in asked if path != "/favicon.ico"] == []
        assert {tag for tag, _ in page.elements} <= ALLOWED
        assert "<title>run" not in shown

    def test_a_link_opens_what_it_leads_to(self, sample, tmp_path):
        folder, _ = sample
        path = write_review_page(folder)
        content = json.loads((folder / "report" / "report.json").read_bytes())
        node = next(each for each in nodes(content["tree"]) if each["id"] == "paper/numbers/sums")
        anchor = node["reports"][0]["evidence"][0]["anchor"]

        class At:
            """The page at one of its places."""

            @staticmethod
            def as_uri():
                return f"{path.as_uri()}#{anchor}"

        plain, there = (Page(dom(each, tmp_path)) for each in (path, At))
        for page, expected in ((plain, False), (there, True)):
            opened = {attrs.get("id"): "open" in attrs for _, attrs in page.elements}
            assert opened[node["anchor"]] is expected
        assert all("hidden" not in attrs for tag, attrs in plain.elements if tag == "button")

    @pytest.mark.parametrize("width", [400, 1200])
    def test_it_does_not_scroll_sideways(self, tmp_path, width):
        hostile_review(tmp_path / "review", "w" * 400)
        path = write_review_page(tmp_path / "review")
        html = path.read_text(encoding="utf-8")
        html = html.replace("Content-Security-Policy", "none").replace(
            "</body>", MEASURE + "</body>"
        )
        path.write_text(html, encoding="utf-8")
        frame = path.with_name("frame.html")
        frame.write_text(FRAME.format(width=width), encoding="utf-8")
        shown = dom(frame, tmp_path, "--virtual-time-budget=4000")

        [(needed, room)] = re.findall(r"<p>(\d+) in (\d+)</p>", shown)
        assert int(needed) == int(room)
        assert width - 30 < int(room) <= width
