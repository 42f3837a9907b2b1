import json
import sys
import unicodedata
from html import unescape

from hypothesis import given, settings
from hypothesis import strategies as st

from plumbrule.report.text import is_hidden, json_text, marked, plain, preview

SEEN = set("\t\n")


def test_everything_that_unicode_calls_control_or_format_is_written_out():
    for number in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(number))
        if category in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} and chr(number) not in SEEN:
            assert is_hidden(chr(number)), f"U+{number:04X} {category}"


def test_letters_marks_digits_and_emoji_stay_as_they_are():
    for text in ("Grüße", "日本語", "עברית", "العربية", "हिन्दी", "👍🏽", "a\tb\nc", "x² ≤ 4"):
        assert plain(text) == text
        assert unescape(str(marked(text))) == text


def test_overrides_and_zeros_show_by_number_and_name():
    assert plain("a\u202eb\x00") == "a⟦U+202E⟧b⟦U+0000⟧"
    shown = str(marked("a\u202eb"))
    assert "U+202E" in shown
    assert "RIGHT-TO-LEFT OVERRIDE" in shown
    assert "\u202e" not in shown


def test_a_flood_of_one_character_is_written_once():
    shown = str(marked("\u202e" * 100_000))
    assert len(shown) < 200
    assert "100,000" in shown


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_marked_text_holds_no_markup_of_its_own_and_nothing_hidden(text):
    shown = str(marked(text))
    inside = shown.replace("</span>", "").split('<span class="hidden-character" title="')

    assert not any(is_hidden(character) for character in shown)
    assert "<" not in inside[0]
    for part in inside[1:]:
        assert "<" not in part
        assert part.count('">') == 1


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_json_with_escapes_says_the_same_and_hides_nothing(text):
    written = json_text(json.dumps({text: text}, ensure_ascii=False))

    assert json.loads(written) == {text: text}
    assert not any(is_hidden(character) for character in written)
    written.encode()


def test_half_of_a_surrogate_pair_survives_on_disk():
    written = json_text(json.dumps("\ud800", ensure_ascii=False))
    assert json.loads(written.encode()) == "\ud800"


def test_long_texts_and_many_lines_are_folded_and_short_ones_are_not():
    assert preview("short") is None
    assert preview("\n".join("abc")) is None
    assert 0 < len(preview("x" * 100_000) or "") < 1000
    assert (preview("\n" * 5000 + "end")) == ""
