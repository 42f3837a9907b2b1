"""What the page's server answers, and whom."""

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
from tests.people.asking import PLAIN, grades, new_queue, pairs

from plumbrule.errors import ConfigError
from plumbrule.people import LabelPage, MarkedSpan, QueueItem, QueueSettings

TWICE = QueueSettings(random_share=0.0, double_share=1.0, known_share=0.0)


@contextmanager
def running(queue, **more):
    page = LabelPage(queue, port=0, **more)
    thread = threading.Thread(target=page.run)
    thread.start()
    try:
        yield page
    finally:
        page.stop()
        thread.join()
        page.close()


@pytest.fixture
def page(tmp_path):
    with new_queue(tmp_path / "q", grades(3), PLAIN) as queue, running(queue) as page:
        yield page


def ask(page, what="", said=None, *, word=None, method=None, **headers):
    """Status, headers and body of one request."""
    address = f"http://127.0.0.1:{page.port}/{page.word if word is None else word}/{what}"
    given = {"Origin": f"http://127.0.0.1:{page.port}", "Content-Type": "application/json"}
    given = {**(given if said is not None else {}), **headers}
    body = said if said is None or isinstance(said, bytes) else json.dumps(said).encode()
    request = urllib.request.Request(
        address, body, {name: text for name, text in given.items() if text}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def do(page, what, **said):
    status, _, body = ask(page, what, said)
    return status, json.loads(body)


def test_a_person_labels_to_the_end(page):
    status, state = do(page, "next", who="ann")
    for left in (2, 1, 0):
        item = state["item"]
        status, state = do(
            page, "answer", who="ann", item=item["id"], answer="fail", seconds=1.25, reason="So.",
            spans=[{"reply": 0, "start": 0, "end": 5}], token=f"t{left}",
        )  # fmt: skip
        assert (status, state["progress"]["left"]) == (200, left)
    labels = page.queue.labels()

    assert state["item"] is None
    assert [(each.answer, each.seconds, each.reason) for each in labels] == [
        ("fail", 1.25, "So.")
    ] * 3
    assert labels[0].spans == (MarkedSpan(reply=0, start=0, end=5),)


def test_the_page_knows_nothing_that_people_must_not_see(tmp_path):
    items = grades(1, source="secret-model", judged=(0.777,), tier=0, difficulty=0.5)
    with new_queue(tmp_path / "q", items) as queue, running(queue) as page:
        _, _, body = ask(page, "next", {"who": "ann"})

    assert set(json.loads(body)["item"]) == {
        "id", "kind", "principle", "principle_id", "request", "replies", "reason", "spans",
    }  # fmt: skip
    assert b"secret" not in body
    assert b"777" not in body


def test_sides_and_spans_of_a_page_are_turned_to_the_item_and_back(tmp_path):
    with new_queue(tmp_path / "q", pairs(12)) as queue, running(queue) as page:
        _, state = do(page, "next", who="ann")
        while state["item"]:
            item, left = state["item"], state["item"]["replies"][0]
            span = {"reply": 0, "start": 0, "end": 3}
            do(page, "draft", who="ann", item=item["id"], reason="r", spans=[span])
            _, again = do(page, "next", who="ann")
            assert again["item"]["spans"] == [span]
            _, state = do(page, "answer", who="ann", item=item["id"], answer="first", spans=[span])
            event = queue.labels()[-1]
            place = ("first", "second").index(event.answer)
            assert queue.item(item["id"]).replies[place] == left
            assert event.spans[0].reply == place

        assert {event.answer for event in queue.labels()} == {"first", "second"}


def test_skip_flag_and_undo(page):
    for what in ("skip", "flag"):
        _, state = do(page, "next", who="ann")
        status, state = do(page, what, who="ann", item=state["item"]["id"], reason="Odd.")
        assert status == 200
    last = [event.item_id for event in page.queue.events()]
    _, state = do(page, "undo", who="ann")

    assert state["item"]["id"] == last[-1]
    assert state["note"] == "Taken back."
    assert do(page, "undo", who="bob")[1]["note"] == "There is nothing to undo."


def test_two_people_answer_one_item_at_once(tmp_path):
    with new_queue(tmp_path / "q", grades(1), TWICE) as queue, running(queue) as page:
        item = do(page, "next", who="ann")[1]["item"]["id"]
        assert do(page, "next", who="bob")[1]["item"]["id"] == item
        threads = [
            threading.Thread(target=do, args=(page, "answer"), kwargs=given)
            for given in ({"who": who, "item": item, "answer": "pass"} for who in ("ann", "bob"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(event.annotator for event in queue.labels()) == ["ann", "bob"]


def test_a_second_answer_from_another_window_is_refused_in_words(page):
    item = do(page, "next", who="ann")[1]["item"]["id"]
    do(page, "answer", who="ann", item=item, answer="pass", token="a")
    again = do(page, "answer", who="ann", item=item, answer="pass", token="a")
    other = do(page, "answer", who="ann", item=item, answer="fail", token="b")

    assert again[0] == 200
    assert other[0] == 409
    assert "another window" in other[1]["error"]
    assert len(page.queue.labels()) == 1


def test_who_does_not_know_the_word_gets_nothing(page):
    for word in ("", "x", page.word[:-1], page.word + "a", "é"):
        status, _, body = ask(page, word=urllib.parse.quote(word))
        assert (status, page.word.encode() in body) == (404, False)
    assert ask(page, "next", {"who": "ann"}, word="x")[0] == 404
    assert ask(page)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "evil.example:{port}", "[::1]:{port}"]
)
def test_a_foreign_name_for_this_machine_is_refused(page, host):
    host = host.format(port=page.port)

    assert ask(page, Host=host)[0] == 403
    assert ask(page, "next", {"who": "ann"}, Host=host)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": None},
        {"Content-Type": "text/plain"},
    ],
)
def test_another_site_cannot_answer_for_a_person(page, headers):
    item = do(page, "next", who="ann")[1]["item"]["id"]
    said = {"who": "ann", "item": item, "answer": "pass"}
    status, _, _ = ask(page, "answer", said, **headers)

    # Without a kind of its own the library that asks names that of a form.
    assert status in (403, 415)
    assert page.queue.labels() == []


