import os

import pytest

from plumbrule.errors import DataError
from plumbrule.monitoring import new_lines, source_files
from plumbrule.monitoring import sources as module
from plumbrule.monitoring.sources import Place


def read(path, places):
    found = []
    for line in new_lines(path, places):
        found.append(line.data)
        places[line.identity] = line.place
    return found


def test_a_file_that_grows_is_read_on_and_nothing_twice(tmp_path):
    path, places = tmp_path / "a.jsonl", dict[str, Place]()
    path.write_bytes(b'{"a":1}\n{"a":2}\n')
    assert read(path, places) == [b'{"a":1}', b'{"a":2}']
    assert read(path, places) == []
    with path.open("ab") as file:
        file.write(b'{"a":3}\n{"a":')
    assert read(path, places) == [b'{"a":3}']
    with path.open("ab") as file:
        file.write(b"4}\n")
    assert read(path, places) == [b'{"a":4}']


def test_a_last_line_without_its_end_is_read_once_it_is_whole(tmp_path):
    path, places = tmp_path / "a.jsonl", dict[str, Place]()
    path.write_bytes(b'{"a":1}')
    assert read(path, places) == [b'{"a":1}']
    with path.open("ab") as file:
        file.write(b'\n{"a":2}\n')
    assert read(path, places) == [b'{"a":2}']


def test_a_rotated_file_goes_on_and_the_new_one_is_read_from_its_start(tmp_path):
    path, places = tmp_path / "a.jsonl", dict[str, Place]()
    path.write_bytes(b'{"a":1}\n')
    read(path, places)
    with path.open("ab") as file:
        file.write(b'{"a":2}\n')
    path.rename(tmp_path / "a.jsonl.1")
    path.write_bytes(b'{"b":1}\n')
    os.utime(tmp_path / "a.jsonl.1", (1, 1))
    found = [data for each in source_files(tmp_path) for data in read(each, places)]

    assert found == [b'{"a":2}', b'{"b":1}']


def test_a_file_that_was_emptied_and_filled_anew_is_read_from_its_start(tmp_path):
    path, places = tmp_path / "a.jsonl", dict[str, Place]()
    path.write_bytes(b'{"old":1}\n')
    read(path, places)
    with path.open("r+b") as file:  # as copytruncate does: the same file
        file.truncate(0)
        file.write(b'{"new":1}\n{"new":2}\n')

    assert read(path, places) == [b'{"new":1}', b'{"new":2}']


def test_a_line_beyond_the_bound_is_counted_and_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_LINE", 1000)
    monkeypatch.setattr(module, "BLOCK", 64)
    path, places = tmp_path / "a.jsonl", dict[str, Place]()
    path.write_bytes(b'{"a":"' + b"x" * 5000 + b'"}\n{"a":2}\n')

    assert read(path, places) == [None, b'{"a":2}']
    assert read(path, places) == []


def test_a_file_with_one_export_over_several_lines_is_read_when_it_is_whole(tmp_path):
    path, places = tmp_path / "a.json", dict[str, Place]()
    path.write_bytes(b'{\n "a": 1,\n')
    assert read(path, places) == []
    path.write_bytes(b'{\n "a": 1,\n "b": 2\n}\n')
    assert read(path, places) == [b'{\n "a": 1,\n "b": 2\n}\n']
    assert read(path, places) == []


def test_hidden_packed_and_own_files_are_left_out(tmp_path):
    for name in ("a.jsonl", ".b.jsonl", "c.jsonl.gz", "d.txt", "e.json.part", "out/f.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}\n")

    assert [each.name for each in source_files(tmp_path, without=tmp_path / "out")] == ["a.jsonl"]


def test_no_source_is_said(tmp_path):
    with pytest.raises(DataError, match="there is none"):
        source_files(tmp_path / "none")
