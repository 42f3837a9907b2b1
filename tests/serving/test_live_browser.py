"""The live page in a real browser, while a run is going on."""

import json
import threading

import pytest
from tests.people.browser import CHROMIUM, Chromium
from tests.serving.test_live import FINDING, HOSTILE, served, written

from plumbrule.folders import held_folder
from plumbrule.store import write_atomic

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no headless Chromium is installed"),
]
TEXT = "(document.getElementById('main') || document.body).textContent"
WIDTHS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


class Running:
    """A run that is going on in a thread: it holds its folder until it ends."""

    def __init__(self, folder):
        self.folder, self._begun, self._done = folder, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self):
        self._thread.start()
        assert self._begun.wait(20)
        return self

    def __exit__(self, *_):
        self.end()

    def _work(self):
        ours = {"a": str(self.folder)}
        with held_folder(self.folder, marker="run.json", ours=ours, configuration="a: 1\n"):
            self._begun.set()
            self._done.wait(60)

    def shard(self, stage, number):
        place = self.folder / "stages" / stage
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / f"{number:05d}.jsonl", "{}\n")

    def report(self, **content):
        write_atomic(self.folder / "report" / "report.json", json.dumps(content))

    def end(self):
        self._done.set()
        self._thread.join()


def test_a_page_follows_runs_that_are_going_on(tmp_path, browser):
    written(tmp_path / "earlier")
    with served(tmp_path) as page, Running(tmp_path / "now") as run:
        tab = browser.open(page.url, width=390, height=800)
        tab.wait(f"{TEXT}.includes('Going on: 1')")
        assert tab.run(WIDTHS)
        with Running(tmp_path / "second"):
            tab.wait(f"{TEXT}.includes('Going on: 2')")
        detail = browser.open(page.url + "work/now", width=390, height=800)
        detail.wait(f"{TEXT}.includes('going on')")
        run.shard("draft", 0)
        detail.wait(f"{TEXT}.includes('1 shard ')")
        run.shard("draft", 1)
        detail.wait(f"{TEXT}.includes('2 shards')")
        (run.folder / "report").mkdir()
        (run.folder / "report" / "report.json").write_text('{"title": "Ha')
        detail.wait(f"{TEXT}.includes('is not whole')")
        run.report(title="Now", gates_passed=False, findings=[FINDING])
        run.end()
        detail.wait(f"{TEXT}.includes('It tells private matters.')")
        detail.wait(f"{TEXT}.includes('a gate failed')")
        assert detail.run(WIDTHS)
        tab.wait(f"{TEXT}.includes('It tells private matters.')")


def test_a_deep_link_leads_to_its_line_and_a_lost_server_is_said(tmp_path, browser):
    lines = [{**FINDING, "claim": f"Claim {at}"} for at in range(60)]
    written(tmp_path / "run", findings=lines)
    with served(tmp_path) as page:
        tab = browser.open(page.url + "work/run#finding-50", width=390, height=800)
        tab.wait(f"{TEXT}.includes('Claim 50')")
        there = "document.getElementById('finding-50')"
        assert tab.wait(f"{there}.className === 'target' && scrollY > 0")
    tab.wait("document.getElementById('live').innerText.includes('no answer since')")
    assert "Claim 50" in tab.run(TEXT)


def test_no_script_of_a_name_or_a_text_runs(tmp_path, browser):
    name = "<img src=x onerror=document.body.dataset.hacked=1>"
    finding = {**FINDING, "claim": HOSTILE}
    written(tmp_path / name, title=HOSTILE, summary=[HOSTILE], findings=[finding])
    hack = "document.body.dataset.hacked=1"
    html = f"<h1>Seen</h1><script>{hack}</script><img src=x onerror='{hack}'>"
    (tmp_path / name / "report" / "index.html").write_text(html)
    with served(tmp_path) as page:
        tab = browser.open(page.url)
        tab.wait(f"{TEXT}.includes('onerror')")
        link = tab.run("document.querySelector('main a[href^=\"/work/\"]').href")
        detail = browser.open(link)
        detail.wait(f"{TEXT}.includes('onerror')")
        report = browser.open(link.replace("/work/", "/report/").split("#")[0])
        report.wait("document.body.innerText.includes('Seen')")
        for each in (tab, detail, report):
            assert each.run("document.body.dataset.hacked === undefined")
        for each in (tab, detail):
            assert each.run("document.querySelectorAll('img').length === 0")


def test_a_token_is_asked_for_and_then_kept(tmp_path, browser):
    written(tmp_path / "run")
    with served(tmp_path, token="a-token-of-my-own") as page:
        tab = browser.open(f"http://127.0.0.1:{page.port}/")
        tab.wait("document.querySelector('input[name=token]') !== null")
        tab.run("document.querySelector('input[name=token]').value = 'a-token-of-my-own'")
        tab.run("document.querySelector('form').submit()")
        tab.wait(f"{TEXT}.includes('A run')")


def test_what_is_typed_finds_and_stays_while_the_page_changes(tmp_path, browser):
    written(tmp_path / "first", title="About bread")
    with served(tmp_path) as page:
        tab = browser.open(page.url)
        tab.wait(f"{TEXT}.includes('About bread')")
        tab.run("document.getElementById('find').focus()")
        tab.write("stone")
        tab.wait(f"{TEXT}.includes('Nothing has these words.')")
        written(tmp_path / "second", title="About stone")
        tab.wait(f"{TEXT}.includes('About stone')")
        assert tab.run("document.activeElement.id + document.activeElement.value") == "findstone"
        assert not tab.run(f"{TEXT}.includes('About bread')")
