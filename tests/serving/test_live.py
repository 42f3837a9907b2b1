"""What the live page answers: work as it is now, whatever its names and texts, to whom it may."""

import http.client
import json
import shutil
import socket
import threading
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from plumbrule.errors import ConfigError, DataError
from plumbrule.folders import held_folder
from plumbrule.serving import LivePage, Shelf, digest_of, find_work

HOSTILE = '<img src=x onerror="document.body.dataset.hacked=1">\'\u202e</script><script>'
FINDING = {
    "claim": "It tells private matters.",
    "severity": "high",
    "reason": "seen",
    "estimate": None,
}


def written(folder, content=None, marker="run.json", **about):
    (folder / "report").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("a: 1\n")
    (folder / marker).write_text(json.dumps({"begun": 1_700_000_000.0}))
    said = {"title": "A run", "summary": ["All is well."], "gates_passed": True, **about}
    (folder / "report" / "report.json").write_text(json.dumps(said if content is None else content))
    (folder / "report" / "index.html").write_text("<h1>Report</h1><script>1</script>")


@contextmanager
def served(root, **about):
    page = LivePage(root, port=0, **about)
    thread = threading.Thread(target=page.run)
    thread.start()
    try:
        yield page
    finally:
        page.stop()
        thread.join()


def ask(page, path, *, method="GET", body=None, **headers):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    given = {"Host": f"127.0.0.1:{page.port}", **named}
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def data(page, path="/data"):
    status, _, body = ask(page, path)
    assert status == 200
    return json.loads(body)


def test_work_of_every_state_is_found_and_said(tmp_path):
    written(tmp_path / "done", findings=[FINDING])
    written(tmp_path / "deep" / "er", marker="watch.json")
    (tmp_path / "halted").mkdir()
    (tmp_path / "halted" / "config.yaml").touch()
    (tmp_path / "halted" / "run.json").write_text("{")
    (tmp_path / "other").mkdir()
    with held_folder(tmp_path / "busy", marker="run.json", ours={"a": 1}, configuration="a: 1\n"):
        found = {each.name: each for each in find_work(tmp_path).work}
    assert {name: (each.kind, each.state) for name, each in found.items()} == {
        "done": ("run", "done"),
        "deep/er": ("watch", "done"),
        "halted": ("run", "stopped"),
        "busy": ("run", "going on"),
    }
    assert found["done"].begun == 1_700_000_000.0
    assert next(iter(find_work(tmp_path / "busy").work)).state == "stopped"
    assert [each.name for each in find_work(tmp_path / "busy").work] == [""]


def test_two_runs_at_once_both_go_on(tmp_path):
    with (
        held_folder(tmp_path / "one", marker="run.json", ours={"a": 1}, configuration="a: 1\n"),
        held_folder(tmp_path / "two", marker="watch.json", ours={"a": 2}, configuration="a: 2\n"),
        served(tmp_path) as page,
    ):
        states = {each["name"]: each["state"] for each in data(page)["work"]}
    assert states == {"one": "going on", "two": "going on"}


def test_what_stands_is_listed_with_its_place_in_the_report(tmp_path):
    written(
        tmp_path / "run",
        findings=[FINDING],
        gates=[{"name": "violations", "passed": False, "reason": "too many"}],
        gates_passed=False,
        verdicts=[
            {"principle": "privacy", "label": "conditional", "why": "By a cue.", "named": "x"},
            {"principle": "dignity", "label": "internalized", "why": "Held."},
        ],
        remedies=[{"kind": "amendment", "fixes": "It tells.", "decision": "accepted"}],
        alarms=[{"kind": "rate", "principle_id": "privacy", "at": 40, "handled": False}],
    )  # fmt: skip
    written(
        tmp_path / "ab",
        {
            "title": "T",
            "plan": {},
            "arms": [{"what": "candidate", "count": 9}],
            "decision": {"action": "promote", "reason": "better", "outcome": "win"},
        },
        marker="trial.json",
    )
    shelf = Shelf(tmp_path)
    standing = shelf.overview()["standing"]
    detail = shelf.detail("run")
    assert {(each["sort"], each["mark"]) for each in standing} == {
        ("finding", "high"),
        ("verdict", "conditional"),
        ("trial", "promote"),
        ("gate", "failed"),
        ("remedy", "accepted"),
        ("alarm", "stands"),
    }
    sorts = [each["sort"] for each in standing]
    assert sorts == ["alarm", "trial", "gate", "verdict", "remedy", "finding"]
    for each in (each for each in standing if each["work"] == "run"):
        assert detail["lines"][each["at"]]["text"] == each["text"]
    assert (detail["outcome"], detail["bad"]) == ("1 alarm standing", True)
    assert shelf.detail("ab")["outcome"] == "promote"


