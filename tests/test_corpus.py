"""A corpus is read as passages, as a stream, and nothing that is no text passes for it."""

import json

import pytest

from plumbrule.data import open_corpus, read_passages
from plumbrule.errors import DataError


def texts(path, **given):
    return [each.text for each in read_passages(path, **given)]


def test_blank_lines_part_passages_whatever_ends_a_line(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_bytes("\ufeffA:\r\none\r\n\r\nB:\r\ntwo\n \t\n\n\nthree\u2028same".encode())

    assert texts(path) == ["A:\r\none".replace("\r", ""), "B:\ntwo", "three\u2028same"]
    found = open_corpus(path)
    assert (found.passages, found.characters) == (3, sum(map(len, texts(path))))


def test_rows_hold_a_text_each(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "one\\n\\nstill one"}\n\n{"text": " "}\n{"text": "two", "x": 1}\n')

    assert [(each.id, each.text) for each in read_passages(path)] == [
        ("0", "one\n\nstill one"),
        ("1", "two"),
    ]


def test_a_table_holds_a_text_each(tmp_path):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "corpus.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one", "two"]}), path)

    assert texts(path) == ["one", "two"]


def test_a_long_passage_is_cut_where_a_sentence_ends_and_nothing_is_lost(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("Here is a sentence of words. " * 40)
    found = list(read_passages(path, longest=100))

    assert all(len(each.text) <= 100 for each in found)
    assert all(each.text.endswith(".") for each in found)
    assert " ".join(each.text for each in found) == path.read_text().strip()
    assert [each.id for each in found[:3]] == ["0", "0-2", "0-3"]


def test_a_line_without_end_is_read_in_parts(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("x" * 1_000_000 + " yes " + "y" * 500_000)
    found = texts(path)

    assert "".join(found).replace(" ", "") == path.read_text().replace(" ", "")
    assert max(map(len, found)) <= 4000


def test_a_blank_line_over_the_border_of_two_reads_is_seen(tmp_path):
    path = tmp_path / "corpus.txt"
    for before in range(2**16 - 3, 2**16 + 2):
        path.write_text("é" * (before // 2) + "a" * (before % 2) + "\n\nsecond")
        assert texts(path, longest=10**6)[1:] == ["second"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"", "holds none"),
        ("blank.txt", b"\n \n\t\n", "holds none"),
        ("binary.txt", b"\x7fELF\x00\x01", "zero byte at 4"),
        ("late.txt", b"a" * 70_000 + b"\x00", "zero byte at 70000"),
        ("latin.txt", "caf\u00e9".encode("latin-1"), "UTF-8"),
        ("utf16.txt", "text".encode("utf-16"), "zero byte|UTF-8"),
        ("rows.jsonl", b'{"text": 3}\n', "line 1 must hold text under `text`"),
        ("rows.jsonl", b'["a"]\n', "line 1 must hold text"),
        ("rows.jsonl", b"not json\n", "line 1 must be one JSON object"),
        ("rows.jsonl", b'{"text": "\\ud800"}\n', "half a character"),
        ("rows.jsonl", b"[" * 100_000 + b"\n", "line 1 must be one JSON object"),
        ("rows.jsonl", json.dumps({"text": "x" * 2**24}).encode(), "longer than 16 MiB"),
        ("rows.jsonl", b'{"text": ""}\n', "holds none"),
        ("broken.parquet", b"PAR1 and no more", "Parquet"),
    ],
)
def test_what_is_no_corpus_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=message):
        open_corpus(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        open_corpus(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="is no file"):
        open_corpus(tmp_path)
