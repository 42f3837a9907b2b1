import csv
import json

import pytest
from tests.people.asking import PLAIN, grades, label_all, new_queue, pairs

from plumbrule.errors import ConfigError, DataError
from plumbrule.ledger import read_entries, verify
from plumbrule.people import (
    LABEL_STUDIO_CONFIG,
    MarkedSpan,
    QueueItem,
    QueueSettings,
    enter_into_ledger,
    export_labels,
    export_tasks,
    import_labels,
    read_items,
)
from plumbrule.people.exchange import safe_cell, unsafe_cell

GRADE = {"principle": "p", "text": "P.", "request": "r", "reply": "a"}
PAIR = {"principle": "p", "text": "P.", "request": "r", "first": "a", "second": "b"}
TWICE = QueueSettings(random_share=0.2, double_share=1.0, known_share=0.0)


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labeled(tmp_path, name="queue.db"):
    """A queue with grades and pairs that ann has labeled, each with a reason."""
    queue = new_queue(tmp_path / name, [*grades(3), *pairs(4)], TWICE)
    while (served := queue.serve("ann")) is not None:
        answer = "first" if served.item.kind == "pair" else "fail"
        queue.answer(
            "ann", served.item.id, answer, seconds=1.5, reason="=So.",
            spans=[MarkedSpan(reply=0, start=0, end=3)],
        )  # fmt: skip
    return queue


def said(queue):
    return {
        (event.item_id, event.annotator, event.answer, event.seconds, event.reason)
        for event in queue.labels()
    }


def test_items_are_read_with_all_that_is_known_of_them(tmp_path):
    more = {"judged": [0.2, 1], "difficulty": 0.5, "source": "model a", "tier": 2, "known": "pass"}
    [grade, pair] = read_items(lines(tmp_path / "a", {**GRADE, **more}, PAIR))

    assert grade == QueueItem(
        principle_id="p", principle="P.", request="r", replies=("a",), judged=(0.2, 1.0),
        difficulty=0.5, source="model a", tier=2, known="pass",
    )  # fmt: skip
    assert pair.replies == ("a", "b")


def test_a_constitution_gives_text_and_tier(tmp_path):
    short = {"principle": "kind", "request": "r", "reply": "a"}
    [item] = read_items(lines(tmp_path / "a", short), {"kind": ("Be kind.", 3)})

    assert (item.principle, item.tier) == ("Be kind.", 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**PAIR, "second": "a"}, "both sides of a pair are identical"),
        ({**GRADE, "judged": [1.2]}, "between 0 and 1, got 1.2"),
        ({**GRADE, "judged": ["0.2"]}, "judged.0"),
        ({**GRADE, "judged": [True]}, "judged.0"),
        ({**GRADE, "difficulty": -1}, "between 0 and 1"),
        ({**GRADE, "known": "first"}, "pass, fail, not_applicable"),
        ({**GRADE, "replay": "a"}, "no field 'replay'"),
        ({**GRADE, "first": "a"}, "`reply` to grade, or `first` and `second`"),
        ({"principle": "p", "text": "P.", "request": "r"}, "`reply` to grade"),
        ({**GRADE, "reply": None}, "replies.0"),
        ({**GRADE, "reply": "\ud800"}, "line 2"),
        ({"principle": "p", "request": "r", "reply": "a"}, "--constitution"),
        (GRADE, "the same item as .*line 1"),
        ([1], "must be a JSON object"),
    ],
)
def test_a_line_that_is_no_item_is_named(tmp_path, row, message):
    path = lines(tmp_path / "a", GRADE, row)
    with pytest.raises(DataError, match=message) as found:
        read_items(path)

    assert f"{path}, line 2" in str(found.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"{", b"[" * 100_000])
def test_a_file_without_items_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError):
        read_items(tmp_path / "a")


@pytest.mark.parametrize("end", [".jsonl", ".json", ".csv"])
def test_labels_go_out_and_come_back_as_they_were(tmp_path, end):
    path = tmp_path / f"labels{end}"
    with labeled(tmp_path) as queue:
        count = export_labels(queue, path)
        before = said(queue)
    with new_queue(tmp_path / "other.db", [*grades(3), *pairs(4)], TWICE) as other:
        added = import_labels(other, path)
        again = import_labels(other, path)

        assert said(other) == before
        assert (count, added, again) == (7, 7, 0)