def test_the_policy_of_the_page_lets_nothing_in_or_out(page):
    _, headers, body = ask(page)
    policy = dict(
        each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";")
    )
    nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
    text = body.decode()

    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert f'<script nonce="{nonce}">' in text
    assert text.count("nonce=") == 2
    assert nonce not in ask(page)[2].decode()  # another one each time
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "http://" not in text.replace("http://127.0.0.1", "")
    assert "https://" not in text
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert risky not in text


def test_hostile_text_leaves_as_json_of_plain_letters(tmp_path):
    hostile = QueueItem(
        principle_id="p", principle="P.", request="</script><script>alert(1)</script>\u2028\x00",
        replies=("<img src=x onerror=alert(1)>",),
    )  # fmt: skip
    with new_queue(tmp_path / "q", [hostile]) as queue, running(queue) as page:
        _, headers, body = ask(page, "next", {"who": "ann"})

    assert body.isascii()
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(body)["item"]["request"] == hostile.request


@pytest.mark.parametrize(
    ("what", "said", "status"),
    [
        ("next", b"{", 400),
        ("next", b"[]", 400),
        ("next", b"[" * 100_000, 400),
        ("next", {}, 409),
        ("next", {"who": "\x00"}, 409),
        ("answer", {"who": "ann", "item": "x", "answer": "pass"}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": 3}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": "maybe"}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": "pass", "seconds": "1"}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": "pass", "seconds": -1}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": "pass", "spans": [3]}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": "pass", "token": "a" * 99}, 409),
        ("answer", {"who": "ann", "item": "{id}", "answer": "pass",
                    "spans": [{"reply": 1, "start": 0, "end": 1}]}, 409),
        ("draft", {"who": "ann", "item": "{id}", "reason": "a" * 20_000}, 409),
        ("elsewhere", {"who": "ann"}, 409),
        ("next", b"a" * (2**18 + 1), 413),
    ],
)  # fmt: skip
def test_a_request_that_fits_nothing_is_refused_and_nothing_written(page, what, said, status):
    item = do(page, "next", who="ann")[1]["item"]["id"]
    if isinstance(said, dict) and said.get("item") == "{id}":
        said = {**said, "item": item}
    got, _, body = ask(page, what, said)

    assert got == status
    assert json.loads(body)["error"]
    assert page.queue.events() == []
    assert do(page, "next", who="ann")[1]["item"]["id"] == item


def test_a_database_that_goes_away_is_told_and_the_same_answer_is_taken_later(tmp_path):
    path = tmp_path / "queue.db"
    with new_queue(path, grades(1)) as queue, running(queue) as page:
        item = do(page, "next", who="ann")[1]["item"]["id"]
        said = {"who": "ann", "item": item, "answer": "pass", "token": "a"}
        path.rename(tmp_path / "elsewhere")
        status, state = do(page, "answer", **said)
        (tmp_path / "elsewhere").rename(path)

        assert status == 503
        assert "nothing was written" in state["error"]
        assert do(page, "answer", **said)[0] == 200
        assert len(queue.labels()) == 1


def test_nothing_but_the_page_is_there(page):
    assert ask(page, "records.py")[0] == 404
    assert ask(page, "../../etc/passwd")[0] == 404
    assert ask(page, method="PUT")[0] == 501


def test_a_taken_port_is_told(page):
    with pytest.raises(ConfigError, match=f"port {page.port} cannot be used"):
        LabelPage(page.queue, port=page.port)


def test_the_page_listens_on_the_loopback_alone(page):
    assert page._server.server_address[0] == "127.0.0.1"


def test_adjudicators_get_what_others_differ_on(tmp_path):
    with new_queue(tmp_path / "q", grades(2), TWICE) as queue:
        for who, answer in (("ann", "pass"), ("bob", "fail")):
            while (served := queue.serve(who)) is not None:
                queue.answer(who, served.item.id, answer)
        with running(queue, adjudicate=True) as page:
            _, state = do(page, "next", who="cat")
            do(page, "answer", who="cat", item=state["item"]["id"], answer="fail")

        assert state["progress"]["left"] == 2
        assert queue.labels()[-1].via == "adjudication"
