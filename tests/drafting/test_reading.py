"""Files that people have: Polis' export, our own lines, labeled pairs."""

import gzip
import json

import pytest

from plumbrule.drafting import plain_pair, read_pairs, read_public_input, usable_pairs
from plumbrule.errors import DataError

COMMENTS = """timestamp,datetime,comment-id,author-id,agrees,disagrees,moderated,comment-body
1,a,0,4,2,1,1,"Be kind, always."
2,b,1,5,1,0,0,Be brief.
3,c,2,5,0,0,-1,Spam.
"""
MATRIX = """participant,group-id,n-comments,n-votes,n-agree,n-disagree,0,1,2
4,0,1,2,2,0,1,1,
5,0,1,1,1,0,1.0,,
6,1,0,2,0,1,-1,0,
"""
VOTES = "timestamp,datetime,comment-id,voter-id,vote\n1,a,0,4,-1\n2,a,0,4,1\n3,b,1,5,0\n"


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", "-").replace("_csv", ".csv")).write_text(text)
    return folder


def test_polis_export_is_read_with_its_votes_and_its_moderation(tmp_path):
    write(tmp_path, comments_csv=COMMENTS, participants__votes_csv=MATRIX)

    read = read_public_input([tmp_path])

    assert [each.text for each in read.statements] == ["Be kind, always.", "Be brief.", "Spam."]
    assert [each.rejected for each in read.statements] == [False, False, True]
    assert read.people == ("4", "5", "6")
    assert read.votes.tolist() == [[1, 1, 0], [1, 0, 0], [-1, 0, 0]]
    assert read.seen.tolist() == [[True, True, False], [True, False, False], [True, True, False]]


def test_of_two_votes_on_one_statement_the_later_counts(tmp_path):
    write(tmp_path, comments_csv=COMMENTS.replace("4,2,1,1", "4,1,0,1"), votes_csv=VOTES)

    read = read_public_input([tmp_path])

    assert read.votes.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert read.notes == ("1 vote cast again: the later one counts",)


def test_our_own_lines_hold_statements_and_votes(tmp_path):
    file = tmp_path / "input.jsonl"
    file.write_text(
        '{"id": "a", "text": "Be kind.", "author": "p"}\n'
        '{"person": "p", "statement": "a", "vote": "agree"}\n'
        '{"person": "q", "statement": "a", "vote": "pass"}\n'
    )

    read = read_public_input([file])

    assert (read.statements[0].author, read.people) == ("p", ("p", "q"))
    assert (read.votes.tolist(), read.seen.tolist()) == ([[1], [0]], [[True], [True]])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "x,y\n1,2\n", "expected a header with `comment-body`"),
        ("a.csv", "", "an empty file"),
        ("a.csv", "comment-body\nBe kind.\n", "must have the column `comment-id`"),
        ("a.csv", "comment-id,comment-body\n1,Be kind, always.\n", "line 2 has 3 cells"),
        ("a.csv", 'comment-id,comment-body\n1,"Be\n', "is not CSV"),
        ("a.csv", COMMENTS.replace("1,5,1", "0,5,1"), "is used twice"),
        ("a.jsonl", "{}\n", "must be a statement"),
        ("a.jsonl", "[\n", "line 1 is not JSON"),
        ("a.jsonl", '{"id": 1.5, "text": "a"}\n', "`id` must be text or a whole number"),
        ("a.jsonl", '{"id": "a", "text": "x \\ud800"}\n', "half a character"),
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"person": 1, "vote": 1}\n', "`statement`"),
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"person":1,"statement":"a","vote":7}', "got 7"),
    ],
)
def test_files_that_are_none_are_refused_in_words(tmp_path, name, text, words):
    file = tmp_path / name
    file.write_text(text)

    with pytest.raises(DataError, match=words):
        read_public_input([file])


def test_votes_with_their_signs_turned_round_are_refused(tmp_path):
    turned = MATRIX.replace(",1,1,\n", ",-1,-1,\n").replace("1.0", "-1").replace("-1,0,", "1,0,")
    write(tmp_path, comments_csv=COMMENTS, participants__votes_csv=turned)

    with pytest.raises(DataError, match="turned round"):
        read_public_input([tmp_path])


