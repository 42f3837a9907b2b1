import pytest
from tests.people.asking import grades, pairs

from plumbrule.errors import ConfigError, DataError
from plumbrule.people import MarkedSpan, QueueItem, QueueSettings
from plumbrule.people.records import check_name, check_remarks, turned, visible

GOOD = {"principle_id": "p", "principle": "P.", "request": "r", "replies": ("a",)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"replies": ("a", "a")}, "identical"),
        ({"replies": ()}, "got 0"),
        ({"replies": ("a", "b", "c")}, "got 3"),
        ({"replies": (" ",)}, "a reply must hold text"),
        ({"request": ""}, "request must hold text"),
        ({"judged": (0.2, 1.5)}, "between 0 and 1, got 1.5"),
        ({"judged": (float("nan"),)}, "between 0 and 1, got nan"),
        ({"difficulty": -0.1}, "between 0 and 1, got -0.1"),
        ({"tier": -1}, "from 0 up"),
        ({"known": "first"}, "pass, fail, not_applicable; got 'first'"),
        ({"replies": ("a\ud800",)}, "UTF-8"),
        ({"replies": ("a" * 200_001,)}, "at most 200,000"),
    ],
)
def test_an_item_that_cannot_be_asked_is_refused(changed, said):
    with pytest.raises(DataError, match=said):
        QueueItem(**{**GOOD, **changed})


def test_the_id_is_that_of_what_is_shown():
    [item] = grades(1)
    [other] = grades(1, judged=(0.5,), source="model a", known="fail", tier=0)
    [pair] = pairs(1)

    assert item.id == other.id
    assert len({item.id, pair.id, grades(1, principle="kind")[0].id}) == 3


@pytest.mark.parametrize(
    "bad", [{"random_share": 1.5}, {"double_share": float("nan")}, {"lease_minutes": 0.0}]
)
def test_settings_have_their_ranges(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        QueueSettings(**bad)


@pytest.mark.parametrize("name", ["", "  ", "a" * 81, "a\nb", "a\x00", "\u202eann"])
def test_a_name_that_does_not_show_is_refused(name):
    with pytest.raises(ConfigError, match="visible characters"):
        check_name(name)


def test_a_name_is_the_same_however_it_is_typed():
    assert check_name(" Ame\u0301lie ") == check_name("Am\u00e9lie")


@pytest.mark.parametrize(
    "span", [(0, 3, 3), (0, -1, 2), (0, 0, 8), (1, 0, 1)], ids=lambda span: str(span)
)
def test_a_span_lies_in_its_reply(span):
    [item] = grades(1)
    reply, start, end = span

    check_remarks(item, "", [MarkedSpan(reply=0, start=0, end=7)])
    with pytest.raises(DataError, match="span"):
        check_remarks(item, "", [MarkedSpan(reply=reply, start=start, end=end)])


def test_turning_twice_changes_nothing():
    for answer in ("first", "second", "tie"):
        assert turned(turned(answer, (1, 0)), (1, 0)) == answer
        assert turned(answer, (0, 1)) == answer


def test_nothing_hidden_stays_hidden():
    hidden = "\x00\x1b\x07\u200b\u202e\u2066\ufeff\u00ad\U000e0041\u3164\ue000\u2028\r"

    shown = visible(f"a{hidden}b\n\té 한 😀")

    assert not set(hidden) & set(shown)
    assert shown.endswith("b\n\té 한 😀")
    assert shown.count("⟦U+") == len(hidden)
