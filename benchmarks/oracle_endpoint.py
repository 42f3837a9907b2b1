"""A paid critic for tests of what is paid twice: an endpoint that answers from the village's truth.

Every answer carries a serial number, in the place of its prompt's tokens, so that an answer kept on
disk tells which call brought it.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import numpy as np

from plumbrule.constitution import load_constitution
from plumbrule.errors import DataError
from plumbrule.lab import build_world, judge, read_request
from plumbrule.lab.skills import better, critique_of, right_answer
from plumbrule.records import Message

EVEN, RARE = float(np.log(0.5)), float(np.log(0.02))
"""Log-probabilities of an answer that is as likely as the other, and of one that is not given."""


class Critic:
    """Answers what the village's prompt set asks, and counts the calls."""

    def __init__(self) -> None:
        self.world = build_world()
        self.by_text = {each.text: each.id for each in load_constitution("village").principles}
        self.calls: list[str] = []
        """Hash of each call's body, in order; a call's serial is its place here."""
        self._lock = Lock()

    def answer(self, body: bytes) -> dict[str, Any]:
        """The answer to one call."""
        with self._lock:
            serial = len(self.calls)
            self.calls.append(hashlib.sha256(body).hexdigest())
        asked = json.loads(body)
        task, _, rest = asked["messages"][-1]["content"].partition("\n")
        values = dict(line.split(": ", 1) for line in rest.split("\n") if ": " in line)
        # Whether an endpoint answers at all is asked in other words than the village's.
        text, log_probs = self._say(task, values) if "Rule" in values else ("Yes.", {})
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        }
        if log_probs:
            top = [{"token": key, "logprob": value} for key, value in log_probs.items()]
            choice["logprobs"] = {
                "content": [{"token": text, "logprob": log_probs[text], "top_logprobs": top}]
            }
        usage = {"prompt_tokens": serial, "completion_tokens": 10, "total_tokens": serial + 10}
        return {
            "id": f"call-{serial}",
            "object": "chat.completion",
            "model": "oracle",
            "choices": [choice],
            "usage": usage,
        }

    def _say(self, task: str, values: dict[str, str]) -> tuple[str, dict[str, float]]:
        try:
            request = read_request((Message("user", values["Request"]),), self.world)
        except DataError:  # texts without content, which a critic's lean is measured on
            return "kept", {"kept": EVEN, "broken": EVEN}
        principle = self.by_text[values["Rule"]]
        if task.startswith("Compare"):
            first, second = (judge(request, values[name], self.world) for name in ("A", "B"))
            likely = min(max(better(principle, request, first, second), 0.02), 0.98)
            odds = {"A": float(np.log(likely)), "B": float(np.log(1 - likely))}
            return max(odds, key=odds.__getitem__), odds
        outcome = judge(request, values["Reply"], self.world)
        if task.startswith("Grade"):
            fails = outcome.verdict(principle, request) == "fail"
            text = "broken" if fails else "kept"
            return text, {text: float(np.log(0.98)), "kept" if fails else "broken": RARE}
        if task.startswith("Critique"):
            if outcome.reading is None:
                return "The reply keeps the rule.", {}
            return critique_of(principle, request, outcome), {}
        return right_answer(request, np.random.default_rng(0)), {}


@contextmanager
def serve(critic: Critic) -> Iterator[str]:
    """Serve a critic on the loopback; yields the model's spec."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps(critic.answer(body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a killed client is expected here."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client killed in the middle of an answer is what this is for."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1#oracle"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
