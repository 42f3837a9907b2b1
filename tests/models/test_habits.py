"""Habits of real servers: what they leave out, refuse, wrap, and say when they do not answer."""

import base64
import gzip
import json
import math
import sqlite3
from typing import Any

import pytest
from tests.models.fault_server import FaultServer, Raw, reply
from tests.models.test_endpoint import KEY, PRICED, model_on, say
from tests.models.tiny import ask

from plumbrule.errors import AccessError, BudgetError, DataError, EndpointError, ModelError
from plumbrule.models import EndpointModel, Sampling, calling, open_model
from plumbrule.records import Message


def error(status, message, **fields):
    return Raw(status, {"error": {"message": message, **fields}})


def with_content(content, **changes):
    answer = reply(**changes)
    answer["choices"][0]["message"]["content"] = content
    return answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (with_content([{"type": "text", "text": "Fine"}, {"type": "text", "text": "."}]), "Fine."),
        (with_content(["Fine."]), "Fine."),
        (with_content([{"type": "thinking", "thinking": "Hm"}, {"text": "F"}]), "F"),
        (with_content([{"type": "text", "text": {"value": "F"}}]), "F"),
        (with_content({"type": "text", "text": "Fine."}), "Fine."),
        (reply("Fine.", usage={"total_tokens": 9}), "Fine."),
        (reply("Fine.", usage={"prompt_tokens": -1, "completion_tokens": None}), "Fine."),
        (reply("Fine.", usage="much"), "Fine."),
        (reply("Fine.", choice={"logprobs": []}), "Fine."),
        (reply("Fine.", choice={"logprobs": {"content": 3}}), "Fine."),
        (reply("Fine.", choice={"finish_reason": 4}), "Fine."),
        (reply("Fine.", error=None), "Fine."),
        ({"choices": [{"text": "Fine."}]}, "Fine."),
        (Raw(201, reply("Fine.")), "Fine."),
        (Raw(200, b"\xef\xbb\xbf" + json.dumps(reply("Fine.")).encode()), "Fine."),
        (Raw(200, json.dumps(reply("F \ud83d")).encode()), "F \ufffd"),
        (reply("Hm.\n</think>\n\nFine."), "Fine."),
        (
            Raw(
                200,
                b'data: {"choices": [{"delta": {"role": "assistant", "content": "Fi"}}]}\n\n'
                b': ping\n\ndata: {"choices": [{"delta": {"content": "ne."}}]}\n\n'
                b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
            ),
            "Fine.",
        ),
    ],
)  # fmt: skip
def test_what_is_needed_is_read_and_the_rest_may_be_odd(answer, text):
    with FaultServer(answer=lambda body: answer) as server:
        model = model_on(server)
        (found,) = say(model, "q")

    assert (found.text, found.finish_reason) == (text, "stop")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "log_probs",
    [
        [],
        {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": None}]},
        {"content": [{"token": "Yes", "logprob": math.nan, "top_logprobs": []}]},
        {"content": [{"token": "Yes", "logprob": None}]},
        {"tokens": ["Yes"], "token_logprobs": [-0.1]},
    ],
)
def test_odd_log_probabilities_count_as_none(log_probs):
    with FaultServer(answer=lambda body: reply("Yes", choice={"logprobs": log_probs})) as server:
        (choice,) = model_on(server).choose(ask("x"), ["Yes", "No"], seeds=[1])

    assert (choice.method, choice.probabilities) == ("sampling", (1.0, 0.0))


def test_a_token_that_cannot_come_has_no_share():
    near = [{"token": "A", "logprob": 0.0}, {"token": "B", "logprob": -math.inf}]
    tokens = {"content": [{**near[0], "top_logprobs": near}]}
    with FaultServer(answer=lambda body: reply("A", choice={"logprobs": tokens})) as server:
        (choice,) = model_on(server).choose(ask("x"), ["A", "B"], seeds=[1])

    assert choice.method == "log-probs"
    assert choice.probabilities == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize(
    "answer",
    [
        with_content(5),
        with_content([{"type": "image_url", "image_url": "x"}]),
        Raw(200, b"[1, 2]"),
        {"message": {"role": "assistant", "content": "another protocol"}},
        {"output": [{"type": "message"}]},
        {"choices": [{"index": 0}]},
    ],
)
def test_a_form_that_never_comes_right_is_asked_once(answer):
    with (
        FaultServer(answer=lambda body: answer) as server,
        pytest.raises(AccessError, match="not asked again") as caught,
    ):
        say(model_on(server), "q")

    assert caught.value.exit_code == 2
    assert len(server.bodies) == 1


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"{}", b'{"choices": []}'])
def test_an_answer_without_a_reply_is_charged_three_times_and_not_six(content):
    with (
        FaultServer(answer=lambda body: Raw(200, content)) as server,
        pytest.raises(EndpointError, match="in 3 attempts"),
    ):
        say(model_on(server), "q")

    assert len(server.bodies) == 3


