import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.constitution.builders import ODD, clean, constitutions, patient

from plumbrule.constitution import (
    dump_constitution,
    load_constitution,
    parse_constitution,
)
from plumbrule.constitution.nodes import MAX_BYTES
from plumbrule.errors import ConstitutionError

GOOD = """
name: town
version: 1
principles:
  - id: be-kind
    text: Be kind.
    tier: 0
"""


@settings(patient, max_examples=100)
@given(constitutions)
def test_what_is_written_reads_back_the_same(constitution):
    back = parse_constitution(dump_constitution(constitution))

    assert back == constitution
    assert back.sha256 == constitution.sha256


def test_a_file_reads_like_its_text(tmp_path):
    path = tmp_path / "town.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + dump_constitution(clean()).encode())

    assert load_constitution(path) == load_constitution(str(path)) == clean()


def test_a_version_may_be_a_number_and_keeps_its_digits():
    assert parse_constitution(GOOD.replace("version: 1", "version: 1.10")).version == "1.10"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("tier: 0", "tier: high"), r"line 7, principle 1 \('be-kind'\), field `tier`: expected a "
         r"whole number from 0 up, got the text 'high'; 0 decides first"),
        (("tier: 0", "tier: -1"), r"whole number from 0 up, got the number '-1'"),
        (("tier: 0", "tier: 1.5"), r"whole number from 0 up, got the number '1.5'"),
        (("tier: 0", "tier: true"), r"whole number from 0 up, got the yes/no value 'true'"),
        (("tier: 0", "tier: 0x10"), r"whole number"),
        (("tier: 0", "tier: " + "9" * 5000), r"whole number"),
        (("tier: 0", "tier:"), r"whole number from 0 up, got nothing"),
        (("tier: 0", "tier: !!int abc"), r"whole number"),
        (("    tier: 0\n", ""), r"expected the field `tier`, got only id, text; add `tier:`"),
        (("text: Be kind.", "text: yes"), r"field `text`: expected text, got the yes/no value 'yes'"
         r"; put it in quotes"),
        (("text: Be kind.", "text: 2001-99-99"), r"field `text`: expected text, got the date"),
        (("text: Be kind.", "text: [a]"), r"field `text`: expected text, got a list"),
        (("text: Be kind.", "text: !!binary aGk="), r"got a value tagged tag:yaml.org,2002:binary"),
        (("text: Be kind.", "text: !!python/object/apply:os.system [ls]"), r"got a list"),
        (("text: Be kind.", "txt: Be kind."), r"got the text 'txt'; did you mean `text`\?"),
        (("text: Be kind.", "mood: kind"), r"got the text 'mood'; remove it"),
        (("text: Be kind.", "<<: {text: a}"), r"a field's name: expected text"),
        (("text: Be kind.", "text: a\n    text: b"), r"line 7.*field `text`: expected the field "
         r"once \(it is on line 6 already\)"),
        (("text: Be kind.", "? [a]\n    : b"), r"a field's name: expected text, got a list"),
        (("id: be-kind", "id: Be Kind"), r"line 5, principle 1 \('Be Kind'\): .*write `be-kind`"),
        (("tier: 0", "tier: 0\n    probes: Hurry."), r"field `probes`: expected a list, got the "
         r"text 'Hurry.'; write one entry a line"),
        (("tier: 0", "tier: 0\n    twins: [a, 3]"), r"`twins`, entry 2: expected text, got the "
         r"number '3'"),
        (("tier: 0", "tier: 0\n    critique_examples: [{request: a}]"), r"`critique_examples`, "
         r"entry 1: expected the field `reply`"),
        (("tier: 0", 'tier: 0\n    source: "\\ud800"'), r"UTF-8 can hold|cannot be read"),
        (("name: town", "name: ''"), r"needs a name"),
        (("name: town", "name: town\nname: city"), r"expected the field once"),
        (("name: town", "nmae: town"), r"did you mean `name`\?"),
        (("name: town", "name: *town"), r"aliases"),
        (("name: town", "name: &a town\ndescription: *a"), r"aliases .* are not read here"),
        (("name: town", "name: town: city"), r"line 2: expected YAML, got a line that cannot be "
         r"read: mapping values are not allowed here; put quotes"),
        (("name: town", "name: \x07"), r"character that YAML does not allow"),
        (("version: 1", "version: [1]"), r"field `version`: expected text, got a list"),
        (("version: 1", "version: 1\ntiers: Harm"), r"field `tiers`: expected a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(change, expected):
    text = GOOD.replace(*change)
    assert text != GOOD

    with pytest.raises(ConstitutionError, match=rf"(?s)^town\.yaml.*{expected}"):
        parse_constitution(text, origin="town.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "got an empty file"),
        ("# only a remark\n", "got an empty file"),
        ("- a\n- b\n", "expected a mapping of fields, got a list"),
        ("just words", "expected a mapping of fields, got the text 'just words'"),
        ("name: a\nversion: '1'\nprinciples: []\n", "at least one principle, got none"),
        ("name: a\nversion: '1'\nprinciples: {b: c}\n", "expected a list, got a mapping"),
        ("name: a\nversion: '1'\nprinciples: [b]\n", r"principle 1: expected a mapping"),
        ("a: b\n---\nc: d\n", "expected a single document"),
        ("[" * 5000, "nested more than"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "aliases"),
        ("x" * (MAX_BYTES + 1), r"at most 1,000,000 bytes, got 1,000,001"),
    ],
)
def test_what_is_no_constitution_is_refused(text, expected):
    with pytest.raises(ConstitutionError, match=expected):
        parse_constitution(text)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"name: caf\xe9\n", "line 1: expected UTF-8 text, got the byte 0xe9"),
        ("name: a\n".encode("utf-16"), "expected UTF-8 text"),
        (b"a" * (MAX_BYTES + 1), "at most 1,000,000 bytes, got more"),
        (b"", "empty file"),
    ],
)
def test_a_file_that_is_not_text_is_refused(tmp_path, data, expected):
    path = tmp_path / "town.yaml"
    path.write_bytes(data)

    with pytest.raises(ConstitutionError, match=rf"town\.yaml.*{expected}"):
        load_constitution(path)


