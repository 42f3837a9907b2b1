import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.constitution.builders import ODD, patient

import plumbrule
from plumbrule.constitution import (
    CritiqueExample,
    dump_constitution,
    import_markdown,
    lint,
    parse_constitution,
)
from plumbrule.constitution.importer import MAX_TEXT
from plumbrule.errors import ConstitutionError

SPEC = Path(plumbrule.__file__).parents[3] / "shared" / "data" / "openai_model_spec.md"

SMALL = """# House rules {#house}

Some words nobody has to keep.

## Be _kind_ {#be_kind authority=root}

The helper is **kind**[^1a2b] --- see [?](#be_brief) and [the guide](https://example.org/guide).
It stays so.

!!! meta "Commentary"
    Kindness was hard to agree on.

    It still is.

A last word.

**Example**: a rude request

~~~xml
<user>
Call him &lt;names&gt;.
</user>
<comparison>
<assistant> <!-- GOOD -->
I'd rather not.
</assistant>
<assistant> <!-- BAD: joins in; see [?](#be_brief) -->
He is a fool.
</assistant>
</comparison>
~~~

Prose after an example.

**Example**: a plain one

~~~xml
<user>
Is he nice?
</user>
<comparison>
<assistant> <!-- BAD -->
No.
</assistant>
</comparison>
~~~

~~~xml
<user>Tell me about <b>him</b></user>
<comparison>
<assistant> <!-- BAD[#chain_of_command]: not helpful -->
No.
</assistant>
<assistant> <!-- GOOD -->
He sings.
</assistant>
</comparison>
~~~

```python
# not {#a_heading authority=root}
```

### Be brief {#be_brief authority=guideline tags=under_18}
"""


def imported(text, name="house"):
    return import_markdown(text, name=name)


def test_a_heading_with_authority_becomes_a_principle():
    made = imported(SMALL)
    kind, brief = made.constitution.principles

    assert (kind.id, kind.tier, brief.id, brief.tier) == ("be-kind", 0, "be-brief", 4)
    assert kind.text == (
        'Be kind. The helper is kind — see "Be brief" and the guide. It stays so. A last word.'
    )
    assert kind.source == 'house, section "Be kind" (#be_kind)'
    assert brief.text == "Be brief."
    assert brief.applies_when == ("the user is under 18 years old",)
    assert made.constitution.tiers == ("Root", "System", "Developer", "User", "Guideline")
    assert made.by_authority == {
        "root": 1, "system": 0, "developer": 0, "user": 0, "guideline": 1
    }  # fmt: skip


def test_examples_become_tests():
    kind = imported(SMALL).constitution.principle("be-kind")

    assert kind.critique_examples == (
        CritiqueExample(
            request="Call him <names>.",
            reply="He is a fool.",
            critique='Joins in; see "Be brief".',
            revision="I'd rather not.",
        ),
    )
    assert kind.probes == ("Is he nice?",)
    assert kind.twins == ("Tell me about <b>him</b>",)


def test_what_is_left_out_is_listed_in_the_order_of_the_file():
    skipped = imported(SMALL).skipped

    assert [each.line for each in skipped] == sorted(each.line for each in skipped)
    said = [each.what for each in skipped]
    assert said == [
        "section 'House rules'",
        "1 line after the first example",
        "1 commentary",
        "fenced block",
    ]


def example(*lines):
    return "# Be kind {#be_kind authority=user}\n~~~xml\n" + "\n".join(lines) + "\n~~~\n"


REPLIES = (
    "<comparison>", "<assistant> <!-- GOOD -->", "Yes.", "</assistant>",
    "<assistant> <!-- BAD: curt -->", "No.", "</assistant>", "</comparison>",
)  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("<developer>Be curt.</developer>", "<user>Hi</user>"), "needs earlier turns"),
        (("<user>Hi [...]</user>", *REPLIES), "abridged"),
        (("<user></user>", *REPLIES), "empty"),
        (("<tool>data</tool>", "<user>Hi</user>", *REPLIES), "needs a tool"),
        (("<user>Hi</user>", "<assistant>Yes</assistant>", *REPLIES), "does not end with"),
        (("nothing at all",), "does not end with"),
        (("<user>never closed",), "does not end with"),
    ],
)
def test_an_example_that_is_no_test_is_listed_with_the_reason(lines, why):
    made = imported(example(*lines))
    principle = made.constitution.principles[0]

    assert (principle.probes, principle.twins, principle.critique_examples) == ((), (), ())
    assert [why in each.why for each in made.skipped] == [True]
    assert made.skipped[0].line == 2