def test_of_many_lines_the_first_are_listed_and_the_rest_counted(tmp_path):
    written(tmp_path / "run", findings=[{**FINDING, "claim": f"Claim {at}"} for at in range(50)])
    standing = Shelf(tmp_path).overview()["standing"]
    assert [each["text"] for each in standing] == ["Claim 0", "Claim 1", "Claim 2", ""]
    assert standing[-1]["mark"] == "47 more"


def test_a_run_that_goes_on_says_how_far_it_is(tmp_path):
    with held_folder(tmp_path / "run", marker="run.json", ours={"a": 1}, configuration="a: 1\n"):
        (tmp_path / "run" / "progress.log").write_text("10:00 draft: 1 of 9\n10:01 draft: 2 of 9\n")
        (tmp_path / "run" / "stages" / "draft").mkdir(parents=True)
        (tmp_path / "run" / "stages" / "draft" / "00000.jsonl").write_text("{}\n")
        found = Shelf(tmp_path).detail("run")
    assert found["progress"] == "10:01 draft: 2 of 9"
    assert [(each["name"], each["shards"]) for each in found["stages"]] == [("draft", 1)]


def test_what_tests_and_attacks_found_is_listed(tmp_path):
    above = {"outcome": "above", "estimate": None}
    found = digest_of(
        {
            "principles": [{"id": "privacy", "broken": above}, {"id": "x", "broken": {}}],
            "holes": [{"principle": "dignity", "family": "urging", "hits": 2, "tries": 3}],
        }
    )
    assert [(each.mark, each.text) for each in found.lines] == [
        ("broken", "privacy is broken more often than allowed"),
        ("hole", "dignity gives way to urging"),
    ]
    assert found.lines[1].more == "2 of 3 attacks"


def test_a_loop_lists_what_it_tried_and_what_it_left():
    tried = [
        {"kind": "tier", "decision": decision, "what": f"Tier: {decision}."}
        for decision in ("accepted", "rejected", "handed to a person")
    ]
    answered = [{"claim": "`privacy` is broken.", "trials": tried}]
    found = digest_of(
        {
            "rounds": [{"number": 2, "answered": answered}],
            "gates_hold": False,
            "left": ["`dignity` is broken."],
        }
    )
    assert [(each.mark, each.bad) for each in found.lines] == [
        ("accepted", None),
        ("rejected", False),
        ("handed to a person", True),
        ("high", True),
    ]
    assert found.lines[0].more == "round 2, tier, answers: `privacy` is broken."
    assert found.lines[3].text == "`dignity` is broken."
    assert found.outcome == "a gate failed"


def test_a_report_that_is_not_whole_is_said_and_read_once_it_is(tmp_path):
    written(tmp_path / "run")
    whole = (tmp_path / "run" / "report" / "report.json").read_text()
    for broken, said in (
        (whole[:20], "is not whole"),
        ("[" * 100_000, "is not whole"),
        ("[1]", "holds no report"),
    ):
        (tmp_path / "run" / "report" / "report.json").write_text(broken)
        assert said in Shelf(tmp_path).detail("run")["trouble"]
        assert said in Shelf(tmp_path).overview()["work"][0]["trouble"]
    shelf = Shelf(tmp_path)
    shelf.detail("run")
    (tmp_path / "run" / "report" / "report.json").write_text(whole)
    assert shelf.detail("run")["title"] == "A run"


