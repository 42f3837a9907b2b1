import copy
import json
import re
from html.parser import HTMLParser

import pytest
from tests.report.sample import sample_content

from plumbrule.errors import DataError
from plumbrule.report import write_page
from plumbrule.report.page import render
from plumbrule.report.write import PAGES

VOID = {"meta", "br", "img", "link", "input", "hr"}
DRAWING = {"svg", "defs", "circle", "path", "use", "line", "rect", "text", "polyline", "title", "g"}
TEXT = {
    *("html", "head", "meta", "style", "body", "main", "header", "nav", "section", "article"),
    *("figure", "figcaption", "details", "summary", "div", "span", "p", "h1", "h2", "h3", "h4"),
    *("a", "b", "br", "ul", "ol", "li", "dl", "dt", "dd", "code", "data", "ins", "del"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
PAYLOADS = (
    "<script>alert(1)</script>",
    "</details></div></main><img src=x onerror=alert(1)>",
    '" onload="alert(1)" x=\'',
    "{{ 7 * 7 }}{% raw %}",
    "left\u202eright\u2066\x00\x1b[2J\ud800",
    "]]></style><style>*{display:none}",
    "javascript:alert(1)",
    "&lt;script&gt;&#60;script&#62;",
)


class Page(HTMLParser):
    """What a page is made of, and whether its elements close in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text, self.data, self.order = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "data":
            self.data.append(dict(attrs)["value"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        self.order.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]


def numbers(value):
    """All numbers in a JSON value."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def leaves(value, change):
    """The same value with every text changed."""
    if isinstance(value, dict):
        return {key: leaves(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [leaves(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def paths(value, here=()):
    """Where every key of every mapping is, estimates and points of curves left whole."""
    if isinstance(value, dict) and "low" not in value:
        for key, part in value.items():
            yield (*here, key)
            yield from paths(part, (*here, key))
    elif isinstance(value, list):
        for place, part in enumerate(value[:1]):
            yield from paths(part, (*here, place))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def small():
    content = sample_content()
    content["principles"] = content["principles"][:1]
    content["constitution"]["principles"] = content["constitution"]["principles"][:1]
    content["judge_quality"] = content["judge_quality"][:1]
    content["examples"] = content["examples"][:1]
    for curve in content["curves"]:
        for series in curve["series"]:
            series["points"] = series["points"][:3]
    return content


@pytest.fixture(scope="module")
def html():
    return render(json.loads(json.dumps(sample_content())))


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_json_holds_exactly_the_record(tmp_path):
    write_page("run", sample_content(), tmp_path)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")

    assert json.loads(text) == json.loads(json.dumps(sample_content()))
    assert text.startswith('{\n  "command"')


@pytest.mark.parametrize("kind", PAGES)
def test_each_kind_has_a_page_even_for_an_empty_record(kind, tmp_path):
    write_page(kind, {}, tmp_path)

    assert Page((tmp_path / "index.html").read_text("utf-8")).open == []


def test_a_kind_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(DataError, match=r"among run, comparison, .*; received 'novel'"):
        write_page("novel", {}, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_same_record_gives_the_same_bytes(tmp_path):
    content = sample_content()
    write_page("run", content, tmp_path / "a")
    write_page("run", dict(reversed(content.items())), tmp_path / "b")

    for name in ("report.json", "index.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_number_of_the_record_stands_on_the_page(page):
    missing = {json.dumps(number) for number in numbers(sample_content())} - set(page.data)
    assert not missing


def test_every_number_on_the_page_stands_in_the_record(page):
    known = {json.dumps(number) for number in numbers(sample_content())}
    assert set(page.data) <= known


def test_every_text_of_the_record_stands_on_the_page(page):
    structure = {"higher", "lower", "oracle", "judge", *("before", "supervised", "final")}
    texts: list[str] = []
    leaves(sample_content(), texts.append)
    shown = re.sub(r"\s+", " ", "".join(page.text))
    for text in set(texts) - structure:
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
    assert "url(" not in html
    assert "@import" not in html
    assert "://" not in html
    [policy] = [
        attrs["content"]
        for tag, attrs in page.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_every_drawing_says_what_it_shows(page):
    for tag, attrs in page.elements:
        if tag == "svg" and attrs.get("role") == "img":
            assert attrs["aria-label"]
    drawn = [a for tag, a in page.elements if tag == "svg" and a.get("class") == "plot"]
    assert len(drawn) == 13 + 30 + 9 + 20 + 6 + 4
    assert all(attrs["role"] == "img" for attrs in drawn)


def test_the_first_screen_answers_whether_it_worked(html):
    first = html.split("<nav", 1)[0]
    for words in (
        "The gates did not pass",
        "No principle gets worse",
        "A small model trained on the Alder constitution",
        "87.4% → 0.9%",
        "201 → 2 of 230",
    ):
        assert words in first
    assert first.index("No principle gets worse") < first.index("Helpfulness on permitted")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text_wherever_it_stands(payload):
    content = small()
    harmless = Page(render(content))
    hostile = leaves(content, lambda text: text + payload)
    for kept in ("headline_source",):
        hostile[kept] = content[kept]
    for old, new in zip(content["examples"], hostile["examples"], strict=True):
        for before, after in zip(old["replies"], new["replies"], strict=True):
            after["stage"] = before["stage"]
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


def test_what_a_model_wrote_is_there_letter_by_letter(tmp_path):
    content = small()
    content["examples"][0]["replies"][0]["text"] = "a<b>\u202ec</details>\ud800"
    write_page("run", content, tmp_path)
    written = (tmp_path / "report.json").read_text(encoding="utf-8")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")

    assert "a&lt;b&gt;<span" in html
    assert "U+202E</span>c&lt;/details&gt;" in html
    assert "\\u202ec</details>\\ud800" in written
    assert json.loads(written) == content


def test_a_reply_of_a_hundred_kilobytes_is_folded_and_whole():
    content = small()
    content["examples"][0]["replies"][0]["text"] = "word " * 20_000
    html = render(content)

    assert "Show all 100,000 characters" in html
    assert "word " * 20_000 in html


def test_an_empty_record_says_what_it_does_not_hold(tmp_path):
    write_page("run", {}, tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")

    assert "Whether the gates passed was not recorded" in html
    assert "This report does not hold: gates, an examination of each principle" in html
    assert json.loads((tmp_path / "report.json").read_bytes()) == {}


@pytest.mark.parametrize("part", sorted(sample_content()))
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


def test_what_is_not_known_is_never_shown_as_zero():
    content = small()
    look = content["principles"][0]["before"]
    look["violation_rate"] = {"judge": None, "oracle": None}
    look["reasons"] = {"oracle": "no reply could be read"}
    content["gates"][0].update(estimate=None, reason="nothing was judged")
    html = render(content)

    assert "not known → 0.9%" in html
    assert "no reply could be read" in html
    assert "Found: not known: nothing was judged" in html
    assert ">0%<" not in html.split('id="principles"')[1].split("supervised</span>")[1]


def test_a_gate_that_passed_without_one_number_says_why():
    content = sample_content()
    content["gates"][0].update(estimate=None, detail="none of 10 is beyond it")

    html = render(content)

    assert "Found: none of 10 is beyond it" in html
    assert "not known: none of 10" not in html


def test_a_record_that_contradicts_itself_says_so():
    content = small()
    assert "The record says" not in render(content)
    content["gates_passed"] = True
    assert "The record says that the gates passed, and holds a gate that did not." in render(
        content
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises(DataError, match="finite numbers"):
        write_page("run", {"title": "t", "seconds": value}, tmp_path)
    assert list(tmp_path.iterdir()) == []
