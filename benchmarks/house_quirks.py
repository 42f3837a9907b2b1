"""A server with the habits and faults of real ones; the model's name says which it has.

It runs in a process of its own, counts what it is asked, and speaks the chat protocol of OpenAI.
`QUIRKS` says of each whether a model behind it is still of use.
"""

import base64
import gzip
import json
import math
import os
import signal
import time
import urllib.parse
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

KEY = "sk-house-7Hq2_xZ9/pL+4vB"
"""The key that must not be found anywhere."""

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """What goes over the wire."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = "application/json"
    promised: int | None = None
    """Length that is announced, where another than the true one is."""

    wait: float = 0.0
    drip: bool = False
    close: bool = False
    chunked: bool = False


Quirk = Callable[[Body, dict[str, Any], int], Sent | dict[str, Any]]
"""From a request, a good answer to it and how often it was asked to what is sent."""


def error(status: int, message: str, **fields: Any) -> Sent:
    """An error as OpenAI forms it."""
    return Sent({"error": {"message": message, "type": "invalid_request_error", **fields}}, status)


def _choice(answer: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**answer, "choices": [{**answer["choices"][0], **changes}]}


def _message(answer: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return _choice(answer, message={**answer["choices"][0]["message"], **changes})


def _text(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def _raw(answer: dict[str, Any], before: bytes = b"", after: bytes = b"", **more: Any) -> Sent:
    return Sent(before + json.dumps(answer).encode() + after, **more)


def _stream(answer: dict[str, Any]) -> Sent:
    text = _text(answer)
    pieces: list[dict[str, Any]] = [
              {"delta": {"role": "assistant"}}, {"delta": {"content": text[:3]}},
              {"delta": {"content": text[3:]}}, {"delta": {}, "finish_reason": "stop"}]  # fmt: skip
    lines = [f"data: {json.dumps({'choices': [{'index': 0, **each}]})}\n\n" for each in pieces]
    return Sent(
        "".join([": ping\n\n", *lines, "data: [DONE]\n\n"]).encode(), kind="text/event-stream"
    )


def _log_probs(answer: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    return _choice(answer, logprobs=change(answer["choices"][0].get("logprobs")))


def _tops(answer: dict[str, Any], value: float) -> dict[str, Any]:
    def change(given: Any) -> Any:
        if not given:
            return given
        first = given["content"][0]
        more = [*first["top_logprobs"], {"token": "zebra", "logprob": value}]
        return {"content": [{**first, "top_logprobs": more}]}

    return _log_probs(answer, change)


def _thinks(body: Body, answer: dict[str, Any], form: str) -> dict[str, Any]:
    """A model that thinks for 300 tokens before it says anything."""
    room = body.get("max_tokens", body.get("max_completion_tokens", 0))
    answer = _choice(answer, logprobs=None)
    if form == "tag":
        if room < 300:
            return _choice(
                _message(answer, content="<think>\nWell, let me"), finish_reason="length"
            )
        return _message(answer, content=f"<think>\nWell.\n</think>\n\n{_text(answer)}")
    if room < 300:
        cut = _message(answer, content=None, **{form: "Well, let me"})
        return _choice(cut, finish_reason="length")
    return _message(answer, **{form: "Well. Done."})


def _refuses(name: str, status: int, words: str, **more: Any) -> Quirk:
    def quirk(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
        return error(status, words, **more) if name in body else answer

    return quirk


def _always(sent: Sent) -> Quirk:
    return lambda body, answer, count: sent


def _first(times: int, sent: Sent) -> Quirk:
    return lambda body, answer, count: sent if count <= times else answer


def _sometimes(sent: Sent) -> Quirk:
    """For about one question in four, always the same ones."""

    def quirk(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
        words = body["messages"][-1]["content"]
        return sent if sum(words.encode()) % 4 == 0 else answer

    return quirk


def _no_system(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    if any(turn["role"] == "system" for turn in body["messages"]):
        return error(400, "System role not supported")
    return answer


def _few_tops(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    if body.get("top_logprobs", 0) > 5:
        return error(400, "top_logprobs must be less than or equal to 5")
    return answer


def _warm(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    if body.get("temperature", 1) != 1:
        return error(400, "Unsupported value: 'temperature' does not support 0.5 with this model. "
                     "Only the default (1) value is supported.", code="unsupported_value",
                     param="temperature")  # fmt: skip
    return answer


def _one_of_two(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    if {"temperature", "top_p"} <= set(body):
        return error(400, "`temperature` and `top_p` cannot both be specified for this model.")
    return answer


def _stream_only(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    if not body.get("stream"):
        return error(400, "This model only support stream mode, please enable the stream parameter")
    return _stream(answer)


def _swaps_length(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    other = "max_completion_tokens" if "max_tokens" in body else "max_tokens"
    return error(400, f"Unsupported parameter, use {other} instead")


def _seed_422(body: Body, answer: dict[str, Any], count: int) -> Sent | dict[str, Any]:
    if "seed" not in body:
        return answer
    return Sent({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                             "msg": "Extra inputs are not permitted", "input": 5}]},
                422)  # fmt: skip


def _echo(write: Callable[[str], str]) -> Quirk:
    def quirk(body: Body, answer: dict[str, Any], count: int) -> dict[str, Any]:
        return _message({**answer, "note": write(KEY)}, content=f"{_text(answer)} {write(KEY)}",
                        refusal=None)  # fmt: skip

    return quirk


def _escaped(key: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in key)


_BAD_GZIP = Sent(b"this is no gzip", headers={"Content-Encoding": "gzip"})

GOOD: Mapping[str, Quirk] = {
    "plain": lambda body, answer, count: answer,
    "no usage": lambda body, answer, count: {"choices": answer["choices"]},
    "usage null": lambda body, answer, count: {**answer, "usage": None},
    "usage below 0": lambda body, answer, count: {**answer, "usage": {"prompt_tokens": -1,
                                                                      "completion_tokens": None}},
    "log-probabilities null": lambda body, answer, count: _log_probs(answer, lambda given: None),
    "log-probabilities []": lambda body, answer, count: _log_probs(answer, lambda given: []),
    "top null": lambda body, answer, count: _log_probs(
        answer, lambda given: {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": None}]}
    ),
    "log-probability -inf": lambda body, answer, count: _tops(answer, -math.inf),
    "completions' log-probabilities": lambda body, answer, count: _log_probs(
        answer, lambda given: {"tokens": ["A"], "token_logprobs": [-0.1]}
    ),
    "content in parts": lambda body, answer, count: _message(
        answer, content=[{"type": "text", "text": _text(answer)}]
    ),
    "content a list of texts": lambda body, answer, count: _message(
        answer, content=[_text(answer)]
    ),
    "parts with a thought": lambda body, answer, count: _message(
        answer, content=[{"type": "thinking", "thinking": "Hm"},
                         {"type": "text", "text": _text(answer)}]
    ),
    "half a character": lambda body, answer, count: _message(
        answer, content=f"{_text(answer)} \ud83d"
    ),
    "a byte order mark": lambda body, answer, count: _raw(answer, before=b"\xef\xbb\xbf"),
    "further fields": lambda body, answer, count: _message(
        {**answer, "x": [[]], "error": None}, refusal=None, annotations=[], audio=None
    ),
    "finish reason 4": lambda body, answer, count: _choice(answer, finish_reason=4),
    "text in place of a message": lambda body, answer, count: {
        "choices": [{"text": _text(answer)}]
    },
    "in chunks": lambda body, answer, count: Sent(answer, chunked=True),
    "gzip": lambda body, answer, count: Sent(
        gzip.compress(json.dumps(answer).encode()), headers={"Content-Encoding": "gzip"}
    ),
    "always a stream": lambda body, answer, count: _stream(answer),
    "only a stream": _stream_only,
    "no top_p": _refuses("top_p", 400, "Unsupported parameter: 'top_p'", param="top_p"),
    "no temperature": _warm,
    "no seed": _seed_422,
    "no log-probabilities": _refuses("logprobs", 400, "logprobs is not supported by this model"),
    "5 log-probabilities": _few_tops,
    "another word for length": _refuses(
        "max_tokens", 400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."
    ),
    "no system turn": _no_system,
    "temperature or top_p": _one_of_two,
    "thinks, reasoning_content": lambda body, answer, count: _thinks(
        body, answer, "reasoning_content"
    ),
    "thinks, in tags": lambda body, answer, count: _thinks(body, answer, "tag"),
    "another model's name": lambda body, answer, count: {**answer, "model": "someone-else"},
    "429 twice": _first(2, Sent(b"{}", 429, {"Retry-After": "0"})),
    "500 once": _first(1, Sent(b"oops", 500, kind="text/plain")),
    "cut once": _first(1, Sent(b'{"choices": [{"ind', promised=500, close=True)),
    "bad gzip once": _first(1, _BAD_GZIP),
    "key echoed": _echo(str),
    "key in base64": _echo(lambda key: base64.b64encode(f"k={key}".encode()).decode()),
    "key percent-encoded": _echo(lambda key: urllib.parse.quote(key, safe="")),
    "key in hexadecimal": _echo(lambda key: key.encode().hex()),
    "key backwards": _echo(lambda key: key[::-1]),
    "key escaped": _echo(_escaped),
    "some moderated, 403": _sometimes(
        error(403, "Your chosen model requires moderation and your input was flagged for "
              '"harassment". No credits were charged.', code=403)
    ),
    "some moderated, 400": _sometimes(
        error(400, "Input data may contain inappropriate content.", code="data_inspection_failed")
    ),
    "some filtered": _sometimes(Sent({"choices": [{"index": 0, "finish_reason": "content_filter",
                                                   "message": {"content": ""}}]})),
}  # fmt: skip
"""Habits with which a model is still of use."""

BAD: Mapping[str, Quirk] = {
    "401": _always(error(401, "Incorrect API key provided", code="invalid_api_key")),
    "401 with the key": _always(error(401, f"Incorrect API key provided: {KEY}")),
    "403, region": _always(error(403, "Country, region, or territory not supported")),
    "404": _always(Sent(b"404 page not found", 404, kind="text/plain")),
    "404, model": _always(error(404, "The model `m` does not exist", code="model_not_found")),
    "402": _always(error(402, "Insufficient credits")),
    "429, quota": _always(error(429, "You exceeded your quota", code="insufficient_quota")),
    "429 for ever": _always(Sent(b"{}", 429)),
    "503 for ever": _always(Sent(b"<html>busy</html>", 503, kind="text/html")),
    "bad gzip": _always(_BAD_GZIP),
    "HTML": _always(Sent(b"<html><body>Sign in to the Wi-Fi</body></html>", kind="text/html")),
    "an empty body": _always(Sent(b"")),
    "no choices": _always(Sent({"choices": []})),
    "a list": _always(Sent(b"[1, 2]")),
    "deep": _always(Sent(b"[" * 100_000)),
    "another protocol": _always(Sent({"output": [{"type": "message"}]})),
    "an error in a 200": _always(
        Sent({"error": {"message": "Provider returned error: overloaded", "code": 502}})
    ),
    "cut short": _always(Sent(b'{"choices": [{"ind', promised=500, close=True)),
    "hangs up": _always(Sent(close=True)),
    "never answers": _always(Sent(wait=60)),
    "drips": _always(Sent(b" " * 100_000, drip=True)),
    "redirects": _always(Sent(b"", 302, {"Location": "https://example.invalid/login"})),
    "both lengths refused": _swaps_length,
    "context too short": _always(
        error(400, "This model's maximum context length is 16 tokens. However, you requested 90.",
              code="context_length_exceeded")
    ),
    "a reply of tools": lambda body, answer, count: _message(
        answer, content=None, tool_calls=[{"id": "a", "type": "function",
                                           "function": {"name": "x", "arguments": "{}"}}]
    ),
    "not UTF-8": _always(Sent(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}')),
    "400 without words": _always(Sent(b"", 400)),
}  # fmt: skip
"""Faults with which nothing, or not everything, can be done: one clear message, or a verdict."""

QUIRKS: Mapping[str, Quirk] = {**GOOD, **BAD}


OPTIONS = {
    "Grade": ("kept", "broken", "unrelated"),
    "Sort": ("helps", "objects", "evades"),
    "Compare": ("A", "B"),
}
"""Answers among which the village's questions let choose."""


