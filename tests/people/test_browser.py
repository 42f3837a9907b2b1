"""The page in a real browser: labeled with keys, left half way, come back to."""

import base64
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest
from tests.people.asking import PLAIN, grades, new_queue, pairs, there
from tests.people.browser import CHROMIUM, Chromium
from tests.people.conftest import free_port
from tests.people.test_page import running

from plumbrule.people import QueueItem, QueueSettings, make_queue, open_queue

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no headless Chromium is installed"),
]
ITEM = "document.body.dataset.item"
SAID = "document.getElementById('said').textContent"
WIDTHS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


class Program:
    """`plumbrule label QUEUE --web` as a process of its own."""

    def __init__(self, queue, port):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plumbrule", "label", str(queue), "--web", "--port", str(port)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "Open in a browser" in line, line
        self.address = line.split(": ", 1)[1].strip().split("?")[0]

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        there(self.process.stdout).close()

    def url(self, who):
        return f"{self.address}?who={who}"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def started(tmp_path):
    """Makes a queue and serves it from a thread of this process."""
    with ExitStack() as open_things:

        def start(items, settings=PLAIN):
            queue = open_things.enter_context(new_queue(tmp_path / "queue.db", items, settings))
            return tmp_path / "queue.db", open_things.enter_context(running(queue))

        yield start


@pytest.fixture
def program(tmp_path):
    """Starts the program anew on one queue at one port, as after a kill."""
    started, port = [], free_port()

    def start():
        started.append(Program(tmp_path / "queue.db", port))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def labels_of(path):
    with open_queue(path) as queue:
        return queue.labels()


def answer(tab, key):
    """Press a key and wait for the next item; gives the id of the one answered."""
    item = tab.wait(ITEM)
    tab.press(key)
    tab.wait(f"{ITEM} !== '{item}'")
    return item


def test_labeling_by_keyboard_left_half_way_and_come_back_to(browser, program, tmp_path):
    """Program and page are ended in the middle of a reason; both come back to it."""
    path = tmp_path / "queue.db"
    make_queue(grades(6), path, PLAIN)
    first = program()
    tab = browser.open(first.url("ann"))
    done = [answer(tab, key) for key in "kb3"]
    tab.press("u")
    tab.wait(f"{ITEM} === '{done[2]}'")
    done[2] = answer(tab, "2")
    here = tab.wait(ITEM)
    tab.press("w")
    tab.write("half a rea")
    tab.wait("document.getElementById('reason').dataset.saved === 'half a rea'")
    first.kill()
    tab.close()
    assert [each.item_id for each in labels_of(path)] == done

    tab = browser.open(program().url("ann"))
    tab.wait(f"{ITEM} === '{here}'")
    assert tab.run("document.getElementById('reason').value") == "half a rea"
    assert "3 labeled by you, 3 left" in tab.run("document.body.innerText")
    tab.press("w")
    tab.write("son")
    tab.press("k")  # a letter of the reason, no answer
    tab.press("Escape")
    for key in "bkk":
        answer(tab, key)
    tab.wait("!document.getElementById('done').hidden")
    tab.close()
    labels = labels_of(path)

    assert [each.answer for each in labels] == ["pass", "fail", "fail", "fail", "pass", "pass"]
    assert labels[3].reason == "half a reasonk"
    assert len({each.item_id for each in labels}) == 6
    assert all(0 < each.seconds < 60 for each in labels)


def test_an_answer_given_while_the_program_is_away_is_kept_and_sent(browser, program, tmp_path):
    path = tmp_path / "queue.db"
    make_queue(grades(3), path, PLAIN)
    first = program()
    tab = browser.open(first.url("ann"))
    item = tab.wait(ITEM)
    first.kill()
    tab.press("b")
    tab.wait(f"{SAID}.includes('Not saved yet')")
    tab.close()

    tab = browser.open(program().url("ann"))
    tab.wait(f"{ITEM} && {ITEM} !== '{item}'")
    tab.close()

    assert [(each.item_id, each.answer) for each in labels_of(path)] == [(item, "fail")]