def test_json_lines_hold_all_that_is_known_of_a_label(tmp_path):
    with labeled(tmp_path) as queue:
        export_labels(queue, tmp_path / "a.jsonl")
        items = {item.id: item for item in queue.items()}
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]

    for row in rows:
        item = items[row["item"]]
        assert row["request"] == item.request
        assert (row["annotator"], row["seconds"], row["inclusion_probability"]) == ("ann", 1.5, 1)
        assert row["settled"] == row["answer"]
        assert row["spans"] == [{"reply": 0, "start": 0, "end": 3}]
        if item.kind == "grade":
            assert (row["reply"], row["broken"], row["order"]) == (item.replies[0], True, [0])
        else:
            assert (row["first"], row["second"]) == item.replies
            assert sorted(row["order"]) == [0, 1]


def test_settled_is_what_holds_after_adjudication(tmp_path):
    with new_queue(tmp_path / "q", grades(2), TWICE) as queue:
        label_all(queue, "ann", lambda item: "pass")
        label_all(queue, "bob", lambda item: "fail")
        export_labels(queue, tmp_path / "before.jsonl")
        served = queue.serve("cat", adjudicate=True)
        queue.answer("cat", served.item.id, "fail")
        export_labels(queue, tmp_path / "after.jsonl")
    before, after = (
        {row["item"]: row["settled"] for row in map(json.loads, path.read_text().splitlines())}
        for path in (tmp_path / "before.jsonl", tmp_path / "after.jsonl")
    )

    assert set(before.values()) == {None}
    assert after[served.item.id] == "fail"
    assert sorted(map(str, after.values())) == ["None", "fail"]


def test_label_studio_gets_tasks_without_what_people_must_not_see(tmp_path):
    items = [*grades(2, source="secret-model", judged=(0.123,), known="pass"), *pairs(3)]
    with new_queue(tmp_path / "q", items) as queue:
        assert export_tasks(queue, tmp_path / "tasks.json", "ann") == 5
        export_tasks(queue, tmp_path / "tasks.csv", "ann")
    written = (tmp_path / "tasks.json").read_text() + (tmp_path / "tasks.csv").read_text()
    tasks = json.loads((tmp_path / "tasks.json").read_text())

    assert "secret-model" not in written
    assert "0.123" not in written
    assert all(set(task) == {"data"} for task in tasks)
    for name in ("principle", "request", "left", "right"):
        assert f"${name}" in LABEL_STUDIO_CONFIG
        assert name in tasks[0]["data"]


def studio_done(path, answers):
    """What Label Studio exports once people have answered its tasks."""
    tasks = json.loads(path.read_text())
    for number, (task, answer) in enumerate(zip(tasks, answers, strict=True), 1):
        task |= {"id": number, "predictions": [], "project": 1}
        task["annotations"] = [
            {
                "id": number,
                "completed_by": {"id": 3, "email": "ann@example.org", "first_name": ""},
                "lead_time": 4.25,
                "was_cancelled": answer is None,
                "result": [
                    {
                        "id": "x", "from_name": "answer", "to_name": "left", "type": "choices",
                        "origin": "manual", "value": {"choices": [answer]},
                    },
                    {
                        "id": "y", "from_name": "reason", "to_name": "left", "type": "textarea",
                        "value": {"text": ["one", "two"]},
                    },
                ],
            }
        ]  # fmt: skip
    path.write_text(json.dumps(tasks))


def test_sides_answered_in_label_studio_are_those_of_the_item(tmp_path):
    path = tmp_path / "tasks.json"
    with new_queue(tmp_path / "q", pairs(6)) as queue:
        export_tasks(queue, path, "ann@example.org")
        tasks = json.loads(path.read_text())
        studio_done(path, ["left"] * 5 + [None])
        assert import_labels(queue, path) == 5
        labels = {event.item_id: event for event in queue.labels()}
        items = {item.id: item for item in queue.items()}

    assert {task["data"]["order"] for task in tasks} == {"12", "21"}
    for task in tasks[:5]:
        event = labels[task["data"]["item"]]
        chosen = items[event.item_id].replies[{"first": 0, "second": 1}[event.answer]]
        assert chosen == task["data"]["left"]
        assert (event.annotator, event.seconds, event.reason) == (
            "ann@example.org",
            4.25,
            "one\ntwo",
        )
        assert event.via == "import"


