import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.report.comparison_sample import comparison_content
from tests.report.sample import sample_content
from tests.report.test_report import DRAWING, TEXT, Page, leaves

from plumbrule.report import write_page

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FRAME = """<!DOCTYPE html><body><script>
onmessage = (said) => document.body.insertAdjacentHTML("beforeend", `<p>${{said.data}}</p>`)
</script><iframe src="index.html" style="width:{width}px;height:900px;border:0"></iframe></body>"""
MEASURE = """<script>const root = document.documentElement
parent.postMessage(`${root.scrollWidth} in ${root.clientWidth}`, "*")</script>"""
KEPT = {"before", "supervised", "final", "judge", "oracle", "higher", "lower"}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no headless Chromium is installed"),
]


@pytest.fixture
def listener():
    """An address that remembers who asked for something."""
    asked = []

    class Remember(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Remember)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def dom(page, tmp_path, *more):
    """What the browser made of a page."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--no-proxy-server", "--dump-dom", *more]
    run = subprocess.run(
        [str(BROWSER), *flags, page.as_uri()], capture_output=True, timeout=90, check=True
    )
    return run.stdout.decode()


def attack(address):
    """Text that fetches something as soon as any of it becomes an element."""
    return (
        f"</title></style></details></svg><img src='{address}/img'>"
        f"<link rel=stylesheet href='{address}/css'><script src='{address}/js'></script>"
        f"<iframe src='{address}/frame'></iframe><style>@import url({address}/import);</style>"
        f'" style="background:url({address}/style)\u202e\x00'
    )


def test_hostile_text_becomes_no_element_and_fetches_nothing(tmp_path, listener):
    address, asked = listener
    text = attack(address)
    content = leaves(sample_content(), lambda old: old if old in KEPT else old + text)
    content["examples"][0]["replies"][0]["text"] = text + "long " * 20_000
    write_page("run", content, tmp_path)

    shown = dom(tmp_path / "index.html", tmp_path)
    page = Page(shown)

    assert asked == []
    assert {tag for tag, _ in page.elements} <= TEXT | DRAWING
    assert "".join(page.text).count("</script>") > 100
    assert "U+202E" in shown
    assert "\u202e" not in shown


def test_hostile_text_in_a_comparison_fetches_nothing_either(tmp_path, listener):
    address, asked = listener
    text = attack(address)
    content = leaves(comparison_content(count=9), lambda old: old + text)
    write_page("comparison", content, tmp_path)

    page = Page(dom(tmp_path / "index.html", tmp_path))

    assert asked == []
    assert {tag for tag, _ in page.elements} <= TEXT | DRAWING


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize(
    ("kind", "content"),
    [("run", sample_content()), ("comparison", comparison_content())],
    ids=["run", "comparison"],
)
def test_no_page_scrolls_sideways_however_long_a_word_is(tmp_path, kind, content, width):
    word = "w" * 400
    longer = leaves(content, lambda old: old if old in KEPT else f"{old} {word}")
    write_page(kind, longer, tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    # The page itself runs no script, so its policy makes way for the one that measures.
    html = html.replace("Content-Security-Policy", "none").replace("</body>", MEASURE + "</body>")
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")

    shown = dom(tmp_path / "frame.html", tmp_path, "--virtual-time-budget=4000")

    [(needed, room)] = re.findall(r"<p>(\d+) in (\d+)</p>", shown)
    assert int(needed) == int(room)
    assert width - 30 < int(room) <= width  # a scroll bar stands beside it


def test_the_browser_keeps_every_number_and_section(tmp_path):
    write_page("run", sample_content(), tmp_path)
    file = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    shown = Page(dom(tmp_path / "index.html", tmp_path))

    assert shown.data == file.data
    assert shown.values("id") == file.values("id")
    assert json.loads((tmp_path / "report.json").read_bytes())["seed"] == 20


def test_the_listener_would_notice(tmp_path, listener):
    """Without escaping and without a policy the same text does fetch."""
    address, asked = listener
    (tmp_path / "bare.html").write_text(f"<!DOCTYPE html><body>{attack(address)}")
    dom(tmp_path / "bare.html", tmp_path)

    assert "/img" in asked


def test_the_policy_alone_would_stop_it_too(tmp_path, listener):
    """Were the escaping broken somewhere, the page's policy still lets nothing out."""
    address, asked = listener
    write_page("run", {}, tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(html.replace("</h1>", f"</h1>{attack(address)}"))
    dom(tmp_path / "index.html", tmp_path)

    assert [path for path in asked if path != "/favicon.ico"] == []
