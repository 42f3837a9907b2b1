"""Every file of a folder against its recorded hash, and every tampering named with its place."""

import json
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from plumbrule.cli.ledger import app
from plumbrule.ledger import (
    Ledger,
    compare_files,
    file_hashes,
    nested_ledgers,
    read_entries,
    record_files,
)
from plumbrule.store import Shards, fingerprint

FILES = {
    "config.yaml": b"seed: 0\n",
    "run.json": b"{}",
    "stages/draft/0000000-abc.jsonl": b'{"text": "a"}\n',
    "stages/draft/0000000-abc.cost.json": b"{}",
    "models/final/model.safetensors": bytes(range(256)),
    "models/final/tokenizer.json": b"{}",
    "report/index.html": b"<p>",
    "report/report.json": b"{}",
    "comparison/decisions.json": b"{}",
}


def fill(folder):
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with Ledger.open(folder / "comparison" / "ledger.db") as inner:
        inner.record("compare/begin", "compare", {})
    (folder / "progress.log").write_text("so far\n")
    (folder / "run.lock").touch()
    with Ledger.open(folder) as ledger:
        ledger.record("run/begin", "run", {})
        record_files(ledger, folder)
    return folder


@pytest.fixture
def run(tmp_path):
    return fill(tmp_path / "run")


def found(folder):
    problems = compare_files(folder, read_entries(folder))
    assert problems is not None
    return [(problem.kind, problem.path) for problem in problems]


def verify(folder):
    result = CliRunner().invoke(app, ["verify", str(folder)])
    return result.exit_code, result.output


def test_an_untouched_folder_is_sound(run):
    assert found(run) == []
    assert set(FILES) | {"comparison/ledger.head"} == set(file_hashes(run))
    code, said = verify(run)
    assert code == 0
    assert "all of the folder looked at" in said


@pytest.mark.parametrize("name", FILES)
def test_a_changed_and_a_missing_file_are_named(run, name):
    path = run / name
    path.write_bytes(path.read_bytes()[:-1] + b"~")
    assert found(run) == [("changed", name)]
    path.unlink()
    assert found(run) == [("missing", name)]
    code, said = verify(run)
    assert code == 1
    assert f"missing: {name!r}" in said


@pytest.mark.parametrize("name", ["new.txt", "models/final/more.safetensors", "stages/x/y.jsonl"])
def test_an_extra_file_is_named(run, name):
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_bytes(b"x")

    assert found(run) == [("extra", name)]


def test_links_and_pipes_are_named_and_not_followed(run, tmp_path):
    (run / "config.yaml").unlink()
    (run / "config.yaml").symlink_to(tmp_path)
    os.mkfifo(run / "pipe")

    assert found(run) == [("changed", "config.yaml"), ("extra", "pipe")]


def test_locks_logs_and_half_written_files_do_not_count(run):
    (run / "progress.log").write_text("more\n")
    (run / ".report.json.123").write_text("half")
    (run / "run.lock").unlink()

    assert found(run) == []


@settings(deadline=None, max_examples=25)
@given(name=st.sampled_from(sorted(FILES)), at=st.integers(0, 255), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(tmp_path_factory, name, at, bit):
    folder = fill(tmp_path_factory.mktemp("run") / "run")
    content = bytearray((folder / name).read_bytes())
    content[at % len(content)] ^= 1 << bit
    (folder / name).write_bytes(content)

    assert found(folder) == [("changed", name)]
    shutil.rmtree(folder)


def test_what_is_recorded_again_counts_from_then_on(run):
    (run / "report" / "report.json").write_text("{1}")
    with Ledger.open(run) as ledger:
        record_files(ledger, run)
        record_files(ledger, run)
    assert found(run) == []
    (run / "report" / "report.json").write_bytes(FILES["report/report.json"])
    assert found(run) == [("changed", "report/report.json")]
    with Ledger.open(run) as ledger:
        record_files(ledger, run)
    assert found(run) == []
    assert len(read_entries(run)) == 4


def test_a_ledger_within_is_verified_too(run):
    assert nested_ledgers(run) == [run / "comparison"]
    import sqlite3

    with sqlite3.connect(run / "comparison" / "ledger.db") as database:
        database.execute("UPDATE entries SET payload = '{\"a\":1}'")
    database.close()

    code, said = verify(run)
    assert code == 1
    assert "(in comparison)" in said


def test_a_run_that_has_not_ended_is_held_against_its_stages(tmp_path):
    shards = Shards(tmp_path / "stages" / "draft", {})
    shards.map([1, 2], lambda items, seed: items, kind=int, size=2, seed=0)
    (path,) = shards.folder.glob("*.jsonl")
    with Ledger.open(tmp_path) as ledger:
        assert compare_files(tmp_path, read_entries(tmp_path)) is None
        files = {path.name: fingerprint(path.read_text())}
        ledger.record("stage/draft", "stage", {"stage": "draft", "files": files})

    assert found(tmp_path) == []
    assert "only records of finished stages" in verify(tmp_path)[1]
    path.write_text(path.read_text() + "\n")
    assert found(tmp_path) == [("changed", f"stages/draft/{path.name}")]
    path.write_bytes(b"\xff")
    assert found(tmp_path) == [("changed", f"stages/draft/{path.name}")]
    path.unlink()
    assert found(tmp_path) == [("missing", f"stages/draft/{path.name}")]


def test_the_hashes_are_in_the_ledger_as_plain_text(run):
    entry = read_entries(run)[-1]

    assert entry.kind == "files"
    assert json.dumps(dict(entry.payload))
    assert entry.payload["files"]["config.yaml"] == file_hashes(run)["config.yaml"]


@pytest.mark.parametrize("payload", ["{}", '{"files": 5}', '{"files": ["a"]}'])
def test_an_entry_in_another_form_is_named_and_crashes_nothing(run, payload):
    import sqlite3

    with sqlite3.connect(run / "ledger.db") as database:
        database.execute("UPDATE entries SET payload = ? WHERE kind = 'files'", (payload,))
    database.close()

    code, said = verify(run)
    assert code == 1
    assert "entry 2" in said


def test_a_head_file_that_is_none_is_not_read_without_end(run):
    (run / "ledger.head").unlink()
    (run / "ledger.head").symlink_to("/dev/zero")
    assert verify(run)[0] != 0

    (run / "ledger.head").unlink()
    (run / "ledger.head").mkdir()
    assert verify(run)[0] != 0