@pytest.mark.parametrize("name", ["defualt", "missing.yaml", "no/such/folder.yaml"])
def test_a_missing_file_names_what_there_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConstitutionError, match="one of default, village"):
        load_constitution(name)


@pytest.mark.parametrize("name", ["", "nul\x00byte", "x" * 5000])
def test_a_path_that_cannot_be_opened_is_refused(name):
    with pytest.raises(ConstitutionError, match="expected a YAML file"):
        load_constitution(name)


def test_a_folder_is_no_constitution(tmp_path):
    with pytest.raises(ConstitutionError, match="that can be read"):
        load_constitution(tmp_path)


def test_a_file_named_like_a_shipped_one_is_reached_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").write_text(GOOD)

    assert load_constitution("default").name == "default"
    assert load_constitution("./default").name == "town"


def test_a_constitution_too_large_to_read_back_is_not_written():
    with pytest.raises(ConstitutionError, match="at most 1,000,000 bytes"):
        dump_constitution(clean(description="x" * MAX_BYTES))


@settings(patient, max_examples=200)
@given(
    st.lists(
        st.one_of(
            ODD,
            st.text(max_size=5),
            st.sampled_from(GOOD.splitlines(keepends=True)),
            st.sampled_from(["name:", "principles:", "- id: a\n", "  tier: 0\n", "!!set", "? "]),
        ),
        max_size=25,
    ).map("".join)
)
def test_any_text_is_read_or_refused_but_never_crashes(text):
    try:
        constitution = parse_constitution(text)
    except ConstitutionError:
        return
    assert parse_constitution(dump_constitution(constitution)) == constitution


def test_reading_needs_no_deep_stack():
    before = sys.getrecursionlimit()
    with pytest.raises(ConstitutionError, match="nested"):
        parse_constitution("{a: " * 3000)
    assert sys.getrecursionlimit() == before