def test_a_folder_without_statements_and_a_file_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected comments\.csv"):
        read_public_input([tmp_path])
    with pytest.raises(DataError, match="there is none"):
        read_public_input([tmp_path / "nothing.csv"])


FORMS = [
    {"prompt": "Hi?", "chosen": "Hello.", "rejected": "No."},
    {"prompt": "Hi?", "first": "Hello.", "second": "No.", "probability": 1},
    {"prompt": "Hi?", "first": "No.", "second": "Hello.", "label": "second"},
    {
        "dialogue": [{"role": "user", "content": "Hi?"}],
        "first": "Hello.",
        "second": "No.",
        "probability": 0.9,
    },
    {
        "chosen": "\n\nHuman: Hi?\n\nAssistant: Hello.",
        "rejected": "\n\nHuman: Hi?\n\nAssistant: No.",
    },
    {
        "chosen": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}],
        "rejected": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "No."}],
    },
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "+".join(form))
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_of_a_pair_says_the_same(tmp_path, form, packed):
    file = tmp_path / ("pairs.jsonl.gz" if packed else "pairs.jsonl")
    line = (json.dumps(form) + "\n").encode()
    file.write_bytes(gzip.compress(line) if packed else line)

    (pair,) = read_pairs(file).pairs

    better = pair.first if pair.probability > 0.5 else pair.second
    assert (pair.request, better, {pair.first, pair.second}) == ("Hi?", "Hello.", {"Hello.", "No."})


def test_pairs_that_say_nothing_are_left_out_and_counted():
    good = plain_pair("a", "x", "y", probability=1)
    torn = [plain_pair("b", "x", "y", probability=1), plain_pair("b", "y", "x", probability=1)]
    given = [
        good,
        plain_pair("e", "x", " ", probability=1),
        plain_pair("a", "y", "x", probability=0),
        *torn,
        plain_pair("c", "x", " x", probability=1),
        plain_pair("d", "x", "y", probability=0.5),
    ]

    found = usable_pairs(given)

    assert found.pairs == (good,)
    assert (found.repeated, found.contradictory, found.identical, found.undecided) == (1, 2, 1, 1)
    assert found.empty == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1 must be one JSON object a line"),
        ("[1]", "line 1 must be a JSON object"),
        (
            '{"prompt": "a", "chosen": "b"}',
            "must have the keys chosen and rejected.*it lacks rejected",
        ),
        ('{"prompt": "a", "first": "b", "second": "c"}', "must have the key probability"),
        ('{"prompt":"a","first":"b","second":"c","probability":1.5}', "from 0 to 1"),
        ('{"prompt":"a","first":"b","second":"c","probability":NaN}', "from 0 to 1"),
        ('{"prompt":"a","first":"b","second":"c","probability":true}', "from 0 to 1"),
        ('{"prompt":"a","first":"b","second":"c","label":"left"}', "`first` or `second`"),
        ('{"prompt":"a","first":"b","second":7,"label":"first"}', "`second` must be text"),
        ('{"first":"b","second":"c","label":"first"}', "must have the key `prompt`"),
        ('{"prompt":"a","first":"b","second":"b","label":"first"}', "1 with identical sides"),
        ("", "holds none"),
    ],
)
def test_lines_that_are_no_pairs_are_refused_in_words(tmp_path, line, words):
    file = tmp_path / "pairs.jsonl"
    file.write_text(line + "\n")

    with pytest.raises(DataError, match=words):
        read_pairs(file)


def test_what_is_not_packed_or_not_there_is_refused(tmp_path):
    (tmp_path / "a.gz").write_text("plain")

    with pytest.raises(DataError, match="cannot be unpacked"):
        read_pairs(tmp_path / "a.gz")
    with pytest.raises(DataError, match="there is none at"):
        read_pairs(tmp_path / "nothing.jsonl")
