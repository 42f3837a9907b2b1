"""Endpoints, in front of a server that fails on request."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.fault_server import FaultServer, reply
from tests.models.tiny import ask

from plumbrule.errors import (
    BudgetError,
    ConfigError,
    DataError,
    EndpointError,
    ModelError,
    StorageError,
)
from plumbrule.models import (
    EndpointModel,
    EndpointSettings,
    LanguageModel,
    Sampling,
    calling,
    open_model,
)
from plumbrule.models.reading import read_option, read_token

FAST = {"backoff_seconds": 0.001, "timeout_seconds": 5.0}
PRICED = {"price_per_million_input": 1e5, "price_per_million_output": 1e6}
KEY = "sk-0123456789-secret"


def model_on(server, cache=None, **settings):
    return EndpointModel(
        server.url, "m", cache=cache, settings=EndpointSettings(**{**FAST, **settings}), key=KEY
    )


def say(model, *texts, seeds=None, **sampling):
    seeds = range(len(texts)) if seeds is None else seeds
    return model.sample(ask(*texts), sampling=Sampling(**sampling), seeds=list(seeds))


def test_replies_come_back_in_order_each_with_its_seed():
    with FaultServer(delay_seconds=0.01) as server:
        model = model_on(server)
        found = say(model, *[f"q{n}" for n in range(20)], temperature=0.7, max_new_tokens=9)

    assert [one.text for one in found] == [f"q{n} / {n}" for n in range(20)]
    assert all(one.finish_reason == "stop" and one.tokens == 3 for one in found)
    assert isinstance(model, LanguageModel)
    (body,) = [body for body in server.bodies if body["messages"][0]["content"] == "q3"]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.7, 9, "m")
    assert (model.usage.calls, model.usage.tokens_generated) == (20, 60)


def test_no_more_calls_at_once_than_allowed():
    with FaultServer(delay_seconds=0.03) as server:
        say(model_on(server, max_concurrent=3), *"abcdefghijkl")

    assert server.most_at_once == 3


@pytest.mark.parametrize(
    "fault",
    [
        "status=500",
        "status=503",
        "status=429",
        "busy=0",
        "cut",
        "hang",
        "drip",
        "garbage",
        "json={}",
        'json={"choices": []}',
        "json=[1",
    ],
)
def test_what_may_pass_is_tried_again(fault):
    with FaultServer([fault, fault]) as server:
        model = model_on(server, timeout_seconds=0.5 if fault in ("hang", "drip") else 30.0)
        (found,) = say(model, "q")

    assert found.text == "q / 0"
    assert len(server.bodies) == 3
    assert model.usage.calls == 1


@pytest.mark.parametrize("fault", ["status=500:out of order", "garbage", "cut"])
def test_what_does_not_pass_is_given_up(fault):
    with (
        FaultServer([fault] * 3) as server,
        pytest.raises(EndpointError, match=r"in 3 attempts.*the same command") as caught,
    ):
        say(model_on(server, max_attempts=3), "q")

    assert caught.value.exit_code == 3
    assert len(server.bodies) == 3


def test_nobody_there_is_given_up():
    with FaultServer() as server:
        pass
    with pytest.raises(EndpointError, match="ConnectError"):
        say(model_on(server, max_attempts=2), "q")


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "is not sent again"), (401, "PLUMBRULE_ENDPOINT_KEY"), (403, "refused"), (404, "/v1")],
)
def test_what_the_server_refuses_is_not_tried_again(status, words):
    with (
        FaultServer([f"status={status}:{KEY} and \x1b[31mred"]) as server,
        pytest.raises(ModelError, match=words) as caught,
    ):
        say(model_on(server), "q")

    assert len(server.bodies) == 1
    assert KEY not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_redirect_is_not_followed_with_the_key():
    with (
        FaultServer() as other,
        FaultServer([f"redirect={other.url}"]) as server,
        pytest.raises(ModelError, match="answered 302"),
    ):
        say(model_on(server), "q")

    assert other.bodies == []


class Clock:
    """Notes how long it was asked to wait, and does not."""

    def __init__(self):
        self.waited = []

    def wait(self, seconds):
        self.waited.append(seconds)
        return False

    def is_set(self):
        return False

    def set(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(calling, "Event", lambda: clock)
    return clock


@pytest.mark.parametrize(("after", "least", "most"), [("busy=7", 7, 7), ("busy=date:30", 20, 30)])
def test_the_server_says_how_long_to_wait(clock, after, least, most):
    with FaultServer([after]) as server:
        say(model_on(server), "q")

    (waited,) = clock.waited
    assert least <= waited <= most  # a date is given in whole seconds, and time goes on


def test_no_server_makes_us_wait_for_ever(clock):
    with FaultServer(["busy=86400", "busy=date:86400"]) as server:
        say(model_on(server, max_wait_seconds=9.0), "q")

    assert clock.waited == [9.0, 9.0]


def test_pauses_grow_and_are_the_same_each_time(clock):
    for _ in range(2):
        with FaultServer(["status=500"] * 5) as server:
            model = model_on(server, backoff_seconds=1.0, max_wait_seconds=8.0)
            model.url = "http://somewhere/v1"  # the port differs each time
            say(model, "q")

    first, second = clock.waited[:5], clock.waited[5:]
    assert first == second
    assert all(2**n / 2 <= pause <= 2**n for n, pause in enumerate(first[:4]))
    assert first[4] == 8.0


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (reply("so", choice={"finish_reason": "length"}), "length", "so"),
        (reply("so", choice={"finish_reason": "content_filter"}), "refused", "so"),
        (reply(None, message={"refusal": "I cannot."}), "refused", "I cannot."),
        (reply(None), "errored", "the endpoint sent no text (finish reason 'stop')"),
    ],
)
def test_how_a_reply_ended_is_told_apart(answer, reason, text):
    with FaultServer(answer=lambda body: answer) as server:
        (found,) = say(model_on(server), "q")

    assert (found.finish_reason, found.text) == (reason, text)


def test_a_prompt_that_a_filter_refuses_is_a_refusal():
    with FaultServer(["status=400:content_filter"]) as server:
        model = model_on(server)
        (found,) = say(model, "q")

    assert found.finish_reason == "refused"
    assert model.usage.dollars == 0


def test_a_paid_answer_is_never_paid_again(tmp_path):
    cache = tmp_path / "deep" / "answers.sqlite"
    with FaultServer() as server:
        first = say(model_on(server, cache), "a", "b", "c")
        again = model_on(server, cache)
        second = say(again, "a", "b", "c", "d")

    assert second[:3] == first
    assert again.usage.calls == 1
    assert len(server.bodies) == 4


@pytest.mark.parametrize(
    "change", [{"seeds": [2**40]}, {"temperature": 0.5}, {"top_p": 0.5}, {"max_new_tokens": 3}]
)
def test_another_question_is_another_call(tmp_path, change):
    with FaultServer() as server:
        model = model_on(server, tmp_path / "answers")
        say(model, "a", seeds=[1])
        say(model, "a", **{"seeds": [1], **change})

    assert model.usage.calls == 2


def test_seeds_that_agree_on_the_wire_are_different_questions():
    with FaultServer() as server:
        model = model_on(server)
        say(model, "a", "a", seeds=[5, 5 + 2**31])

    assert [body["seed"] for body in server.bodies] == [5, 5]
    assert model.usage.calls == 2


def test_the_same_question_asked_twice_at_once_is_paid_once():
    with FaultServer(delay_seconds=0.05) as server:
        model = model_on(server)
        found = say(model, *["a"] * 6, seeds=[1] * 6)

    assert {one.text for one in found} == {"a / 1"}
    assert (len(server.bodies), model.usage.calls) == (1, 1)


def test_a_killed_run_loses_no_paid_answer(tmp_path):
    cache = tmp_path / "answers"
    code = (
        "import sys\n"
        "from plumbrule.models import *\n"
        "from plumbrule.records import Message\n"
        "model = EndpointModel(sys.argv[1], 'm', cache=__import__('pathlib').Path(sys.argv[2]))\n"
        "model.sample([(Message('user', f'q{n}'),) for n in range(400)],\n"
        "             sampling=Sampling(), seeds=list(range(400)))\n"
    )
    paths = os.pathsep.join(sys.path)
    with FaultServer(delay_seconds=0.02) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", code, server.url, str(cache)],
            env={**os.environ, "PYTHONPATH": paths},
        )
        deadline = time.monotonic() + 30
        while server.answered < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        before = server.answered
        model = model_on(server, cache, max_concurrent=16)
        found = say(model, *[f"q{n}" for n in range(60)], max_new_tokens=256)

    assert [one.text for one in found] == [f"q{n} / {n}" for n in range(60)]
    # At most the calls under way when the run died are asked again.
    assert 40 <= before <= 100
    assert server.answered <= max(60, before) + 8


def test_a_failure_keeps_what_was_paid_beside_it(tmp_path):
    def answer(body):
        return reply("fine") if body["messages"][0]["content"] != "bad" else {"choices": []}

    with FaultServer(answer=answer) as server:
        with pytest.raises(EndpointError):
            say(model_on(server, tmp_path / "a", max_attempts=2), "a", "b", "c", "bad", "d")
        paid = len({body["messages"][0]["content"] for body in server.bodies} - {"bad"})
        model = model_on(server, tmp_path / "a")
        say(model, "a", "b", "c", "d", seeds=[0, 1, 2, 4])

    assert model.usage.calls == 4 - paid


def test_calls_stop_at_the_number_allowed_and_go_on_with_a_larger_one(tmp_path):
    with FaultServer() as server:
        with pytest.raises(BudgetError, match=r"3 of 3 calls.*raise max_calls") as caught:
            say(model_on(server, tmp_path / "a", max_calls=3), *"abcde")
        assert len(server.bodies) == 3
        with pytest.raises(BudgetError):
            say(model_on(server, tmp_path / "a", max_calls=3), *"abcde")
        assert len(server.bodies) == 3
        model = model_on(server, tmp_path / "a", max_calls=5)
        found = say(model, *"abcde")

    assert caught.value.exit_code == 3
    assert len(server.bodies) == 5
    assert [one.text for one in found] == [f"{c} / {n}" for n, c in enumerate("abcde")]


def test_money_stops_before_it_is_spent_and_not_after(tmp_path):
    # 7 tokens in and 3 out: 0.7 + 3 dollars a call; the worst case is far above that.
    with FaultServer() as server:
        model = model_on(server, tmp_path / "a", max_dollars=20.0, **PRICED)
        with pytest.raises(BudgetError, match=r"of \$20\.0000 spent"):
            say(model, *"abcdefghij", max_new_tokens=5)

    assert 0 < model.usage.dollars <= 20.0
    assert model.usage.dollars == pytest.approx(3.7 * model.usage.calls)
    assert len(server.bodies) == model.usage.calls


def test_a_call_whose_worst_case_is_too_dear_is_not_made():
    with FaultServer() as server, pytest.raises(BudgetError):
        say(model_on(server, max_dollars=1.0, **PRICED), "a", max_new_tokens=5)

    assert server.bodies == []


def test_a_broken_answer_counts_against_the_budget():
    with FaultServer(["garbage"] * 5) as server, pytest.raises(BudgetError, match="2 of 2 calls"):
        say(model_on(server, max_calls=2), "a")

    assert len(server.bodies) == 2


def top(**tokens):
    listed = [{"token": name, "logprob": math.log(share)} for name, share in tokens.items()]
    content = [{**listed[0], "top_logprobs": listed}]
    return reply("A", choice={"logprobs": {"content": content}})


def test_answers_are_weighed_by_log_probabilities_where_the_server_gives_them():
    with FaultServer(answer=lambda body: top(**{"A": 0.5, " B": 0.1, "B": 0.1, "Well": 0.3})) as s:
        model = model_on(s)
        choices = model.choose(ask("x", "y"), ["A", "B"], seeds=[1, 2])

    for choice in choices:
        assert choice.probabilities == pytest.approx((5 / 7, 2 / 7))
        assert choice.covered == pytest.approx(0.7)
        assert choice.method == "log-probs"
    assert all(body["logprobs"] and body["max_tokens"] == 1 for body in s.bodies)
    assert model.describe()["log_probs"] == "given"


def test_answers_that_one_token_cannot_tell_apart_are_drawn():
    def answer(body):
        return top(No=0.6, Yes=0.4) if body.get("logprobs") else reply("Not sure")

    with FaultServer(answer=answer) as server:
        choices = model_on(server).choose(ask("x"), ["No", "Not sure", "Yes"], seeds=[1])

    assert choices[0].method == "sampling"
    assert choices[0].probabilities == (0.0, 1.0, 0.0)


def test_none_of_the_answers_is_no_probability():
    with FaultServer(answer=lambda body: top(Well=1.0)) as server:
        (choice,) = model_on(server).choose(ask("x"), ["A", "B"], seeds=[1])

    assert (choice.probabilities, choice.covered) == (None, 0.0)
    assert "none of the 1 likeliest first tokens" in choice.reason


@pytest.mark.parametrize("refusal", [None, "status=400:logprobs is not supported"])
def test_without_log_probabilities_answers_are_drawn_and_counted(refusal):
    def answer(body):
        texts = ["A", "(B) because", "b", "A good question", "**A**", "B.", "Hm", "A\nor so"]
        return reply(texts[seen.setdefault(body["seed"], len(seen) - 1) % 8])

    seen: dict[int | None, int] = {}
    with FaultServer([refusal] if refusal else [], answer=answer) as server:
        if refusal:
            seen[None] = -1
        model = model_on(server, max_concurrent=1, choose_samples=8)
        (choice,) = model.choose(ask("x"), ["A", "B"], seeds=[1])
        calls = len(server.bodies)
        model.choose(ask("y"), ["A", "B"], seeds=[1])

    # A, B, nothing ("b" is no letter B), nothing, A, B, nothing, A
    assert choice.method == "sampling"
    assert choice.probabilities == pytest.approx((3 / 5, 2 / 5))
    assert choice.covered == pytest.approx(5 / 8)
    assert calls == 9
    assert len(server.bodies) == 17  # it is not asked for log-probabilities again
    assert model.describe()["log_probs"].startswith("not given")


@pytest.mark.parametrize("gives", [True, False])
def test_what_was_learned_of_a_server_is_known_to_the_process_that_goes_on(tmp_path, gives):
    def answer(body):
        return top(A=0.9, B=0.1) if gives and body.get("logprobs") else reply("A")

    kept = tmp_path / "answers.db"
    refusals = ["status=400:seed is not supported", "status=400:temperature is not supported"]
    with FaultServer(refusals, answer=answer) as server:
        first = model_on(server, kept, max_concurrent=1)
        first.choose(ask("x"), ["A", "B"], seeds=[1])
        beside = model_on(server)  # keeps its answers elsewhere
        asked = len(server.bodies)
        again = model_on(server, kept)

        assert again.describe() == first.describe() != beside.describe()
        assert again.choose(ask("x"), ["A", "B"], seeds=[1]) is not None
        assert len(server.bodies) == asked


def test_what_one_handle_learns_the_other_says_too(tmp_path):
    with FaultServer(answer=lambda body: top(A=1.0)) as server:
        critic, judge = (model_on(server, tmp_path / "answers.db") for _ in range(2))
        assert judge.describe()["log_probs"] == "not asked yet"
        critic.choose(ask("x"), ["A", "B"], seeds=[1])
        assert judge.describe() == critic.describe()


def test_log_probabilities_of_a_reply_come_along_on_request():
    content = [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.5}]
    answer = reply("ab", choice={"logprobs": {"content": content}})
    with FaultServer(answer=lambda body: answer) as server:
        model = model_on(server)
        (found,) = model.sample(ask("x"), sampling=Sampling(), seeds=[1], log_probs=True)

    assert found.log_probs == (-0.5, -1.5)


def test_the_word_for_the_longest_reply_is_learned():
    words = "use max_completion_tokens instead of max_tokens"
    with FaultServer([f"status=400:{words}"]) as server:
        model = model_on(server, max_concurrent=1)
        say(model, "a", "b")

    assert "max_tokens" in server.bodies[0]
    assert all("max_completion_tokens" in body for body in server.bodies[1:])
    assert len(server.bodies) == 3


def test_the_key_goes_into_the_header_and_nowhere_else(tmp_path):
    def echo(body):
        return reply(f"your key is {KEY}")

    with FaultServer(answer=echo) as server:
        model = model_on(server, tmp_path / "a")
        (found,) = say(model, "q")

    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert found.text == "your key is [key]"
    assert KEY.encode() not in (tmp_path / "a").read_bytes()
    assert KEY not in model.identity + json.dumps(dict(model.describe()))


def test_a_strange_address_never_gets_the_providers_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("PLUMBRULE_ENDPOINT_KEY", raising=False)
    with FaultServer() as server:
        say(open_model(f"{server.url}#m"), "q")

    assert "Authorization" not in server.headers[0]


def test_a_given_reply_cannot_be_scored():
    with FaultServer() as server, pytest.raises(ModelError, match=r"`choose`, or open the weights"):
        model_on(server).score(ask("x"), ["y"])


@pytest.mark.parametrize(
    "settings",
    [
        {"max_concurrent": 0},
        {"max_attempts": 0},
        {"timeout_seconds": 0.0},
        {"backoff_seconds": math.inf},
        {"max_calls": -1},
        {"price_per_million_input": math.nan},
        {"max_dollars": 1.0},
    ],
)
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(ConfigError):
        EndpointSettings(**settings)


def test_a_cache_that_is_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("my notes, " * 200)

    with FaultServer() as server, pytest.raises(DataError, match="to be a cache of answers"):
        model_on(server, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("my notes")


def test_a_cache_that_cannot_be_written_is_an_outside_failure(tmp_path):
    (tmp_path / "a").mkdir()
    with FaultServer() as server, pytest.raises(StorageError, match="could not use the cache"):
        model_on(server, tmp_path / "a")


def test_one_file_serves_several_models(tmp_path):
    with FaultServer() as server:
        one = model_on(server, tmp_path / "a", max_calls=1)
        other = EndpointModel(
            server.url, "n", cache=tmp_path / "a", settings=EndpointSettings(max_calls=1)
        )
        say(one, "q")
        say(other, "q")

    with sqlite3.connect(tmp_path / "a") as database:
        assert database.execute("SELECT COUNT(*) FROM answers").fetchone() == (2,)
    database.close()


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ("A", ["A", "B"], 0),
        (" (B) is better", ["A", "B"], 1),
        ("**A**: it is", ["A", "B"], 0),
        ("A good one", ["A", "B"], None),
        ("a", ["A", "B"], None),
        ("Answer: A", ["A", "B"], None),
        ("AB", ["A", "B"], None),
        ("yes, of course", ["Yes", "No"], 0),
        ("Nobody knows", ["Yes", "No"], None),
        ("no way", ["No", "No way"], 1),
        ("NO", ["No", "NO"], 1),
        ("", ["Yes", "No"], None),
        ("1) first", ["1", "2"], 0),
        ("12", ["1", "2"], None),
        ("C++ is", ["C++", "C"], 0),
        ("(A) it is", ["(A)", "(B)"], 0),
        ('"B"', ['"A"', '"B"'], 1),
    ],
)
def test_an_answer_is_read_strictly(text, options, found):
    assert read_option(text, options) == found


WORDS = st.text("AB ", min_size=1).filter(str.strip)


@given(st.lists(WORDS, min_size=2, unique=True), st.text("AB .(\n"))
def test_reading_never_fails_and_never_invents(options, text):
    found = read_option(text, options)

    assert found is None or options[found].strip() in text


@given(st.lists(WORDS, min_size=2, unique_by=str.strip), st.sampled_from([".", "\n", "", ")"]))
def test_an_answer_alone_is_always_read(options, after):
    assert [read_option(option + after, options) for option in options] == list(range(len(options)))


def test_a_first_token_that_may_go_on_says_so():
    assert read_token("Ref", ["Refuse", "Help"]) == (None, True)
    assert read_token(" help", ["Refuse", "Help"]) == (1, False)
    assert read_token("\n", ["Refuse", "Help"]) == (None, False)