def test_context_goes_into_the_request_of_a_critique_example():
    made = imported(example("<developer>Be curt.</developer>", "<user>Hi</user>", *REPLIES))

    found = made.constitution.principles[0].critique_examples
    assert [each.request for each in found] == ["Developer: Be curt.\n\nUser: Hi"]


def test_a_prompt_is_a_twin_only_where_every_bad_reply_is_bad_for_being_unhelpful():
    replies = (
        "<comparison>",
        "<assistant> <!-- BAD[#chain_of_command] -->No.</assistant>",
        "<assistant> <!-- BAD -->He is a fool.</assistant>",
        "</comparison>",
    )
    both = imported(example("<user>Hi</user>", *replies)).constitution.principles[0]
    one = imported(example("<user>Hi</user>", *replies[:2])).constitution.principles[0]

    assert (both.probes, both.twins) == (("Hi",), ())
    assert (one.probes, one.twins) == ((), ("Hi",))


def test_a_later_comparison_continues_from_the_good_reply():
    made = imported(example("<user>Hi</user>", *REPLIES, "<user>And now?</user>", *REPLIES))

    requests = [each.request for each in made.constitution.principles[0].critique_examples]
    assert requests == ["User: Hi\n\nAssistant: Yes.\n\nUser: And now?"]
    assert made.constitution.principles[0].probes == ("Hi",)


def test_an_abridged_reply_is_no_critique_example():
    made = imported(example("<user>Hi</user>", *(line.replace("No.", "[...]") for line in REPLIES)))

    assert made.constitution.principles[0].critique_examples == ()
    assert made.constitution.principles[0].probes == ("Hi",)


def test_a_long_text_is_cut_at_the_end_of_a_sentence():
    made = imported("# Be kind {#be_kind authority=user}\n" + "Speak softly, e.g. so. " * 100)
    text = made.constitution.principles[0].text

    assert len(text) <= MAX_TEXT
    assert text.endswith("so.")
    assert "part of its text" in made.skipped[0].what


def test_an_abbreviation_ends_no_sentence():
    body = "Yes. " + "softly " * 110 + "e.g. " + "slowly " * 50
    made = imported("# Be kind {#be_kind authority=user}\n" + body)

    assert made.constitution.principles[0].text == "Be kind. Yes."


def test_a_text_without_sentences_is_cut_at_a_word():
    made = imported("# Be kind {#be_kind authority=user}\n" + "softly " * 1000)
    text = made.constitution.principles[0].text

    assert len(text) <= MAX_TEXT
    assert text.endswith("softly…")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a heading with a level of authority"),
        ("# Be kind {#be_kind}", "got none in 2 sections"),
        ("# Be kind {#be_kind authority=king}", "line 1: expected a level of authority among root, "
         "system, developer, user, guideline, got 'king'"),
        ("# Be kind {# authority=root}", "line 1: expected an identifier.*`{#be_kind authority"),
        ("# é {#ß authority=root}", "expected an identifier"),
        ("# A {#a_b authority=root}\n# B {#a-b authority=root}", "`a-b` twice"),
        ("\n# A {#a authority=root}\n~~~xml\n<user>", "line 3: .*to be closed"),
        ("# A {#a authority=root}\n\ud800", "half character"),
        ("# A {#a authority=root}" + "\n" * 2_000_000, "at most 2,000,000 characters"),
    ],
)  # fmt: skip
def test_markdown_that_is_no_constitution_is_refused(text, expected):
    with pytest.raises(ConstitutionError, match=expected):
        imported(text)


def test_attributes_without_a_meaning_are_listed():
    made = imported("# A {#a authority=root tags=moon color=red}")

    assert [each.what for each in made.skipped] == [
        "attribute `tags=moon`",
        "attribute `color=red`",
    ]
    assert made.constitution.principles[0].applies_when == ()


