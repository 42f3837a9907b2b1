"""A key is found in every writing, and nothing else is."""

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.models.concealing import conceal

KEY = "sk-Proj_04+b/9=x"
LETTERS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40)

WAYS = {
    "plain": lambda key: key,
    "upper": str.upper,
    "backwards": lambda key: key[::-1],
    "percent": lambda key: quote(key, safe=""),
    "percent, all": lambda key: "".join(f"%{ord(one):02X}" for one in key),
    "percent, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "json": json.dumps,
    "escaped": lambda key: "".join(f"\\u{ord(one):04x}" for one in key),
    "escaped twice": lambda key: json.dumps("".join(f"\\u{ord(one):04x}" for one in key)),
    "python": lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    "html": lambda key: "".join(f"&#{ord(one)};" for one in key),
    "html, some": html.escape,
    "hex": lambda key: key.encode().hex(),
    "hex, spaced": lambda key: key.encode().hex(" ").upper(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_key_is_found_in_each_writing(way):
    found = conceal(f"Bearer <{WAYS[way](KEY)}> was refused", KEY)

    assert "[key]" in found
    assert found.startswith("Bearer <")
    assert found.endswith("> was refused")


@given(key=LETTERS, before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_key_is_found_in_base64_wherever_it_begins(key, before, after):
    whole = (before + key + after).encode()
    for written in (base64.b64encode(whole), base64.urlsafe_b64encode(whole)):
        assert "[key]" in conceal(written.decode(), key)


@given(key=LETTERS, way=st.sampled_from(sorted(set(WAYS) - {"html, some", "json"})))
def test_any_key_is_found(key, way):
    assert "[key]" in conceal(f"a {WAYS[way](key)} b", key)


def test_other_text_is_left_alone():
    text = "The weather in sk-Proj is fine; EMPTY hands, c2stUHJvag=="

    assert conceal(text, KEY) == text
    assert conceal(text, None) == text
    assert conceal(text, "EMPTY") == text