def test_an_error_in_place_of_an_answer_shows_the_servers_words():
    busy = {"error": {"message": "the model upstream is busy", "code": 502}}
    with (
        FaultServer(answer=lambda body: busy) as server,
        pytest.raises(EndpointError, match="the model upstream is busy"),
    ):
        say(model_on(server, max_attempts=2, max_calls=1), "q")

    assert len(server.bodies) == 2


def test_an_error_in_place_of_an_answer_may_say_that_the_key_is_wrong():
    wrong = {"error": {"message": "no such user", "code": "401"}}
    with (
        FaultServer(answer=lambda body: wrong) as server,
        pytest.raises(AccessError, match="PLUMBRULE_ENDPOINT_KEY"),
    ):
        say(model_on(server), "q")

    assert len(server.bodies) == 1


def test_a_broken_compression_is_tried_again():
    good = Raw(
        200, gzip.compress(json.dumps(reply("Fine.")).encode()), {"Content-Encoding": "gzip"}
    )
    bad = Raw(200, b"no gzip at all", {"Content-Encoding": "gzip"})
    answers = [bad, good]
    with FaultServer(answer=lambda body: answers.pop(0)) as server:
        (found,) = say(model_on(server), "q")

    assert found.text == "Fine."
    with (
        FaultServer(answer=lambda body: bad) as server,
        pytest.raises(EndpointError, match="DecodingError"),
    ):
        say(model_on(server, max_attempts=2), "q")


REFUSALS = {
    "top_p": lambda b: "top_p" in b and error(400, "Unsupported parameter: 'top_p'"),
    "temperature": lambda b: (
        b.get("temperature", 1) != 1
        and error(400, "temperature: only the default (1) is supported", param="temperature")
    ),
    "seed": lambda b: (
        "seed" in b
        and Raw(422, {"detail": [{"loc": ["body", "seed"], "msg": "extra", "input": dict(b)}]})
    ),
    "both": lambda b: (
        {"top_p", "temperature"} <= set(b)
        and error(400, "`temperature` and `top_p` cannot both be given")
    ),
    "max_tokens": lambda b: (
        "max_tokens" in b
        and error(400, "'max_tokens' is not supported, use 'max_completion_tokens'")
    ),
    "system": lambda b: (
        b["messages"][0]["role"] == "system" and error(400, "System role not supported")
    ),
    "stream": lambda b: not b.get("stream") and error(400, "This model only supports stream mode"),
    "several": lambda b: next(
        (error(400, f"{name} is unknown") for name in ("seed", "top_p", "max_tokens") if name in b),
        False,
    ),
}


@pytest.mark.parametrize("habit", REFUSALS)
def test_what_a_server_refuses_is_learned_once(habit):
    refusals = []

    def answer(body):
        refused = REFUSALS[habit](body)
        if refused:
            refusals.append(body)
            return refused
        return reply("Fine.")

    with FaultServer(answer=answer) as server:
        model = model_on(server, max_concurrent=1)
        dialogues = [(Message("system", "Be brief."), Message("user", text)) for text in "abc"]
        sampling = Sampling(temperature=0.5, top_p=0.9, max_new_tokens=8)
        found = model.sample(dialogues, sampling=sampling, seeds=[1, 2, 3])

    assert [one.text for one in found] == ["Fine."] * 3
    assert len(refusals) == (3 if habit == "several" else 1)
    if habit == "system":
        assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Be brief.\n\nc"}]
    if habit not in ("system", "stream", "max_tokens"):
        assert "own defaults" in model.describe()["form"]


def test_a_server_that_refuses_both_words_for_a_length_ends_with_both_messages():
    def answer(body):
        mine = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        other = {"max_tokens": "max_completion_tokens"}.get(mine, "max_tokens")
        return error(400, f"we want {other}")

    with (
        FaultServer(answer=answer) as server,
        pytest.raises(AccessError, match=r"want max_tokens.*want max_completion_tokens") as caught,
    ):
        say(model_on(server), "q")

    assert caught.value.exit_code == 2
    assert len(server.bodies) == 2