def test_two_people_at_once_with_sides_arrows_and_marks(browser, started):
    settings = QueueSettings(random_share=0.0, double_share=1.0, known_share=0.0)
    path, page = started(pairs(3), settings)
    tabs = {who: browser.open(page.url(who)) for who in ("ann", "bob")}
    shown: dict[str, dict[str, list[str]]] = {who: {} for who in tabs}
    for _ in range(3):
        for who, tab in tabs.items():
            item = tab.wait(ITEM)
            sides = tab.run(
                "[...document.querySelectorAll('#replies .text')].map(e => e.textContent)"
            )
            shown[who][item] = sides
            tab.run(
                "getSelection().setBaseAndExtent("
                "document.querySelectorAll('#replies .text')[1].firstChild, 0,"
                "document.querySelectorAll('#replies .text')[1].firstChild, 3)"
            )
            tab.press("m")
            tab.wait("document.querySelectorAll('mark').length === 1")
            answer(tab, "ArrowRight" if who == "ann" else "l")
    for tab in tabs.values():
        tab.wait("!document.getElementById('done').hidden")
        tab.close()
    with open_queue(path) as queue:
        items = {item.id: item for item in queue.items()}
        labels = queue.labels()

    assert len(labels) == 6
    for label in labels:
        replies = items[label.item_id].replies
        chosen = replies[("first", "second").index(label.answer)]
        sides = shown[label.annotator][label.item_id]
        assert chosen == sides[1 if label.annotator == "ann" else 0]
        [span] = label.spans
        assert replies[span.reply] == sides[1]
        assert (span.start, span.end) == (0, 3)


HOSTILE = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
)


def test_hostile_text_is_shown_and_never_run(browser, started):
    item = QueueItem(
        principle_id="p", principle=HOSTILE, request=f"{HOSTILE}\u202e\u200b",
        replies=("a😀b\u202ec\x00d\u2028 javascript:alert(1)",),
    )  # fmt: skip
    path, page = started([item])
    tab = browser.open(page.url("<img src=x>"))
    tab.wait(ITEM)
    before = tab.run("document.querySelectorAll('script').length")
    chips = tab.run("[...document.querySelectorAll('.chip')].map(e => e.textContent)")
    # From the smiling face, one letter, to behind the override, which is written out.
    tab.run(
        "{ const text = document.querySelector('#replies .text');"
        " getSelection().setBaseAndExtent(text.firstChild, 1, text.childNodes[2], 1) }"
    )
    tab.press("m")
    tab.wait("document.querySelectorAll('mark').length > 0")
    title = tab.run("document.title")
    images = tab.run("document.images.length")
    shown = tab.run("document.getElementById('request').innerText")
    tab.press("b")
    tab.wait("!document.getElementById('done').hidden")
    tab.close()
    [label] = labels_of(path)
    [span] = label.spans

    assert (title, images, before) == ("Plumbrule: labeling", 0, 1)
    assert HOSTILE in shown
    assert chips == ["U+202E", "U+200B", "U+202E", "U+0000", "U+2028"]
    assert label.annotator == "<img src=x>"
    assert item.replies[0][span.start : span.end] == "😀b\u202ec"


@pytest.mark.parametrize("width", [360, 1100])
def test_the_page_fits_a_phone_and_a_screen(browser, started, tmp_path, width):
    item = QueueItem(
        principle_id="p" * 90, principle="w" * 300, request="w" * 300, replies=("w" * 300, "v")
    )
    _, page = started([item])
    tab = browser.open(page.url("w" * 60), width=width, height=740)
    tab.wait(ITEM)
    fits, size = tab.run(WIDTHS), tab.run("getComputedStyle(document.body).fontSize")
    picture = tab.tell("Page.captureScreenshot")["data"]
    tab.close()

    assert fits
    assert size == "17px"
    assert len(base64.b64decode(picture)) > 5_000  # something was drawn


def test_without_a_name_the_page_asks_for_one(browser, started):
    _, page = started(grades(1))
    tab = browser.open(page.url("").split("?")[0])
    tab.wait("document.activeElement.id === 'given'")
    tab.write("ann b")
    tab.run("document.querySelector('#name button').click()")
    tab.wait(ITEM)

    assert tab.run("document.getElementById('who').textContent") == "ann b"
    tab.close()