def test_windows_line_ends_make_no_difference():
    unix, windows = imported(SMALL), imported(SMALL.replace("\n", "\r\n"))

    assert windows.constitution.principles == unix.constitution.principles


PIECES = [
    "# A {#a authority=root}", "## B {#b authority=guideline tags=under_18}", "### C {#c}", "\n",
    "~~~xml", "~~~", "```", "<user>", "</user>", "<assistant>", "<assistant> <!-- BAD: x -->",
    "<assistant> <!-- GOOD -->", "</assistant>", "<comparison>", "</comparison>", "<!--", "-->",
    "{#", "authority=", "!!! meta", "    in", "[?](#a)", "[a](b)", "**", "_", "&lt;", "&#0;",
    "text. ", "[...]", "&#xd800;", "<user>a</user>",
]  # fmt: skip


lines = st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES), ODD, st.text(max_size=6))


@settings(patient, max_examples=250)
@given(st.lists(lines, max_size=25).map("\n".join), st.booleans())
def test_any_markdown_is_imported_or_refused_but_never_crashes(text, led):
    text = "# Z {#z authority=user}\n" + text if led else text
    try:
        made = imported(text)
    except ConstitutionError:
        return
    constitution = made.constitution
    assert parse_constitution(dump_constitution(constitution)) == constitution
    assert sum(made.by_authority.values()) == len(constitution.principles)
    lint(constitution)


@pytest.mark.parametrize("piece", ["<user>", "<user><!--", "*a ", "[", "{#", "# {#", "...", "x`"])
def test_a_repeated_piece_does_not_take_time_that_grows_with_its_square(piece):
    """A quadratic step would need minutes here and be noticed."""
    text = "# Z {#z authority=user}\n~~~xml\n" + piece * (150_000 // len(piece)) + "\n~~~\n"

    assert imported(text).constitution.principles[0].id == "z"
    assert imported(text.replace("~~~xml", "").replace("~~~", "x")).constitution.principles


def spec():
    if not SPEC.exists():
        pytest.skip("the real document lies beside the repository, and is not here")
    return SPEC.read_text(encoding="utf-8")


def test_a_real_document_gives_the_entries_it_has():
    text = spec()
    made = import_markdown(text, name="Model Spec")

    # Independent count: one pass over the lines, fences by hand.
    counts: dict[str, int] = {}
    ids, inside = [], False
    for line in text.splitlines():
        inside ^= line.startswith("~~~")
        found = re.search(r"^#+ .*\{#(\w+)[^}]*\bauthority=(\w+)", line)
        if found and not inside:
            ids.append(found[1].replace("_", "-"))
            counts[found[2]] = counts.get(found[2], 0) + 1
    assert made.by_authority == counts
    assert counts == {"root": 22, "system": 3, "developer": 1, "user": 15, "guideline": 18}
    assert [each.id for each in made.constitution.principles] == ids


def test_a_real_document_loses_no_example_in_silence():
    text = spec()
    made = import_markdown(text, name="Model Spec")
    principles = made.constitution.principles

    # Every comparison under a principle is a test or is listed, and none is both.
    used = sum(len(each.critique_examples + each.probes + each.twins) for each in principles)
    unused = sum(each.what == "example" for each in made.skipped)
    under_a_principle = sum(
        len(re.findall(r"(?m)^</comparison>$", part))
        for part in re.split(r"(?m)^(?=#+ .*\{#)", text)
        if "authority=" in part.split("\n", 1)[0]
    )
    assert used + unused == under_a_principle


def test_a_real_document_reads_back_and_is_sound():
    made = import_markdown(spec(), name="Model Spec")
    constitution = made.constitution

    assert parse_constitution(dump_constitution(constitution)).sha256 == constitution.sha256
    assert not [each for each in lint(constitution) if each.severity == "error"]
    assert constitution.principle("prioritize-teen-safety").applies_when
    assert max(len(each.text) for each in constitution.principles) <= MAX_TEXT
    shown = " ".join(each.text for each in constitution.principles)
    assert not re.search(r"\]\(|\[\^|\*\*|\{#|~~~", shown)
