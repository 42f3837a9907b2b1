"""A server that speaks the chat protocol and fails on request, in front of an upstream or alone.

    with FaultServer(["429", "cut"]) as server:
        server.url  # http://127.0.0.1:PORT/v1

Each request takes the next fault from the script; when the script is over, requests are answered:
by the upstream where there is one, else by `answer`.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Raw:
    """An answer that is not simply a good one."""

    status: int
    content: Mapping[str, Any] | bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def reply(text: str | None = "ok", **changes: Any) -> dict[str, Any]:
    """A well-formed answer."""
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **changes.pop("choice", {})}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage, **changes}


def last_words(body: Body) -> dict[str, Any]:
    """Say what the user said last, and the seed, so that replies can be told apart."""
    return reply(f"{body['messages'][-1]['content']} / {body.get('seed')}")


class FaultServer:
    """Listens on the loopback at a free port, in threads of its own."""

    def __init__(
        self,
        script: Sequence[str] = (),
        *,
        answer: Callable[[Body], dict[str, Any] | Raw] = last_words,
        upstream: str | None = None,
        delay_seconds: float = 0.0,
    ) -> None:
        self.script = list(script)
        self.answer = answer
        self.upstream = upstream
        self.delay_seconds = delay_seconds
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.answered = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = Lock()
        self.closing = Event()

    def __enter__(self) -> "FaultServer":
        fault_server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fault_server.handle(self)

            def log_message(self, *args: object) -> None:
                del args

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                del args  # the client hung up, as some tests make it

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return self

    def __exit__(self, *args: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers["Content-Length"]))
        body = json.loads(content)
        with self._lock:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self.script.pop(0) if self.script else ""
        try:
            self.closing.wait(self.delay_seconds)
            if fault:
                getattr(self, f"_{fault.partition('=')[0]}")(request, fault.partition("=")[2])
            else:
                found = self._good(body, content)
                raw = found.content
                sent = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
                self._send(request, found.status, sent, promised=None, **found.headers)
        finally:
            with self._lock:
                self._at_once -= 1

    def _good(self, body: Body, content: bytes) -> Raw:
        if self.upstream:
            forward = urllib.request.Request(
                f"{self.upstream}/chat/completions",
                data=content,
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(forward, timeout=60) as response:
                found = Raw(200, response.read())
        else:
            answer = self.answer(body)
            found = answer if isinstance(answer, Raw) else Raw(200, answer)
        with self._lock:
            self.answered += 1
        return found

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        content: bytes,
        *,
        promised: int | None = None,
        **headers: str,
    ) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content) if promised is None else promised))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)
        request.wfile.flush()

    def _status(self, request: BaseHTTPRequestHandler, value: str) -> None:
        """`status=503:words`: that status, with those words in the error."""
        status, _, words = value.partition(":")
        error = {"error": {"message": words or "no", "code": words or None}}
        self._send(request, int(status), json.dumps(error).encode())

    def _busy(self, request: BaseHTTPRequestHandler, value: str) -> None:
        """`busy=1` or `busy=date:1`: too many requests, come back in a second."""
        kind, _, seconds = value.rpartition(":")
        when = datetime.now(UTC) + timedelta(seconds=float(seconds))
        after = format_datetime(when, usegmt=True) if kind == "date" else seconds
        self._send(request, 429, b"{}", Retry_After=after)

    def _cut(self, request: BaseHTTPRequestHandler, _: str) -> None:
        """Half an answer, then the line goes dead."""
        content = json.dumps(reply()).encode()
        self._send(request, 200, content[: len(content) // 2], promised=len(content))
        request.close_connection = True

    def _hang(self, request: BaseHTTPRequestHandler, _: str) -> None:
        """Never answers."""
        request.close_connection = True
        self.closing.wait(30)

    def _drip(self, request: BaseHTTPRequestHandler, _: str) -> None:
        """Answers a byte at a time, for longer than anyone waits."""
        request.close_connection = True
        self._send(request, 200, b"{", promised=100_000)
        while not self.closing.wait(0.02):
            request.wfile.write(b" ")
            request.wfile.flush()

    def _garbage(self, request: BaseHTTPRequestHandler, _: str) -> None:
        self._send(request, 200, b"<html>Bad gateway</html>")

    def _json(self, request: BaseHTTPRequestHandler, value: str) -> None:
        """`json={...}`: exactly this, with status 200."""
        self._send(request, 200, value.encode())

    def _redirect(self, request: BaseHTTPRequestHandler, value: str) -> None:
        self._send(request, 302, b"", Location=value)