def test_a_spreadsheet_filled_in_by_hand_comes_back(tmp_path):
    path = tmp_path / "tasks.csv"
    with new_queue(tmp_path / "q", pairs(4)) as queue:
        export_tasks(queue, path, "ann")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row, answer in zip(rows, ["left", "Right ", "tie", ""], strict=True):
            row["answer"] = answer
        with path.open("w", newline="", encoding="utf-8-sig") as file:  # as Excel saves it
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        with pytest.raises(DataError, match="--who NAME"):
            import_labels(queue, path)
        assert queue.labels() == []
        assert import_labels(queue, path, annotator="ann") == 3
        items = {item.id: item for item in queue.items()}
        for row, event in zip(rows, queue.labels(), strict=False):
            chosen = {"left": row["left"], "right": row["right"]}.get(row["answer"].strip().lower())
            if chosen is None:
                assert event.answer == "tie"
            else:
                side = {"first": 0, "second": 1}[event.answer]
                assert items[event.item_id].replies[side] == chosen


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_begins_like_a_formula(tmp_path, text):
    item = QueueItem(principle_id="p", principle="P.", request=text, replies=(f"{text}a",))
    with new_queue(tmp_path / "q", [item]) as queue:
        queue.answer("=ann", queue.serve("=ann").item.id, "pass", reason=text)
        export_labels(queue, tmp_path / "a.csv")
        with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
            [row] = csv.DictReader(file)

    assert not [name for name, cell in row.items() if cell.startswith(tuple("=+-@\t\r\n"))]
    assert unsafe_cell(row["reason"]) == text


def test_making_a_cell_safe_can_be_taken_back():
    for text in ["", "a", "'", "''", "'=", "=", "'a", "don't", "'-'"]:
        assert unsafe_cell(safe_cell(text)) == text


def bad_lines(item_id, pair_id):
    good = {"item": item_id, "annotator": "ann", "answer": "pass"}
    return [
        ({**good, "item": "0" * 64}, "none with the id"),
        ({**good, "item": None}, "item_id"),
        ({**good, "answer": "first"}, "one of pass, fail, not_applicable"),
        ({**good, "annotator": ""}, "--who NAME"),
        ({**good, "inclusion_probability": 1.5}, "between 0 and 1, got 1.5"),
        ({**good, "probability": "high"}, "between 0 and 1"),
        ({**good, "seconds": -3}, "between 0 and 86,400"),
        ({**good, "seconds": "3"}, "seconds"),
        ({**good, "order": [0, 1]}, "names each side once"),
        ({**good, "reason": 3}, "reason"),
        ({"item": pair_id, "annotator": "ann", "answer": "first", "first": "a", "second": "a",
          "order": [0, 1]}, "identical"),
        ("text", "JSON object"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(12))
def test_a_wrong_line_is_named_and_nothing_is_imported(tmp_path, number):
    with new_queue(tmp_path / "q", [*grades(2), *pairs(1)]) as queue:
        ids = [item.id for item in queue.items()]
        row, message = bad_lines(ids[1], ids[2])[number]
        good = {"item": ids[0], "annotator": "ann", "answer": "pass"}
        path = lines(tmp_path / "labels.jsonl", good, row)
        with pytest.raises((DataError, ConfigError), match=message) as found:
            import_labels(queue, path)

        assert f"{path}, line 2" in str(found.value)
        assert queue.labels() == []
        assert queue.events() == []


def test_another_word_of_the_same_person_is_refused(tmp_path):
    with new_queue(tmp_path / "q", grades(1)) as queue:
        item_id = queue.serve("ann").item.id
        queue.answer("ann", item_id, "pass")
        path = lines(tmp_path / "a.jsonl", {"item": item_id, "annotator": "ann", "answer": "fail"})
        with pytest.raises(DataError, match="line 1: expected one answer of ann"):
            import_labels(queue, path)

        assert [event.answer for event in queue.labels()] == ["pass"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "list of tasks"),
        ("a.json", "[1]", "must be a JSON object"),
        ("a.json", '[{"data": 3}]', "the data of"),
        ("a.json", "[{", "not JSON"),
        ("a.csv", "a,b\n1,2\n", "lacks answer and item"),
        ("a.csv", 'item,answer\n"x', "no row of a table"),
        ("a.csv", "item,answer\n1,2,3\n", "more cells"),
        ("a.jsonl", "", "got none"),
        ("a.xlsx", "", "says its form"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with (
        new_queue(tmp_path / "q", grades(1), PLAIN) as queue,
        pytest.raises((DataError, ConfigError), match=message),
    ):
        import_labels(queue, tmp_path / name)


def test_a_ledger_holds_every_event_once(tmp_path):
    with new_queue(tmp_path / "q", grades(3)) as queue:
        label_all(queue, "ann", most=2)
        queue.undo("ann")
        enter_into_ledger(queue, tmp_path / "ledger.db")
        label_all(queue, "ann")
        assert enter_into_ledger(queue, tmp_path / "ledger.db") == 5

    entries = read_entries(tmp_path / "ledger.db")
    assert [entry.payload["action"] for entry in entries] == [
        "label", "label", "undo", "label", "label",
    ]  # fmt: skip
    assert verify(tmp_path / "ledger.db").sound
