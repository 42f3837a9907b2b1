"""What people do with a queue, in SQLite and in PostgreSQL."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.people.asking import PLAIN, grades, label_all, new_queue, pairs, there

from plumbrule.errors import ConfigError, DataError, OutputError, StorageError
from plumbrule.people import MarkedSpan, QueueSettings, make_queue, open_queue

WORKER = Path(__file__).parent / "worker.py"
TWICE = QueueSettings(random_share=0.0, double_share=1.0, known_share=0.0)


class Clock:
    """Time that stands still until it is moved."""

    now = 1_000_000.0

    def __call__(self):
        return self.now


def start(place, who, wait=0.0):
    process = subprocess.Popen(
        [sys.executable, str(WORKER), str(place), who, str(wait)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("go\n")
    process.stdin.close()


def test_the_label_that_is_worth_most_is_asked_for_first(place):
    items = [grades(1, start=i, judged=(0.5 + i / 20,))[0] for i in (3, 1, 2, 0)]
    with new_queue(place, items) as queue:
        seen = [served.item.request for served in label_all(queue, "ann")]

    assert seen == [f"request {i}" for i in range(4)]


def test_an_answer_is_there_after_reopening_and_nothing_else(place):
    with new_queue(place, grades(3)) as queue:
        served = queue.serve("ann")
        span = MarkedSpan(reply=0, start=0, end=5)
        queue.answer("ann", served.item.id, "fail", seconds=2.5, reason="So\x00.", spans=[span])
    with open_queue(place) as queue:
        [event] = queue.labels()
        progress = queue.progress("ann")

    assert (event.annotator, event.answer, event.seconds) == ("ann", "fail", 2.5)
    assert (event.reason, event.spans, event.via) == ("So\x00.", (span,), "worth")
    assert (progress.labeled, progress.left, progress.finished, progress.items) == (1, 2, 1, 3)


def test_who_left_in_the_middle_gets_the_same_item_with_what_was_written(place):
    with new_queue(place, grades(3)) as queue:
        first = queue.serve("ann")
        span = MarkedSpan(reply=0, start=1, end=2)
        queue.keep_draft("ann", first.item.id, reason="half a sent", spans=[span])
    with open_queue(place) as queue:
        again = there(queue.serve("ann"))

    assert (again.item, again.reason, again.spans) == (first.item, "half a sent", (span,))


def test_two_people_get_different_items_where_one_label_is_enough(place):
    with new_queue(place, grades(4)) as queue:
        ann, bob = queue.serve("ann"), queue.serve("bob")
        queue.answer("ann", ann.item.id, "pass")
        rest = [served.item.id for served in label_all(queue, "ann")]

        assert ann.item.id != bob.item.id
        assert bob.item.id not in rest
        assert queue.serve("ann") is None
        assert queue.serve("bob").item.id == bob.item.id


def test_an_item_left_lying_goes_to_another_and_a_late_answer_is_kept_too(place):
    clock = Clock()
    settings = QueueSettings(double_share=0.0, random_share=0.0, lease_minutes=15)
    with new_queue(place, grades(1), settings, clock=clock) as queue:
        ann = queue.serve("ann")
        clock.now += 14 * 60
        assert queue.serve("bob") is None
        clock.now += 2 * 60
        bob = queue.serve("bob")
        queue.answer("bob", bob.item.id, "pass")
        queue.answer("ann", ann.item.id, "fail")

        assert [event.annotator for event in queue.labels()] == ["bob", "ann"]


def test_who_comes_back_late_to_an_item_that_others_finished_gets_another(place):
    clock = Clock()
    with new_queue(place, grades(2), clock=clock) as queue:
        ann = queue.serve("ann")
        clock.now += 3600
        bob = queue.serve("bob")
        queue.answer("bob", bob.item.id, "pass")

        assert bob.item.id == ann.item.id
        assert queue.serve("ann").item.id != ann.item.id


def test_two_people_in_the_same_second_are_both_kept(place):
    with new_queue(place, grades(1), TWICE) as queue:
        served = [queue.serve(who).item.id for who in ("ann", "bob")]
        with ThreadPoolExecutor(2) as both:
            done = [both.submit(queue.answer, who, served[0], "pass") for who in ("ann", "bob")]
            events = [each.result() for each in done]

        assert served[0] == served[1]
        assert {event.annotator for event in events} == {"ann", "bob"}
        assert len(queue.labels()) == 2


def test_one_person_in_two_windows_is_told_of_the_first_answer(place):
    with new_queue(place, grades(2)) as queue, open_queue(place) as window:
        first, second = there(queue.serve("ann")), there(window.serve("ann"))
        queue.answer("ann", first.item.id, "pass")
        with pytest.raises(DataError, match=r"this one has 'pass' from .* another window"):
            window.answer("ann", second.item.id, "fail")

        assert first.item.id == second.item.id
        assert [event.answer for event in queue.labels()] == ["pass"]


def test_an_answer_sent_again_changes_nothing(place):
    with new_queue(place, grades(2)) as queue:
        item_id = queue.serve("ann").item.id
        once = queue.answer("ann", item_id, "pass", token="a")
        again = queue.answer("ann", item_id, "pass", token="a")
        back = queue.undo("ann", token="b")
        assert queue.undo("ann", token="b") == back

        assert once == again
        assert [event.action for event in queue.events()] == ["label", "undo"]


def test_undo_is_a_new_row_and_brings_the_item_back(place):
    with new_queue(place, grades(3)) as queue:
        first = queue.serve("ann")
        queue.answer("ann", first.item.id, "fail", reason="Because.")
        queue.serve("ann")
        before = queue.events()
        back = queue.undo("ann")
        again = queue.serve("ann")
        queue.answer("ann", again.item.id, "pass", reason="No.")

        assert (again.item, again.reason) == (first.item, "Because.")
        assert back == before[0]
        assert queue.events()[:1] == before
        assert [event.action for event in queue.events()] == ["label", "undo", "label"]
        assert [event.answer for event in queue.labels()] == ["pass"]


def test_undo_goes_back_step_by_step_and_then_has_nothing_left(place):
    with new_queue(place, grades(3)) as queue:
        seen = [served.item.id for served in label_all(queue, "ann")]
        back = [queue.undo("ann").item_id for _ in seen]

        assert back == seen[::-1]
        assert queue.undo("ann") is None
        assert queue.labels() == []
        assert queue.progress("ann").left == 3


def test_nobody_takes_back_what_another_said(place):
    with new_queue(place, grades(2)) as queue:
        queue.answer("ann", queue.serve("ann").item.id, "pass")

        assert queue.undo("bob") is None
        assert len(queue.labels()) == 1


def test_skipped_and_flagged_items_go_to_others(place):
    with new_queue(place, grades(2)) as queue:
        queue.skip("ann", queue.serve("ann").item.id)
        queue.flag("ann", queue.serve("ann").item.id, reason="No text in it.")
        progress = queue.progress("ann")

        assert queue.serve("ann") is None
        assert len(label_all(queue, "bob")) == 2
        assert (progress.skipped, progress.flagged, progress.labeled) == (1, 1, 0)


def test_a_share_is_labeled_by_two(place):
    settings = QueueSettings(double_share=0.5, random_share=0.0, known_share=0.0)
    with new_queue(place, grades(24), settings) as queue:
        counts = len(label_all(queue, "ann")), len(label_all(queue, "bob"))

        assert counts[0] == 24
        assert 5 < counts[1] < 19
        assert queue.serve("cat") is None
        assert queue.progress("cat").finished == 24


def test_a_share_comes_by_chance_and_a_share_is_known(place):
    settings = QueueSettings(random_share=0.3, double_share=0.0, known_share=0.2)
    items = [
        *[grades(1, start=i, judged=(0.5 + i / 200,))[0] for i in range(80)],
        *grades(10, start=100, known="pass"),
    ]
    with new_queue(place, items, settings) as queue:
        ways = Counter(served.via for served in label_all(queue, "ann", most=45))

    assert 6 <= ways["random"] <= 20
    assert 4 <= ways["known"] <= 10
    assert ways["worth"] > 20


def test_everyone_gets_every_known_item_once(place):
    items = [*grades(3), *grades(2, start=10, known="fail")]
    with new_queue(place, items, PLAIN) as queue:
        for who in ("ann", "bob"):
            label_all(queue, who)
        known = [event.annotator for event in queue.labels() if event.via == "known"]

    assert sorted(known) == ["ann", "ann", "bob", "bob"]


def test_what_people_differ_on_goes_to_a_third(place):
    with new_queue(place, grades(4), TWICE) as queue:
        label_all(queue, "ann", lambda item: "pass")
        odd = {item.id for item in queue.items()[::2]}
        label_all(queue, "bob", lambda item: "fail" if item.id in odd else "pass")
        assert queue.serve("ann", adjudicate=True) is None
        assert queue.progress("cat", adjudicate=True).left == 2
        seen = []
        while (served := queue.serve("cat", adjudicate=True)) is not None:
            seen.append(served.item.id)
            queue.answer("cat", served.item.id, "fail")
        back = queue.undo("cat", adjudicate=True)

        assert set(seen) == odd
        assert back.via == "adjudication"
        assert queue.serve("cat", adjudicate=True).item.id == back.item_id
        assert queue.undo("cat") is None


def test_sides_stand_in_the_order_of_the_person_and_the_answer_in_that_of_the_item(place):
    with new_queue(place, pairs(12)) as queue:
        for served in label_all(queue, "ann", lambda item: "first"):
            assert served.shown == tuple(served.item.replies[i] for i in served.order)
        orders = {event.order for event in queue.labels()}

    assert orders == {(0, 1), (1, 0)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"item_id": "f" * 64}, "has none with the id"),
        ({"item_id": "\x00"}, "has none with the id"),
        ({"answer": "first"}, "one of pass, fail, not_applicable"),
        ({"seconds": -1.0}, "between 0 and 86,400"),
        ({"seconds": float("nan")}, "between 0 and 86,400"),
        ({"reason": "a" * 10_001}, "at most 10,000"),
        ({"spans": [MarkedSpan(reply=0, start=0, end=99)]}, "within the 7 characters"),
        ({"annotator": "bob"}, "served to bob"),
        ({"annotator": " "}, "visible characters"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused_and_nothing_written(place, changed, said):
    with new_queue(place, grades(2)) as queue:
        item_id = queue.serve("ann").item.id
        given = {"annotator": "ann", "item_id": item_id, "answer": "pass", **changed}
        with pytest.raises((DataError, ConfigError), match=said):
            queue.answer(**given)

        assert queue.events() == []
        assert queue.serve("ann").item.id == item_id


def test_text_of_any_kind_comes_back_as_it_was(place):
    [item] = grades(1)
    odd = type(item)(
        principle_id="p", principle="P.", request="'); DROP TABLE label_items; --\x00\u202e😀",
        replies=("<script>alert(1)</script>\r\n",),
    )  # fmt: skip
    with new_queue(place, [odd]) as queue:
        assert queue.serve("ann").item == odd


def test_a_queue_is_never_made_over_another(place):
    make_queue(grades(2), place)
    with pytest.raises(OutputError, match="already"):
        make_queue(grades(3), place)
    with open_queue(place) as queue:
        assert len(queue.items()) == 2


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], "at least one"),
        (grades(2, known="pass"), "at least one"),
        ([*grades(2), *grades(1)], "item 3 is the same as item 1"),
    ],
)
def test_a_queue_of_nothing_new_is_refused(tmp_path, items, said):
    with pytest.raises(DataError, match=said):
        make_queue(items, tmp_path / "queue.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_file_that_is_no_queue_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "queue.db"
    path.write_bytes(content)
    with pytest.raises(DataError, match="queue"):
        open_queue(path)

    assert path.read_bytes() == content


def test_a_queue_that_is_not_there_is_not_made_by_opening_it(tmp_path):
    with pytest.raises(DataError, match="plumbrule label make"):
        open_queue(tmp_path / "queue.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["mysql://host/name", "postgresql://host:port/name", "://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="postgresql://user@host/name"):
        open_queue(url)


def test_a_queue_of_another_form_is_refused(tmp_path):
    make_queue(grades(1), tmp_path / "q")
    with sqlite3.connect(tmp_path / "q") as connection:
        connection.execute("UPDATE label_queue SET form = 99")
    connection.close()
    with pytest.raises(DataError, match=r"of form 1, .* has 99"):
        open_queue(tmp_path / "q")


def test_without_its_driver_a_server_is_not_asked_and_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"psycopg.*plumbrule\[postgres\]") as found:
        open_queue("postgresql://ann:geheim@127.0.0.1/name")

    assert "geheim" not in str(found.value)


def test_a_password_is_in_no_message(postgres):
    url = postgres.url.replace("tester@", "tester:geheim@")
    with pytest.raises(DataError) as found:
        open_queue(url)

    assert "geheim" not in str(found.value)


def test_a_file_that_went_away_is_noticed_before_anything_is_written_to_nowhere(tmp_path):
    path = tmp_path / "queue.db"
    with new_queue(path, grades(3)) as queue:
        item_id = queue.serve("ann").item.id
        queue.answer("ann", item_id, "pass")
        second = queue.serve("ann").item.id
        path.rename(tmp_path / "elsewhere.db")
        with pytest.raises(StorageError, match="moved, removed or replaced"):
            queue.answer("ann", second, "pass")
        (tmp_path / "elsewhere.db").rename(path)
        queue.answer("ann", second, "pass")

        assert len(queue.labels()) == 2


def test_a_queue_locked_by_another_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("plumbrule.people.tables.WAIT_SECONDS", 0.05)
    path = tmp_path / "queue.db"
    with new_queue(path, grades(2)) as queue:
        served = queue.serve("ann")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"cannot be reached.*same command"):
            queue.answer("ann", served.item.id, "pass")
        holder.execute("ROLLBACK")
        holder.close()
        queue.answer("ann", served.item.id, "pass")

        assert len(queue.labels()) == 1


def test_a_server_that_goes_away_in_the_middle_loses_nothing_acknowledged(postgres):
    with new_queue(postgres.fresh(), grades(4)) as queue:
        label_all(queue, "ann", most=2)
        third = queue.serve("ann").item.id
        postgres.stop()
        with pytest.raises(StorageError, match="Every label given before is kept"):
            queue.answer("ann", third, "pass", token="x")
        postgres.start()
        queue.answer("ann", third, "pass", token="x")

        assert len(queue.labels()) == 3


def test_after_kill_9_every_acknowledged_label_is_there_and_labeling_goes_on(place):
    make_queue(grades(25), place, PLAIN)
    seen = []
    for more in (1, 5):
        process = start(place, "ann")
        go(process)
        seen += [process.stdout.readline().strip() for _ in range(more)]
        os.kill(process.pid, signal.SIGKILL)
        seen += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        with open_queue(place) as queue:
            kept = [event.item_id for event in queue.labels()]
        # One more than was said may be there: killed between writing it down and saying so.
        assert kept[: len(seen)] == seen
        assert len(kept) <= len(seen) + 1
        seen = kept
    with open_queue(place) as queue:
        label_all(queue, "ann")

        assert len({event.item_id for event in queue.labels()}) == len(queue.labels()) == 25


def test_two_processes_at_once_share_the_work_and_lose_nothing(place):
    make_queue(grades(16), place, PLAIN)
    workers = [start(place, who, 0.03) for who in ("ann", "bob")]
    for worker in workers:
        go(worker)
    said = []
    for worker in workers:
        said.append(set(worker.stdout.read().split()))
        worker.wait()
        worker.stdout.close()
    with open_queue(place) as queue:
        labels = queue.labels()

    assert [worker.returncode for worker in workers] == [0, 0]
    assert said[0] | said[1] == {event.item_id for event in labels}
    assert not said[0] & said[1]
    assert len(labels) == 16
    assert min(map(len, said)) > 0