def test_fewer_likely_tokens_are_asked_for_where_a_server_allows_fewer():
    def answer(body):
        if body.get("top_logprobs", 0) > 5:
            return error(400, "top_logprobs must be at most 5")
        near = [{"token": "A", "logprob": -0.1}]
        return reply("A", choice={"logprobs": {"content": [{**near[0], "top_logprobs": near}]}})

    with FaultServer(answer=answer) as server:
        (choice,) = model_on(server).choose(ask("x"), ["A", "B"], seeds=[1])

    assert choice.method == "log-probs"
    assert [body["top_logprobs"] for body in server.bodies] == [20, 5]


def test_a_text_beyond_the_context_is_named_and_nothing_is_learned_from_it():
    words = "maximum context length is 2048 tokens; reduce the messages or max_tokens"
    with (
        FaultServer(answer=lambda body: error(400, words)) as server,
        pytest.raises(DataError, match=r"can read whole.*2048"),
    ):
        say(model_on(server), "q")

    assert len(server.bodies) == 1


def thinking(body, *, tag=False, needs=300):
    room = body.get("max_tokens", 0)
    if body.get("logprobs") and tag:
        near = [{"token": "<think>", "logprob": -0.01}]
        tokens = {"content": [{**near[0], "top_logprobs": near}]}
        return reply("<think>", choice={"logprobs": tokens, "finish_reason": "length"})
    if room < needs:
        if tag:
            return reply("<think>\nWell", choice={"finish_reason": "length"})
        return reply(
            None, message={"reasoning_content": "Well"}, choice={"finish_reason": "length"}
        )
    if tag:
        return reply("<think>\nWell. Yes?\n</think>\n\nNo.")
    return reply("No.", message={"reasoning": "Well. Yes?"})


@pytest.mark.parametrize("tag", [False, True])
def test_a_model_that_thinks_first_gets_room_and_its_thought_is_left_out(tag):
    with FaultServer(answer=lambda body: thinking(body, tag=tag)) as server:
        model = model_on(server, max_concurrent=1, choose_samples=2)
        choices = model.choose(ask("x", "y"), ["Yes", "No"], seeds=[1, 2])
        (found,) = say(model, "z")

    assert [one.probabilities for one in choices] == [(0.0, 1.0)] * 2
    assert (found.text, found.finish_reason) == ("No.", "stop")
    short = [body for body in server.bodies if body["max_tokens"] < 300]
    assert len(short) <= 2
    assert "4096 tokens" in model.describe()["thinks_first"]


def test_room_for_a_thought_can_be_set_and_is_part_of_the_question(tmp_path):
    with FaultServer(answer=lambda body: thinking(body, needs=300)) as server:
        few = model_on(server, tmp_path / "a", thinking_tokens=40, reasoning_effort="low")
        (cut,) = say(few, "q", max_new_tokens=16)
        more = model_on(server, tmp_path / "a", thinking_tokens=400)
        (whole,) = say(more, "q", max_new_tokens=16)

    assert cut.finish_reason == "errored"
    assert "--thinking-tokens" in cut.text
    assert whole.text == "No."
    assert [body["max_tokens"] for body in server.bodies] == [56, 416]
    assert server.bodies[0]["reasoning_effort"] == "low"


def test_text_about_thinking_is_left_alone():
    text = "Write <think> before and </think> after it."
    with FaultServer(answer=lambda body: reply(text)) as server:
        (found,) = say(model_on(server), "q")

    assert found.text == text


@pytest.mark.parametrize(
    "answer",
    [
        error(403, 'Your input was flagged for "violence". Nothing was charged.', code=403),
        error(400, "Input may contain inappropriate content.", code="DataInspectionFailed"),
        error(400, "Rejected by our safety system.", type="image_generation_user_error"),
        error(422, "This prompt violates our usage policies."),
        error(451, "Blocked due to content security policy"),
        {"error": {"message": "Prompt blocked", "code": "content_policy_violation"}},
        {"choices": [], "promptFeedback": {"blockReason": "OTHER"}},
        reply("", choice={"finish_reason": "SAFETY"}),
        with_content([{"type": "refusal", "refusal": "No."}]),
    ],
)
def test_a_filter_is_one_refused_reply_whatever_its_words(answer):
    def serve(body):
        return answer if body["messages"][-1]["content"] == "bad" else reply("Fine.")

    with FaultServer(answer=serve) as server:
        found = say(model_on(server, max_concurrent=1), "a", "bad", "b")

    assert [one.finish_reason for one in found] == ["stop", "refused", "stop"]
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    "answer",
    [
        error(403, "Your account was flagged for abuse; see our usage policies."),
        error(401, "The content moderation API key is wrong"),
        error(400, "Your organization has been deactivated for violating the usage policy."),
        error(404, "The model `m` does not exist"),
        error(403, "Country, region, or territory not supported"),
    ],
)
def test_being_kept_out_is_no_refused_reply(answer):
    with FaultServer(answer=lambda body: answer) as server, pytest.raises(AccessError):
        say(model_on(server), "q")

    assert len(server.bodies) == 1


