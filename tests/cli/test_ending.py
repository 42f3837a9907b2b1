"""How the command line ends: each kind of end has its own code, and 1 is never an accident."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plumbrule.cli import ending
from plumbrule.errors import ConfigError, OutsideError

SLEEPS = """
import signal, sys, threading, time
from plumbrule.cli.ending import end_well

# What runs the tests may have asked for interruptions to be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def work():
    threading.Thread(target=time.sleep, args=(60,)).start()
    print("begun", flush=True)
    time.sleep(60)

end_well(work)
"""


def ended(work, capsys):
    with pytest.raises(SystemExit) as caught:
        ending.end_well(work)
    return caught.value.code, " ".join(capsys.readouterr().err.split())


def raising(error):
    def work():
        raise error

    return work


def test_an_error_of_ours_ends_with_its_own_code(capsys):
    assert ended(raising(ConfigError("too small")), capsys) == (2, "plumbrule: too small")
    assert ended(raising(OutsideError("gone")), capsys)[0] == 3


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, 2), (errno.ENAMETOOLONG, 2), (errno.EISDIR, 2), (errno.ENOSPC, 3)],
)
def test_a_file_that_cannot_be_used_is_named_wherever_it_shows(capsys, number, code):
    error = OSError(number, os.strerror(number), "a/b.json")
    found, said = ended(raising(error), capsys)

    assert found == code
    assert "expected a/b.json to be a file or folder that can be used" in said
    assert os.strerror(number) in said


def test_what_is_very_long_in_a_message_is_cut_in_its_middle(capsys):
    _, said = ended(raising(ConfigError(f"got {'9' * 5000}, give another number")), capsys)
    assert said.startswith("plumbrule: got 99")
    assert said.endswith("9, give another number")
    assert len(said) < 400
    _, said = ended(raising(ConfigError(f"got {'a b ' * 5000}, give another")), capsys)
    assert said.endswith("a b , give another")
    assert len(said) < 1500


@pytest.mark.parametrize(
    "error",
    [
        OSError("no file of anybody's"),
        TypeError("no"),
        RecursionError("deep"),
        MemoryError(),
        UnicodeEncodeError("a", "\ud83d", 0, 1, "b"),
    ],
)
def test_an_unforeseen_error_has_its_own_code_and_a_file_with_the_details(
    capsys, tmp_path, monkeypatch, error
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    code, said = ended(raising(error), capsys)

    assert code == 70
    assert "Traceback" not in said
    (path,) = tmp_path.iterdir()
    assert str(path) in said.replace(" ", "")
    assert "To report it" in said
    assert f"{type(error).__name__}" in said
    assert "in work" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_details_name_no_key(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("OTHER_API_KEY", "hush-0123456789")

    code, said = ended(raising(ValueError("header hush-0123456789, hush%2D0123456789")), capsys)

    (path,) = tmp_path.iterdir()
    assert code == 70
    assert "0123456789" not in said + path.read_text()


def test_details_are_shown_where_no_disk_takes_them(capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")

    code, said = ended(raising(TypeError("no")), capsys)

    assert code == 70
    assert "Traceback" in said
    assert "no disk took them" in said


def test_a_traceback_on_request_leaves_the_code_alone(capsys, monkeypatch):
    monkeypatch.setenv("PLUMBRULE_TRACEBACK", "1")

    code, said = ended(raising(ConfigError("too small")), capsys)

    assert code == 2
    assert "Traceback" in said


def test_an_interruption_that_a_library_turned_into_a_code_is_still_one(capsys):
    def work():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    code, said = ended(work, capsys)

    assert (code, said) == (130, "plumbrule: stopped; the same command goes on from here")


def test_ctrl_c_does_not_wait_for_threads():
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()

    assert process.returncode == 130
    assert "the same command goes on" in said


def test_a_reader_that_goes_away_is_no_finding(tmp_path):
    code = """
import sys
from plumbrule.cli.app import app
from plumbrule.cli.ending import end_well

@app.command()
def talk():
    for _ in range(100000):
        print("word " * 20)

sys.argv = ["plumbrule", "talk"]
end_well(app)
"""
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    os.read(read, 10)
    os.close(read)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 141
    assert said == b""


def test_the_document_names_every_code():
    text = Path(__file__).parents[2].joinpath("docs/running.md").read_text()

    for code in (ending.UNEXPECTED, ending.INTERRUPTED, ending.NOBODY_READS):
        assert re.search(rf"\b{code}\b", text)
