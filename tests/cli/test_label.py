import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest
from tests.people.asking import PLAIN, grades, label_all, new_queue
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.people import QueueSettings, make_queue, open_queue

ITEM = {"principle": "kind", "text": "Be kind.", "request": "r", "reply": "a"}


def call(*arguments, keys=None):
    result = CliRunner().invoke(app, ["label", *map(str, arguments)], input=keys)
    return result, re.sub(r"\s+", " ", result.output)


def items_file(tmp_path, *rows):
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_a_file_of_items_to_labels(tmp_path):
    path = items_file(tmp_path, ITEM, {**ITEM, "request": "s", "known": "fail"})
    queue = tmp_path / "queue.db"
    made, said = call("make", "--items", path, "--out", queue, "--known-share", 0)
    labeled, _ = call(queue, "--who", "ann", keys="kb")
    _, status = call("status", queue)
    exported, _ = call("export", queue, "--out", tmp_path / "labels.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]

    assert [each.exit_code for each in (made, labeled, exported)] == [0, 0, 0]
    assert "2 items" in said
    assert "1 of them with a known answer" in said
    assert [(row["annotator"], row["answer"]) for row in rows] == [("ann", "pass"), ("ann", "fail")]
    assert "ann" in status
    assert "1 of 1 items have all their labels" in status


def test_a_constitution_gives_the_text(tmp_path):
    path = items_file(tmp_path, {"principle": "privacy", "request": "r", "reply": "a"})
    made, _ = call("make", "--items", path, "--out", tmp_path / "q", "--constitution", "village")

    assert made.exit_code == 0
    with open_queue(tmp_path / "q") as queue:
        [item] = queue.items()
    assert item.principle
    assert item.tier is not None


def test_the_verb_may_be_said_or_left_out(tmp_path):
    make_queue(grades(2), tmp_path / "q", PLAIN)
    first, _ = call("start", tmp_path / "q", "--who", "ann", keys="k")
    second, _ = call("--who", "ann", tmp_path / "q", keys="k")

    assert (first.exit_code, second.exit_code) == (0, 0)
    with open_queue(tmp_path / "q") as queue:
        assert len(queue.labels()) == 2


def test_help_tells_how_to_begin():
    result, said = call("--help")

    assert result.exit_code == 0
    for word in ("plumbrule label QUEUE", "--web", "make", "export", "import", "agreement"):
        assert word in said


def test_agreement_is_printed_with_its_interval(tmp_path):
    twice = QueueSettings(random_share=0.0, double_share=1.0, known_share=0.0)
    with new_queue(tmp_path / "q", grades(8), twice) as queue:
        assert "not known" in call("agreement", tmp_path / "q")[1]
        odd = {item.id for item in queue.items()[::2]}
        for who in ("ann", "bob"):
            label_all(queue, who, lambda item: "fail" if item.id in odd else "pass")
    _, said = call("agreement", tmp_path / "q")

    assert "Cohen's kappa" in said
    assert "1.00" in said


def test_labels_come_in_from_a_file(tmp_path):
    with new_queue(tmp_path / "q", grades(2)) as queue:
        item_id = queue.items()[0].id
    path = tmp_path / "labels.csv"
    path.write_text(f"item,answer\n{item_id},fail\n")
    result, said = call("import", tmp_path / "q", path, "--who", "ann")

    assert (result.exit_code, said.strip()[:12]) == (0, "1 new labels")
    with open_queue(tmp_path / "q") as queue:
        assert [event.annotator for event in queue.labels()] == ["ann"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere.db"],
        ["status", "nowhere.db"],
        ["make", "--items", "nowhere.jsonl", "--out", "q"],
        ["make", "--items", "items.jsonl", "--out", "q", "--random-share", "nan"],
        ["make", "--items", "items.jsonl", "--out", "mysql://a/b"],
        ["import", "nowhere.db", "labels.csv"],
    ],
)
def test_what_cannot_be_done_ends_with_a_message(tmp_path, monkeypatch, arguments):
    items_file(tmp_path, ITEM)
    monkeypatch.chdir(tmp_path)
    result, _ = call(*arguments)

    assert result.exception is not None
    assert getattr(result.exception, "exit_code", 2) == 2
    assert not (tmp_path / "q").exists()


class RealTerminal:
    """The command in a terminal of its own."""

    def __init__(self, queue):
        command = [sys.executable, "-m", "plumbrule", "label", str(queue), "--who", "ann"]
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.seen = b""

    def wait(self, text):
        """Until a text was shown and a key is waited for: what is typed before is thrown away."""
        deadline = time.monotonic() + 60
        while text.encode() not in self.seen or termios.tcgetattr(self.ours)[3] & termios.ICANON:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.ours], [], [], 0.02)[0]:
                self.seen += os.read(self.ours, 4096)

    def press(self, key):
        os.write(self.ours, key.encode())

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.ours)


def test_kill_9_in_a_real_terminal_loses_no_answer(tmp_path):
    make_queue(grades(6), tmp_path / "q", PLAIN)
    for keys, before in (("kb", 0), ("nk", 2)):
        terminal = RealTerminal(tmp_path / "q")
        try:
            for done, key in enumerate(keys, before):
                terminal.wait(f"{done} labeled by you")
                terminal.press(key)
            terminal.wait(f"{before + 2} labeled by you")
        finally:
            terminal.kill()
        with open_queue(tmp_path / "q") as queue:
            assert len(queue.labels()) == before + 2
    with open_queue(tmp_path / "q") as queue:
        answers = [event.answer for event in queue.labels()]
    assert answers == ["pass", "fail", "not_applicable", "pass"]