def test_money_that_ran_out_is_not_waited_for():
    empty = error(429, "You exceeded your current quota", code="insufficient_quota")
    with (
        FaultServer(answer=lambda body: empty) as server,
        pytest.raises(EndpointError, match="once that is settled"),
    ):
        say(model_on(server), "q")

    assert len(server.bodies) == 1


def test_the_budget_remembers_calls_without_a_usable_answer(tmp_path):
    with FaultServer(["garbage"] * 20) as server:
        for _ in range(4):
            with pytest.raises((BudgetError, EndpointError)):
                say(model_on(server, tmp_path / "a", max_calls=4), "q")

    assert len(server.bodies) == 4


def test_the_budget_remembers_a_call_that_a_kill_cut_off(tmp_path, monkeypatch):
    with FaultServer() as server:
        model = model_on(server, tmp_path / "a", max_calls=1)
        monkeypatch.setattr(calling.Caller, "post", _killed)
        with pytest.raises(Killed):
            say(model, "q")
        monkeypatch.undo()
        with pytest.raises(BudgetError, match="1 of 1 calls"):
            say(model_on(server, tmp_path / "a", max_calls=1), "q")


class Killed(BaseException):
    pass


def _killed(*_):
    raise Killed


def test_a_paid_answer_counts_once_and_what_was_not_charged_not_at_all(tmp_path):
    with FaultServer(["status=503", "cut"]) as server:
        model = model_on(server, tmp_path / "a", max_dollars=1e6, **PRICED)
        say(model, "q", max_new_tokens=5)
        again = model_on(server, tmp_path / "a", max_dollars=1e6, **PRICED)

    assert len(server.bodies) == 3
    calls, dollars = again._answers.spent()
    assert calls == 2  # the answer, and the one whose line went dead
    assert dollars > 3.7
    with sqlite3.connect(tmp_path / "a") as database:
        assert database.execute("SELECT COUNT(*) FROM charges").fetchone() == (1,)


@pytest.mark.parametrize(
    "write",
    [str.upper, lambda key: base64.b64encode(b"k " + key.encode()).decode(), lambda k: k[::-1]],
)
def test_a_key_in_another_writing_reaches_no_file(tmp_path, write):
    tokens = [{"token": part, "logprob": -0.1} for part in ("so: ", KEY[:6], KEY[6:])]
    answer = reply(f"so: {write(KEY)}", choice={"logprobs": {"content": tokens}})
    with FaultServer(answer=lambda body: answer) as server:
        model = model_on(server, tmp_path / "a")
        model.sample(ask("q"), sampling=Sampling(), seeds=[0], log_probs=True)

    content = (tmp_path / "a").read_bytes()
    assert write(KEY)[4:-6].encode() not in content
    assert KEY[6:].encode() not in content


def test_a_key_that_no_header_can_hold_is_refused_unsaid(monkeypatch):
    monkeypatch.setenv("PLUMBRULE_ENDPOINT_KEY", "sk-sécret-0123")
    with pytest.raises(ModelError, match="PLUMBRULE_ENDPOINT_KEY") as caught:
        EndpointModel.open("http://127.0.0.1:9/v1#m")

    assert "0123" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "match"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "ALL_PROXY.*socksio"),
        ("HTTPS_PROXY", "gopher://127.0.0.1:9", "HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE=/nowhere/ca.pem"),
    ],
)
def test_a_wrong_variable_of_the_environment_is_named(monkeypatch, variable, value, match):
    monkeypatch.setenv(variable, value)
    with FaultServer() as server, pytest.raises(AccessError, match=match) as caught:
        say(open_model(f"{server.url}#m"), "q")

    assert caught.value.exit_code == 2
    assert server.bodies == []


@pytest.mark.parametrize(
    "after", ["nan", "inf", "9" * 400, "-5", "soon", "Fri, 31 Dec 99999 23:59:59 GMT"]
)
def test_an_odd_word_on_how_long_to_wait_is_survived(after, monkeypatch):
    answers: list[Any] = [Raw(429, b"", {"Retry-After": after}), reply("Fine.")]
    with FaultServer(answer=lambda body: answers.pop(0)) as server:
        (found,) = say(model_on(server, max_wait_seconds=0.01), "q")

    assert found.text == "Fine."