def test_a_run_deleted_while_it_is_shown_is_said_to_be_gone(tmp_path):
    written(tmp_path / "run")
    with served(tmp_path) as page:
        assert data(page, "/data/run")["title"] == "A run"
        shutil.rmtree(tmp_path / "run")
        assert "deleted, moved or never there" in data(page, "/data/run")["gone"]
        assert data(page)["work"] == []
        assert ask(page, "/report/run")[0] == 404
        shutil.rmtree(tmp_path)
        page.shelf._last = None
        assert "not there any more" in data(page)["note"]


def test_five_hundred_runs_are_listed_and_read_once(tmp_path, monkeypatch):
    for at in range(500):
        written(tmp_path / f"run-{at:03d}", findings=[FINDING])
    from plumbrule.serving import watching

    read: list[Any] = []
    original = watching.read_report

    def counted(path):
        read.append(path)
        return original(path)

    monkeypatch.setattr(watching, "read_report", counted)
    shelf = Shelf(tmp_path)
    for _ in range(200):
        shelf._last = None
        found = shelf.overview()
        if "being read" not in found["note"]:
            break
    assert (len(found["work"]), len(found["standing"]), len(read)) == (500, 200, 500)
    assert "The first 200 of 500 lines" in found["note"]


SHAPES: list[object] = [
    None, 3, "x", [], [[]], {"findings": 3}, {"findings": [None, {"claim": {}}]},
    {"gates": [{"passed": "yes"}], "alarms": [{}], "plan": {}, "decision": 3},
    {"verdicts": {"verdicts": [{}]}, "rounds": [{"tried": [{"remedy": {"kind": "x"}}]}]},
    {"findings": [{"claim": "x", "estimate": {"value": "much"}}]},
    {"summary": [None, {}, "x" * 10**6]},
]  # fmt: skip


@pytest.mark.parametrize("value", SHAPES)
def test_a_report_of_any_shape_gives_a_digest(value):
    json.dumps([each.text for each in digest_of(value).lines])
    assert all(len(each) < 1000 for each in digest_of(value).summary)


def test_names_and_texts_of_models_stay_text(tmp_path):
    name = "<script>document.body.dataset.hacked=1<script>\n\u202e"
    written(tmp_path / name, title=HOSTILE, findings=[{**FINDING, "claim": HOSTILE}])
    with served(tmp_path) as page:
        status, headers, body = ask(page, "/data")
        found = json.loads(body)["work"][0]
        detail = data(page, "/data/" + found["name"])
        html = ask(page, "/work/" + found["name"])[2]
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "\u202e" not in detail["title"]
    assert "⟦U+202E⟧" in detail["title"]
    assert b"hacked" not in html


def test_a_page_may_run_its_own_script_alone_and_a_report_none(tmp_path):
    written(tmp_path / "run")
    with served(tmp_path) as page:
        _, headers, body = ask(page, "/")
        policy = headers["Content-Security-Policy"]
        nonce = policy.split("'nonce-")[1].split("'")[0]
        again = ask(page, "/")[1]["Content-Security-Policy"]
        report = ask(page, "/report/run")[1]["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert body.decode().count(nonce) == 2
    assert nonce not in again
    assert "script-src" not in report
    assert "default-src 'none'" in report
    assert "sandbox" in report
    assert "allow-scripts" not in report


def test_nothing_outside_the_folder_is_given(tmp_path):
    written(tmp_path / "secret")
    root = tmp_path / "root"
    written(root / "run")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "run" / "report" / "index.html").unlink()
    (root / "run" / "report" / "index.html").symlink_to(
        tmp_path / "secret" / "report" / "index.html"
    )
    with served(root) as page:
        assert [each["name"] for each in data(page)["work"]] == ["run"]
        for name in (
            "../secret",
            "%2e%2e/secret",
            "link",
            "/etc",
            "run/../../secret",
            "%00",
            "run",
        ):
            assert ask(page, "/report/" + name)[0] == 404
        for name in ("../secret", "%2e%2e%2fsecret", "link", quote(str(tmp_path / "secret"))):
            assert "gone" in data(page, "/data/" + name)
        assert ask(page, "/etc/passwd")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1",
    "192.168.0.1:{port}", "x@127.0.0.1:{port}", "127.0.0.1:{port}/x", "[", ""])  # fmt: skip
