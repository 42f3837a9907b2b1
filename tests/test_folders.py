import json
import os
import subprocess
import sys

import pytest

from plumbrule.errors import OutputError, StorageError
from plumbrule.folders import differences, held_folder

OURS = {"settings": {"seed": 0, "deep": {"a": [1, 2]}}, "named": {"base": "x"}}


def opened(folder, ours=OURS, configuration="seed: 0\n"):
    return held_folder(folder, marker="mark.json", ours=ours, configuration=configuration)


def test_a_new_folder_is_made_and_bound(tmp_path):
    folder = tmp_path / "deep" / "down"

    with opened(folder):
        pass

    marker = json.loads((folder / "mark.json").read_text())
    assert {key: marker[key] for key in OURS} == OURS
    assert (folder / "config.yaml").read_text() == "seed: 0\n"


def test_the_same_inputs_go_on_in_it_and_nothing_is_written_anew(tmp_path):
    with opened(tmp_path / "a"):
        (tmp_path / "a" / "work").write_text("done")
    before = (tmp_path / "a" / "mark.json").read_bytes()

    with opened(tmp_path / "a"):
        assert (tmp_path / "a" / "work").read_text() == "done"

    assert (tmp_path / "a" / "mark.json").read_bytes() == before


def test_other_inputs_are_refused_and_what_differs_is_named(tmp_path):
    with opened(tmp_path):
        pass
    changed = {"settings": {"seed": 1, "deep": {"a": [2, 1]}}, "named": {"base": "x"}}

    with (
        pytest.raises(OutputError, match=r"settings\.deep\.a, settings\.seed\. Choose another"),
        opened(tmp_path, changed),
    ):
        raise AssertionError("nobody may work here")


def test_differences_are_named_in_both_directions():
    assert differences({"a": 1, "b": {"c": 1}}, {"b": {"c": 1}}) == ["a"]
    assert differences({"b": {"c": 1}}, {"a": 1, "b": {"c": 2}}) == ["a", "b.c"]
    assert differences(OURS, OURS) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with (
        pytest.raises(OutputError, match=r"mark\.json, .* holds something else"),
        opened(tmp_path),
    ):
        raise AssertionError("nobody may work here")

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(OutputError, match="is a file"), opened(tmp_path / "file"):
        pass


def test_a_killed_first_second_does_not_lock_the_folder(tmp_path):
    """The lock is made first; the marker, which binds the folder, is written last."""
    (tmp_path / "run.lock").touch()
    (tmp_path / "progress.log").write_text("10:00:00 loading: 0 of 1\n")
    (tmp_path / "config.yaml").write_text("seed: 0\n")

    with opened(tmp_path):
        assert (tmp_path / "mark.json").exists()


def test_a_configuration_of_ones_own_is_left_alone(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: all mine\n")

    with pytest.raises(OutputError, match="holds something else"), opened(tmp_path):
        pass

    assert (tmp_path / "config.yaml").read_text() == "mine: all mine\n"


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00"], ids=["empty", "list", "cut", "zero"])
def test_a_damaged_marker_is_named(tmp_path, content):
    (tmp_path / "mark.json").write_text(content)

    with pytest.raises(OutputError, match=r"mark\.json.* is damaged"), opened(tmp_path):
        pass


def test_a_second_process_is_kept_out_while_the_first_works(tmp_path):
    code = (
        "import sys; from pathlib import Path; from plumbrule.folders import held_folder\n"
        "with held_folder(Path(sys.argv[1]), marker='mark.json', ours={}, configuration=''):\n"
        "    print('in', flush=True); sys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"in\n"
        with pytest.raises(OutputError, match="another process is running"), opened(tmp_path, {}):
            pass
        first.kill()
        first.wait()
        with opened(tmp_path, {}):
            pass  # the lock went with the process
    finally:
        first.kill()
        first.communicate()


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), opened(tmp_path):
        raise RuntimeError

    with opened(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_refuses_is_named_with_what_to_do(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="--out"), opened(tmp_path / "new"):
            pass
    finally:
        tmp_path.chmod(0o700)