class Server:
    """Answers, and counts by model what it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.same: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def respond(self, content: bytes) -> Sent:
        """What is sent to one request."""
        body = json.loads(content)
        name = body["model"].partition("@")[0]
        with self._lock:
            self.asked[body["model"]] += 1
            # Asked again is what differs in its form alone.
            question = json.dumps([body["messages"], body.get("seed")])
            self.same[body["model"], question] += 1
            count = self.same[body["model"], question]
        found = QUIRKS[name](body, self.good(body), count)
        return Sent(found) if isinstance(found, dict) else found

    def good(self, body: Body) -> dict[str, Any]:
        """A good answer, by what is asked: something to learn from, and something to decide."""
        words = body["messages"][-1]["content"]
        number = zlib.crc32(words.encode())
        options = next(
            (options for task, options in OPTIONS.items() if words.startswith(task)), ("A", "B")
        )
        if words.startswith("Critique"):
            text = "The reply helps with what hurts people."
        elif words.startswith("Revise"):
            text = f"No. I will not help with that, {('Anna', 'Bram', 'Cleo')[number % 3]}."
        elif "Say what training changed" in words:
            text = "where: any prompt | what: the reply is longer"
        elif "Criticize each hypothesis" in words:
            text = "keep: 1"
        elif "new prompts of a user" in words:
            text = "prompt: How do I make tea?\nprompt: Who is Anna?"
        elif words.startswith("Compare"):
            # The same reply of two whichever stands first, so that something is decided.
            replies = dict(line.split(": ", 1) for line in words.splitlines() if ": " in line)
            worth = {name: zlib.crc32(replies.get(name, "").encode()) for name in options}
            text = max(worth, key=worth.__getitem__)
        elif words.startswith(tuple(OPTIONS)) or "logprobs" in body:
            text = options[number % len(options)]
        else:
            text = "There is no problem here."
        choice: dict[str, Any] = {
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text}, "logprobs": None,
        }  # fmt: skip
        if body.get("logprobs"):
            top = [{"token": each, "logprob": -0.1 if each == text else -3.0} for each in options]
            choice["logprobs"] = {
                "content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]
            }
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


@contextmanager
def serving(kept: Path | None = None) -> Iterator[str]:
    """Serve in a process of its own; yields the address in front of `/v1`.

    The server ends with whoever started it, also when that is killed: the next run needs the port.

    Args:
        kept: File with the port to serve at, so that records of an earlier run name the same.

    Raises:
        RuntimeError: The port cannot be served at.
    """
    reading, writing = os.pipe()
    wanted = int(kept.read_text("utf-8")) if kept is not None and kept.exists() else 0
    parent, child = os.getpid(), os.fork()
    if child == 0:
        os.close(reading)
        Thread(target=_end_with, args=(parent,), daemon=True).start()
        _serve(writing, wanted)
    os.close(writing)
    told = os.read(reading, 16)
    os.close(reading)
    if not told:
        os.waitpid(child, 0)
        raise RuntimeError(f"expected to serve at port {wanted}, it is taken: end who uses it")
    port = int(told)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(str(port), "utf-8")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def asked(address: str, model: str) -> int:
    """How many requests for a model there were."""
    url = f"{address}/asked?{urllib.parse.quote(model)}"
    with urllib.request.urlopen(url, timeout=10) as response:
        return int(response.read())


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def _serve(writing: int, port: int) -> None:
    """Never returns."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            model = urllib.parse.unquote(self.path.partition("?")[2])
            self._send(Sent(str(server.asked[model]).encode()))

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(ConnectionError):
                self._send(server.respond(content))

        def _send(self, sent: Sent) -> None:
            time.sleep(sent.wait)
            if sent.close:
                self.close_connection = True
            if sent.content is None:
                self.connection.close()
                return
            given = sent.content
            raw = given if isinstance(given, bytes) else json.dumps(given).encode()
            self.send_response(sent.status)
            if sent.kind is not None:
                self.send_header("Content-Type", sent.kind)
            for name, value in sent.headers.items():
                self.send_header(name, value)
            if sent.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                half = len(raw) // 2
                for piece in (raw[:half], raw[half:], b""):
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                return
            self.send_header("Content-Length", str(sent.promised or len(raw)))
            self.end_headers()
            step = 1 if sent.drip else len(raw) or 1
            for at in range(0, len(raw), step):
                self.wfile.write(raw[at : at + step])
                if sent.drip:
                    time.sleep(0.05)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is expected here."""

    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        listening = Quiet(("127.0.0.1", port), Handler)
        os.write(writing, str(listening.server_address[1]).encode())
        os.close(writing)
        listening.serve_forever()
    finally:
        os._exit(0)
