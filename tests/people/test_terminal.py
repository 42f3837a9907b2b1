import pytest
from tests.people.asking import grades, new_queue, pairs

from plumbrule.people import QueueItem, label_in_terminal


class Screen:
    """A terminal whose keys are known beforehand; quits when they are used up."""

    def __init__(self, keys, lines=()):
        self.keys, self.lines, self.said = list(keys), list(lines), []

    def key(self):
        return self.keys.pop(0) if self.keys else "q"

    def line(self, question):
        return self.lines.pop(0)

    @property
    def text(self):
        return "\n".join(self.said)


def type_in(queue, keys, *lines, who="ann", **more):
    screen = Screen(keys, lines)
    label_in_terminal(queue, who, key=screen.key, line=screen.line, say=screen.said.append, **more)
    return screen


@pytest.mark.parametrize(
    ("keys", "answers"),
    [("kbn", ["pass", "fail", "not_applicable"]), ("123", ["pass", "fail", "not_applicable"]),
     ("KBN", ["pass", "fail", "not_applicable"])],
)  # fmt: skip
def test_one_key_is_one_answer(tmp_path, keys, answers):
    with new_queue(tmp_path / "q", grades(3)) as queue:
        screen = type_in(queue, keys)

        assert sorted(event.answer for event in queue.labels()) == sorted(answers)
        assert all(event.seconds is not None for event in queue.labels())
    assert "Nothing waits for ann. 3 labeled by you" in screen.text


def test_who_quits_goes_on_with_the_same_item(tmp_path):
    with new_queue(tmp_path / "q", grades(3)) as queue:
        type_in(queue, "kw", "Half a reason.")
        screen = type_in(queue, "b")
        [first, second] = queue.labels()

    assert "Half a reason." in screen.text
    assert "Stopped; the same command goes on" in screen.text
    assert (second.answer, second.reason) == ("fail", "Half a reason.")
    assert first.item_id != second.item_id


def test_undo_skip_flag_and_a_key_without_meaning(tmp_path):
    with new_queue(tmp_path / "q", grades(4)) as queue:
        screen = type_in(queue, "uxkubsf")
        progress = queue.progress("ann")

        assert [event.answer for event in queue.labels()] == ["fail"]
    assert (progress.labeled, progress.skipped, progress.flagged) == (1, 1, 1)
    assert "nothing to undo" in screen.text


def test_an_answer_about_sides_is_turned_to_the_item(tmp_path):
    with new_queue(tmp_path / "q", pairs(12)) as queue:
        screen = type_in(queue, "l" * 12)
        items = {item.id: item for item in queue.items()}
        for event in queue.labels():
            shown = items[event.item_id].replies[event.order[0]]
            assert items[event.item_id].replies[("first", "second").index(event.answer)] == shown
        assert {event.answer for event in queue.labels()} == {"first", "second"}
    assert screen.text.index("FIRST REPLY") < screen.text.index("SECOND REPLY")


def test_text_of_models_moves_no_cursor_and_hides_nothing(tmp_path):
    hostile = QueueItem(
        principle_id="p", principle="P.", request="\x1b[2J\x1b]0;title\x07",
        replies=("a\rb\x08\u202ec\u200b",), source="secret-model", judged=(0.777,),
    )  # fmt: skip
    with new_queue(tmp_path / "q", [hostile]) as queue:
        text = type_in(queue, "").text

    assert not set("\x1b\x07\r\x08\u202e\u200b") & set(text)
    assert "⟦U+001B⟧[2J" in text
    assert "secret-model" not in text
    assert "0.777" not in text
