from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbrule.report.links import records_href

PAGE = "file:///runs/alder/report/index.html"


def test_paths_inside_the_run_are_linked_from_either_folder():
    for path in ("examination/before/judgments", "../examination/before/judgments"):
        assert records_href(path) == "../examination/before/judgments"
    assert records_href("ledger.db") == "../ledger.db"
    assert records_href("a folder/ü?#%.jsonl") == "../a%20folder/%C3%BC%3F%23%25.jsonl"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "//host/share",
        "../../other",
        "../a/../../b",
        "a/./b",
        "a//b",
        "..",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://example.org",
        "C:\\Windows",
        "a\\b",
        "a\nb",
        "\x00",
        "\ud800",
        None,
        7,
        ["a"],
    ],
)
def test_anything_else_is_not_a_link(path):
    assert records_href(path) is None


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"[./a:\\%]{1,12}", fullmatch=True)))
def test_no_link_leaves_the_folder_of_the_run(path):
    href = records_href(path)
    if href is not None:
        there = urlsplit(urljoin(PAGE, href))
        assert (there.scheme, there.netloc, there.query, there.fragment) == ("file", "", "", "")
        assert there.path.startswith("/runs/alder/")
        assert unquote(href).removeprefix("../") == path.removeprefix("../").removesuffix("/")