def test_no_other_site_is_answered_by_a_name_of_its_own(tmp_path, host):
    with served(tmp_path) as page:
        said = host.format(port=page.port)
        assert ask(page, "/data", Host=said)[0] == 403
        for good in ("localhost", "127.0.0.1", "[::1]"):
            assert ask(page, "/data", Host=f"{good}:{page.port}")[0] == 200


def test_away_from_the_loopback_a_token_is_asked_for(tmp_path):
    written(tmp_path / "run")
    with served(tmp_path, host="0.0.0.0", names=["lab.example"]) as page:
        token = page.url.split("token=")[1]
        assert len(token) >= 16
        assert ask(page, "/data")[0] == 401
        status, _, body = ask(page, "/work/run")
        assert (status, b'type="password"' in body) == (401, True)
        assert ask(page, "/report/run")[0] == 401
        assert ask(page, "/?token=wrong")[0] == 401
        assert ask(page, "/", method="POST", body="token=x")[0] == 404
        assert ask(page, "/door", method="POST", body="token=x")[0] == 401
        status, headers, _ = ask(page, f"/work/run?token={token}")
        assert (status, headers["Location"]) == (303, "/work/run")
        kept = headers["Set-Cookie"].split(";")[0]
        assert "HttpOnly" in headers["Set-Cookie"]
        assert "SameSite=Strict" in headers["Set-Cookie"]
        assert ask(page, "/data", Cookie=kept)[0] == 200
        assert ask(page, "/data", Cookie=kept[:-1] + "!")[0] == 401
        status, headers, _ = ask(page, "/door", method="POST", body=f"token={token}")
        assert (status, headers["Location"]) == (303, "/")
        assert ask(page, f"//evil.example/?token={token}")[1]["Location"] == "/"
        for host, answer in (("lab.example", 200), ("10.0.0.7", 200), ("evil.example", 403)):
            assert ask(page, "/data", Cookie=kept, Host=f"{host}:{page.port}")[0] == answer


def test_a_token_of_ones_own_is_asked_for_on_the_loopback_too(tmp_path):
    with served(tmp_path, token="a-token-of-my-own") as page:
        assert ask(page, "/data")[0] == 401
        assert page.url.endswith("?token=a-token-of-my-own")
    for token in ("short", "x" * 15, "a token with spaces in", "ä" * 20):
        with pytest.raises(ConfigError, match="expected a token of at least 16"):
            LivePage(tmp_path, port=0, token=token)


def test_a_browser_that_has_the_newest_is_told_so(tmp_path):
    written(tmp_path / "run")
    with served(tmp_path) as page:
        tag = ask(page, "/data/run")[1]["ETag"]
        assert ask(page, "/data/run", If_None_Match=tag)[0] == 304
        written(tmp_path / "run", title="Another")
        assert ask(page, "/data/run", If_None_Match=tag)[0] == 200


def test_what_cannot_be_served_is_said(tmp_path):
    with pytest.raises(DataError, match="expected a folder of runs"):
        LivePage(tmp_path / "none", port=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"):
            LivePage(tmp_path, port=port)
    with pytest.raises(ConfigError, match=r"cannot be used at 203.0.113.7"):
        LivePage(tmp_path, port=0, host="203.0.113.7")


def test_from_python_it_serves_beside_other_work(tmp_path):
    import plumbrule as pr

    written(tmp_path / "run")
    page = pr.serve(tmp_path, port=0)
    try:
        assert data(page)["work"][0]["title"] == "A run"
    finally:
        page.stop()
